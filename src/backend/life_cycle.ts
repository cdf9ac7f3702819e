import { AsyncLocalStorage } from "node:async_hooks";
import { errorOf, stackOf } from "../guarded.ts";
import { checkOptions, checkValue, row, type Rows } from "../options.ts";
import { SECONDS, SIGNAL } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import { keepAwake, settledWithin, sleep, unlessAborted } from "../waiting.ts";
import { BACKEND_OPTIONS, type BackendOptions } from "./backend_options.ts";

/** The pause after an error in `loop()` where `pollSeconds` does not say, in seconds. */
const ERROR_PAUSE = 5;
/** Closing itself may take so long beyond that, in seconds. */
const CLOSING_TIME = 3;

let lastIdent = 0;

type LifeCycleOptions = Pick<
  BackendOptions,
  "name" | "daemon" | "pollSeconds" | "stopTimeout"
>;

/** In Python, `None` is for ever too. */
const TIMEOUT = row(SECONDS, { isNullable: true });
const START_OPTIONS: Rows<{ signal?: AbortSignal | undefined }> = {
  signal: SIGNAL,
};

/**
 * Starts once, works, and stops when it is told to: the part of a backend that
 * is a thread in Platypush.
 *
 * @example
 * ```ts
 * import { Backend } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * class Clock extends Backend {
 *   ticks = 0;
 *   override async run(): Promise<void> {
 *     while (!await this.waitStop(0.01)) this.ticks++;
 *   }
 * }
 *
 * const clock = new Clock();
 * await clock.start();
 * assert.equal(clock.isAlive(), true);
 * await clock.stop();
 * assert.equal(await clock.join(), true);
 * ```
 */
export abstract class LifeCycle implements AsyncDisposable {
  /** The name, for people. */
  name: string;
  /** The pause between two calls of `loop()`, in seconds. */
  readonly pollSeconds: number | undefined;
  /** The longest time that `stop()` waits for what still runs, in seconds. */
  protected readonly stopTimeout: number;
  /** Reports what happens. */
  protected readonly logger: Logger;

  #daemon: boolean;
  #ident: number | undefined;
  #isAlive = false;
  #stopped: Promise<void> | undefined;
  readonly #stopping = new AbortController();
  readonly #finished = Promise.withResolvers<void>();

  /**
   * Keeps the options; nothing happens before the start.
   *
   * @param options Its name, whether it is a daemon, and its times, in seconds.
   * @param logger Takes the reports of starting and stopping.
   */
  constructor(options: LifeCycleOptions, logger: Logger) {
    this.name = options.name ?? new.target.name;
    this.pollSeconds = options.pollSeconds;
    this.logger = logger;
    this.stopTimeout = options.stopTimeout ??
      BACKEND_OPTIONS.stopTimeout.default;
    this.#daemon = options.daemon ?? false;
  }

  /** {@linkcode LifeCycle.name}. */
  getName(): string {
    return this.name;
  }

  /** {@linkcode LifeCycle.name}. */
  setName(name: string): void {
    this.name = name;
  }

  /**
   * Lets the process end while the backend runs. Set it before the start.
   *
   * @throws {Error} When it is set and the backend has been started.
   */
  get daemon(): boolean {
    return this.#daemon;
  }

  set daemon(daemon: boolean) {
    if (this.#ident !== undefined) {
      throw new Error(
        "Cannot set `daemon`: the backend has already been started",
      );
    }
    this.#daemon = daemon;
  }

  /** {@linkcode LifeCycle.daemon}. */
  isDaemon(): boolean {
    return this.daemon;
  }

  /** {@linkcode LifeCycle.daemon}. */
  setDaemon(daemon: boolean): void {
    this.daemon = daemon;
  }

  /** A number that no other backend of this thread has, once it was started. */
  get ident(): number | undefined {
    return this.#ident;
  }

  /**
   * The id of the process, once the backend was started: here a backend has no
   * thread of its own.
   */
  get nativeId(): number | undefined {
    return this.#ident === undefined ? undefined : Deno.pid;
  }

  /**
   * Tells whether it is at work, as a thread of Python does.
   *
   * @returns `true` from its start until it has finished: also while it stops,
   * and still has something in hand.
   */
  isAlive(): boolean {
    return this.#isAlive;
  }

  /**
   * Waits until the backend has finished.
   *
   * @param timeout The longest time to wait, in seconds. Default: for ever.
   * @returns `false` if the time was over first.
   * @throws {Error} If it was not started, or is joined from within its own
   * `run()` or `loop()`, which would wait for itself.
   * @throws {RangeError} If the time is no number of seconds.
   */
  async join(timeout?: number | null): Promise<boolean> {
    if (this.#ident === undefined) {
      throw new Error("Cannot join the backend: it has not been started");
    }
    if (this.#isWithin) {
      throw new Error(
        "Cannot join the backend from within its own run() or loop(): it would wait for itself",
      );
    }
    checkValue("join the backend", "timeout", timeout, TIMEOUT);
    return await settledWithin(this.#finished.promise, timeout ?? undefined);
  }

  /**
   * Starts the backend: {@linkcode LifeCycle.enter}, then, without waiting for it
   * to finish, {@linkcode LifeCycle.run}. A backend can be started once.
   *
   * @param options A `signal` that stops the backend if it is aborted before
   * that has started; then the promise rejects with its reason.
   * @throws {Error} If it was started or stopped before, or what
   * {@linkcode LifeCycle.enter} throws.
   * @throws {DOMException} An `AbortError` if it is stopped meanwhile.
   */
  async start(
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const { signal } = checkOptions(
      "start the backend",
      options,
      START_OPTIONS,
    );
    signal?.throwIfAborted();
    const starting = this.#start();
    if (signal === undefined) return await starting;
    try {
      await unlessAborted(starting, signal);
    } catch (error) {
      if (signal.aborted) await this.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    if (this.shouldStop()) {
      throw new Error(
        "Cannot start the backend: it has been stopped; make a new one",
      );
    }
    if (this.#ident !== undefined) {
      throw new Error(
        "Cannot start the backend: it has already been started",
      );
    }
    this.#ident = ++lastIdent;
    this.#isAlive = true;
    using _awake = keepAwake();
    try {
      await this.enter();
      if (this.shouldStop()) throw stoppedEarly();
    } catch (error) {
      await this.#finish();
      throw this.shouldStop() ? stoppedEarly() : error;
    }
    this.#runToTheEnd();
  }

  /**
   * Works until the backend is to stop. This one calls `loop()` again and
   * again, `pollSeconds` apart, and returns at once where there is none. An
   * error in `loop()` is logged; after a pause the backend is left and entered
   * again.
   */
  async run(): Promise<void> {
    if (this.loop === undefined) return;
    while (!this.shouldStop()) {
      try {
        await this.loop();
      } catch (error) {
        this.#report("loop()", error);
        await this.#reenter();
        continue;
      }
      await this.waitStop(this.pollSeconds ?? 0);
    }
  }

  /**
   * Does one round of work, for classes that define this in place of `run()`.
   *
   * @returns Anything; a promise is waited for.
   */
  loop?(): unknown;

  /**
   * Prepares for `run()` or `loop()`. Classes may define what.
   *
   * @returns Nothing, or a promise that resolves once it is prepared.
   */
  protected enter(): void | Promise<void> {}

  /**
   * Undoes {@linkcode LifeCycle.enter}; also called where that has failed.
   *
   * @returns Nothing, or a promise that resolves once it is undone.
   */
  protected leave(): void | Promise<void> {}

  /** Aborted when the backend is to stop. */
  protected get stopSignal(): AbortSignal {
    return this.#stopping.signal;
  }

  /**
   * Stops the backend: waits for `run()` or `loop()` to return, withdraws the
   * service, and closes all that the backend has opened. A handler calls this
   * without waiting for it, since it waits for the handler. Called from within
   * `run()` or `loop()`, it resolves at once.
   */
  stop(): Promise<void> {
    this.#stopped ??= outsideRun(() => this.#shutDown());
    if (!this.#isWithin) return this.#stopped;
    this.#stopped.catch((error) => this.#report("stop()", error));
    return Promise.resolve();
  }

  /** The same as {@linkcode LifeCycle.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Tells a `run()` of one's own when to return.
   *
   * @returns `true` once {@linkcode LifeCycle.stop} was called.
   */
  shouldStop(): boolean {
    return this.#stopping.signal.aborted;
  }

  /**
   * Waits until the backend is to stop.
   *
   * @param timeout The longest time to wait, in seconds. Default: for ever.
   * @returns `false` if the time was over first.
   * @throws {RangeError} If the time is no number of seconds.
   */
  async waitStop(timeout?: number | null): Promise<boolean> {
    checkValue("wait for the stop", "timeout", timeout, TIMEOUT);
    return await sleep(timeout ?? undefined, {
      signal: this.#stopping.signal,
      // A backend at work keeps the process alive by itself.
      daemon: this.#daemon || timeout == null,
    });
  }

  /**
   * Called once when the backend is to stop. Classes may define what to do; an
   * error is logged.
   *
   * @returns Nothing, or a promise that stopping waits for.
   */
  onStop(): void | Promise<void> {}

  /** Closes what it has opened, after all else. */
  protected abstract close(): Promise<void>;

  async #runToTheEnd(): Promise<void> {
    using _awake = this.#daemon ? undefined : keepAwake();
    try {
      await running.run(this, () => this.run());
    } catch (error) {
      this.#report("run()", error);
    }
    await this.#finish();
  }

  /** Tells whether it is asked from within its own `run()` or `loop()`. */
  get #isWithin(): boolean {
    return this.#isAlive && running.getStore() === this;
  }

  async #finish(): Promise<void> {
    try {
      await this.leave();
    } catch (error) {
      this.#report("leave()", error);
    }
    this.#isAlive = false;
    this.#finished.resolve();
  }

  async #reenter(): Promise<void> {
    for (let isEntered = false; !isEntered && !this.shouldStop();) {
      try {
        await this.leave();
        if (await this.waitStop(this.pollSeconds || ERROR_PAUSE)) return;
        await this.enter();
        isEntered = true;
      } catch (error) {
        this.#report("enter()", error);
      }
    }
  }

  async #shutDown(): Promise<void> {
    using _awake = keepAwake();
    this.#stopping.abort();
    try {
      await this.onStop();
    } catch (error) {
      this.#report("onStop()", error);
    }
    const limit = this.stopTimeout + CLOSING_TIME;
    const isOver = !this.#isAlive ||
      await settledWithin(this.#finished.promise, limit);
    if (!isOver) {
      this.logger.warn(
        `${this.name} has not finished within ${limit} s, and is left behind: does its run() or loop() wait for stop()?`,
      );
    }
    await this.close();
  }

  #report(where: string, error: unknown): void {
    const read = errorOf(error);
    this.logger.error(`${this.name}: ${where} failed: ${read.message}.`);
    if (read === error) this.logger.debug(stackOf(read));
  }
}

/** The backend from within whose `run()` something is called. */
const running = new AsyncLocalStorage<LifeCycle | undefined>();

/** Does something for others: what it calls is not within anybody's `run()`. */
export function outsideRun<Result>(work: () => Result): Result {
  // Deno's `exit()` forgets it where the work waits for something.
  return running.run(undefined, work);
}

function stoppedEarly(): DOMException {
  return new DOMException(
    "The backend was stopped before it had started",
    "AbortError",
  );
}
