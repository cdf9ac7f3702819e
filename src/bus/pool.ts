import { COUNT, LOGGER, SECONDS, SIGNAL, TEXT } from "../kinds.ts";
import { createLogger, type Logger } from "../logger.ts";
import { checkOptions, row, type Rows } from "../options.ts";
import { amount } from "../units.ts";
import { backoff, settledWithin, sleep, whenAborted } from "../waiting.ts";
import { BusError } from "./errors.ts";
import { isPoolMessage, locks, MARK } from "./pooled_thread.ts";

/** Pauses before a worker that has ended starts again, in seconds: they grow. */
const PAUSES = { first: 0.25, longest: 30 };

/** The pauses before something is said again that nobody has heard, in seconds: they grow. */
const REPEATS = { first: 0.1, longest: 1 };

/**
 * After so many seconds, something is said of the workers without a bus: on a small
 * computer, many that start together take half of that.
 */
const SLOW_START = 60;

/** Tells that modules, which were all found, do not fit together, in V8's words. */
const MISFIT = /^Uncaught SyntaxError: The requested module '/;

/** Says which workers {@linkcode pool} starts. */
export interface PoolOptions {
  /** The number of workers. That of the machine's processor cores by default. */
  size?: number;
  /** Names the workers, with a number behind it, in errors and logs. `"worker"` by default. */
  name?: string;
  /**
   * Limits what the workers may do, as the `deno.permissions` of a `Worker`; Deno
   * wants `--unstable-worker-options` for that. All that the process may by default.
   */
  permissions?: Deno.PermissionOptions;
  /** The time in seconds that a worker may take to close its buses before it is terminated. 10 by default. */
  stopTimeout?: number;
  /** Stops the pool when it is aborted. */
  signal?: AbortSignal;
  /** The logger to report to. LogTape's category `["platypush", "redis", "bus"]` by default. */
  logger?: Logger;
}

const POOL_OPTIONS: Rows<PoolOptions, "name" | "stopTimeout"> = {
  size: COUNT,
  name: row(TEXT, { default: "worker" }),
  permissions: {
    expected: '"inherit", "none" or an object of permissions',
    accepts: (value) =>
      value === "inherit" || value === "none" ||
      typeof value === "object" && value !== null,
  },
  stopTimeout: row(SECONDS, { default: 10 }),
  signal: SIGNAL,
  logger: LOGGER,
};

/**
 * Starts workers that run the same module, and starts those again that end.
 *
 * @param url Where the module is: `import.meta.resolve("./worker.ts")`, or
 * `new URL("./worker.ts", import.meta.url)`.
 * @param options How many there are, and what stops them.
 * @returns The pool, whose workers are starting.
 * @throws {TypeError} When the address is relative, since nobody knows to what;
 * or there is no such option or it is of another kind.
 * @throws {RangeError} When the size is no whole number above 0, or the time is
 * no number of seconds.
 *
 * @example
 * ```ts
 * import { Bus, pool } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * // In a program of your own this is a file: import.meta.resolve("./worker.ts")
 * const module = `
 *   import { Bus } from "${import.meta.resolve("@platypush/redis/bus")}";
 *   const bus = new Bus({ name: "example/pool", group: "resize" });
 *   bus.on({ type: "custom.Photo" }, (event) => event.args.file);
 * `;
 * const url = `data:application/typescript,${encodeURIComponent(module)}`;
 *
 * await using bus = new Bus({ name: "example/pool", deviceId: "livingroom" });
 * await using workers = pool(url, { size: 2, name: "resize" });
 * await workers.ready();
 * assert.equal(bus.subscribers, 2);
 * ```
 */
export function pool(url: string | URL, options: PoolOptions = {}): Pool {
  return new Pool(url, options);
}

/**
 * Workers that run the same module, as {@linkcode pool} starts them. One that
 * ends, since something was thrown there or for another reason, is started again,
 * after pauses that grow up to 30 s while it ends soon. What it was at work on has
 * been `dropped`, as with every subscriber that is lost; that of a member of a
 * group goes to another member first.
 *
 * @example
 * ```ts
 * import { pool } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * const stop = new AbortController();
 * const module = `
 *   import { Bus } from "${import.meta.resolve("@platypush/redis/bus")}";
 *   new Bus({ name: "example/pool/stop" });
 * `;
 * const url = `data:application/typescript,${encodeURIComponent(module)}`;
 * const workers = pool(url, { size: 1, signal: stop.signal });
 * await workers.ready();
 * stop.abort();
 * await workers.close(); // waits until they have stopped
 * assert.equal(workers.restarts, 0);
 * ```
 */
export class Pool implements AsyncDisposable {
  /** The number of workers. */
  readonly size: number;
  readonly #url: string;
  readonly #options: PoolOptions & { name: string; stopTimeout: number };
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  readonly #firstReady: Promise<unknown>;
  /** The workers that have not opened a bus yet, not once. */
  readonly #starting = new Set<string>();
  readonly #runs: Promise<void>[];
  #restarts = 0;
  #unsaid = 0;
  #quietUntil = 0;
  #quiet = 0;
  #wasLoaded = false;

  /**
   * Starts the workers, as {@linkcode pool} does.
   *
   * @param url Where the module is that they run.
   * @param options How many workers there are, and what stops them.
   */
  constructor(url: string | URL, options: PoolOptions) {
    const given = checkOptions("start a pool", options, POOL_OPTIONS);
    this.#url = absolute(url);
    this.#options = given;
    this.size = given.size ?? navigator.hardwareConcurrency;
    this.#logger = given.logger ?? createLogger("bus");
    this.#failed.promise.catch(() => {});
    if (given.signal?.aborted) this.#stopping.abort();
    const firsts = Array.from(
      { length: this.size },
      () => Promise.withResolvers<void>(),
    );
    this.#firstReady = Promise.all(firsts.map(({ promise }) => promise));
    this.#runs = firsts.map(({ resolve }, i) => {
      const name = `${given.name} ${i + 1}`;
      this.#starting.add(name);
      return this.#run(name, () => {
        this.#starting.delete(name);
        resolve();
      });
    });
    this.#watchStart();
    const { signal } = given;
    const watch = whenAborted(signal, () => this.close());
    whenAborted(this.#stopping.signal, () => watch[Symbol.dispose]());
  }

  /** The number of times that a worker was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /**
   * Waits until every worker has opened a `Bus`, and everybody on the bus knows
   * of it: what is posted from then on arrives.
   *
   * @throws {BusError} When the module cannot be loaded, or the pool was closed.
   */
  async ready(): Promise<void> {
    await Promise.race([this.#failed.promise, this.#firstReady]);
  }

  /**
   * Stops the workers: each closes its buses, which gives back what it is busy
   * with without counting a failure, and is terminated then. Where that work is to
   * be finished, stop the backend first.
   */
  async close(): Promise<void> {
    this.#stopping.abort();
    this.#failed.reject(new BusError("The pool was closed"));
    await Promise.all(this.#runs);
  }

  /** Does what {@linkcode Pool.close} does, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Keeps one worker running, until the pool stops. */
  async #run(name: string, onReady: () => void): Promise<void> {
    const { signal } = this.#stopping;
    for (let soon = 0; !signal.aborted;) {
      const start = performance.now();
      const end = await this.#live(name, onReady);
      if (signal.aborted) return;
      if (!this.#wasLoaded) return this.#giveUp(end.reason);
      const lived = (performance.now() - start) / 1000;
      if (lived > PAUSES.longest) soon = 0;
      const pause = backoff(soon++, PAUSES);
      this.#say(name, end.reason, pause);
      this.#restarts++;
      await sleep(pause, { signal });
    }
  }

  /** Starts a worker, and resolves when it has ended. */
  async #live(name: string, onReady: () => void): Promise<WorkerEnd> {
    const { permissions, stopTimeout } = this.#options;
    using worker = new PoolWorker(this.#url, name, permissions, () => {
      this.#wasLoaded = true;
      onReady();
    });
    using _stop = whenAborted(
      this.#stopping.signal,
      () => worker.stop(stopTimeout),
    );
    const end = await worker.ended;
    this.#wasLoaded ||= end.wasLoaded;
    return end;
  }

  /**
   * Says so, once, when there are workers that open no bus: one that stands still
   * looks like one that has none.
   */
  async #watchStart(): Promise<void> {
    const { signal } = this.#stopping;
    const isReady = await settledWithin(this.#firstReady, SLOW_START, {
      signal,
      daemon: true,
    });
    if (isReady || signal.aborted) return;
    const late = `${this.#starting.size} of ${amount(this.size, "worker")}`;
    const have = this.#starting.size === 1 ? "has" : "have";
    this.#logger.warn(
      `${late} ${have} opened no Bus yet, ${SLOW_START} s after the start: still loading, standing still, or without one. One that has ended would be started again; look at what ${this.#url} does first.`,
    );
  }

  /** Gives up when the module cannot be loaded, which another attempt would not change. */
  #giveUp(reason: string): void {
    if (this.#stopping.signal.aborted) return;
    const error = new BusError(
      `Cannot start the workers of ${this.#url}: ${reason}. ` +
        'Mend the module, or give the address of one that is there, such as import.meta.resolve("./worker.ts")',
    );
    this.#logger.error(`${error.message}.`);
    this.#failed.reject(error);
    this.#stopping.abort();
  }

  /** Says that a worker has ended, once in a time that grows as long as they do. */
  #say(name: string, reason: string, pause: number): void {
    this.#unsaid++;
    const now = performance.now() / 1000;
    if (now < this.#quietUntil) return;
    const isCalm = now > this.#quietUntil + PAUSES.longest;
    this.#quiet = isCalm ? 1 : Math.min(Math.max(this.#quiet * 2, 1), 600);
    this.#quietUntil = now + this.#quiet;
    const others = this.#unsaid > 1
      ? ` (${
        amount(this.#unsaid, "end of a worker", "ends of workers")
      } since the last such line)`
      : "";
    this.#unsaid = 0;
    this.#logger.error(
      `The worker "${name}" has ended: ${reason}; it starts again in ${
        pause.toFixed(1)
      } s${others}.`,
    );
  }
}

/** Says why a worker has ended. */
interface WorkerEnd {
  readonly reason: string;
  /** True if its module was loaded, as far as that is known. */
  readonly wasLoaded: boolean;
}

/** One worker, from its start to its end. */
class PoolWorker implements Disposable {
  readonly ended: Promise<WorkerEnd>;
  readonly #worker: Worker;
  /** The lock that tells whether the thread still exists. */
  readonly #lock = `${MARK}#${crypto.randomUUID()}`;
  readonly #end: (end: WorkerEnd) => void;
  readonly #ready = new AbortController();
  readonly #over = new AbortController();
  readonly #stopped = Promise.withResolvers<void>();

  constructor(
    url: string,
    name: string,
    permissions: Deno.PermissionOptions | undefined,
    onReady: () => void,
  ) {
    const { promise, resolve } = Promise.withResolvers<WorkerEnd>();
    this.ended = promise;
    this.#end = resolve;
    this.#worker = new Worker(url, {
      type: "module",
      name,
      ...(permissions !== undefined && { deno: { permissions } }),
    } as WorkerOptions);
    this.#worker.addEventListener("error", (event) => this.#onError(event));
    this.#worker.addEventListener("message", (event) => {
      if (!isPoolMessage(event.data)) return;
      event.stopImmediatePropagation();
      if (event.data[MARK] === "stopped") this.#stopped.resolve();
      if (event.data[MARK] !== "ready") return;
      this.#ready.abort();
      onReady();
      held(this.#lock, this.#over.signal).then(() => this.#onClosed());
    });
    this.#tell("hello");
  }

  /** Lets it close its buses, and ends it then, or when its time is over. */
  async stop(timeout: number): Promise<void> {
    this.#ready.abort();
    this.#tell("stop");
    await settledWithin(this.#stopped.promise, timeout);
    this.#end({ reason: "the pool has stopped", wasLoaded: true });
  }

  [Symbol.dispose](): void {
    this.#over.abort();
    this.#stopped.resolve();
    this.#worker.terminate();
  }

  /** Says something again and again: before a thread's first bus, nobody there listens. */
  #tell(what: "hello" | "stop"): void {
    const { signal } = this.#over;
    repeat(
      () => {
        const probe = new ArrayBuffer();
        this.#worker.postMessage({ [MARK]: what, lock: this.#lock }, [probe]);
        // Deno tells nobody that a worker has closed itself, but takes nothing over for it any more.
        if (!probe.detached) this.#onClosed();
      },
      what === "stop" ? signal : AbortSignal.any([signal, this.#ready.signal]),
    );
  }

  #onClosed(): void {
    this.#end({ reason: "it has closed itself", wasLoaded: true });
  }

  #onError(event: ErrorEvent): void {
    // Otherwise the whole process would end.
    event.preventDefault();
    // What is thrown has a file, or none (`null`) where it is no Error; only
    // what keeps a module from being loaded leaves the text empty, unless all of
    // it was found and the name of an import was not.
    const wasLoaded = event.filename !== "" && !MISFIT.test(event.message);
    this.#end({ reason: describeError(event), wasLoaded });
  }
}

/** Says something, and says it again until a signal. */
async function repeat(say: () => void, end: AbortSignal): Promise<void> {
  for (let attempt = 0; !end.aborted; attempt++) {
    say();
    await sleep(backoff(attempt, REPEATS), { signal: end, daemon: true });
  }
}

/** Resolves when a thread that holds a lock does not exist any more. */
async function held(lock: string, signal: AbortSignal): Promise<void> {
  await locks().request(lock, { signal }, () => Promise.resolve())
    // Nobody waits for it any more.
    .catch(() => new Promise(() => {}));
}

/** Makes an address of text; a relative one could be relative to anything. */
function absolute(url: string | URL): string {
  if (typeof url !== "string" && !(url instanceof URL)) {
    throw new TypeError(
      `Cannot start a pool: what is of the type ${typeof url} is no address that says where the module is; give import.meta.resolve("./worker.ts")`,
    );
  }
  if (URL.canParse(url)) return String(url);
  const shown = JSON.stringify(url);
  throw new TypeError(
    `Cannot start a pool: ${shown} is no address that says where the module is; give import.meta.resolve(${shown}), or new URL(${shown}, import.meta.url)`,
  );
}

/** Says what was thrown, and where. */
function describeError({ message, filename, lineno }: ErrorEvent): string {
  const [line = ""] = message.replace(/^Uncaught (\(in promise\) )?/, "")
    .split("\n");
  // A list that Deno begins in the first line goes on in the others.
  const text = line.replace(/\.( [\w ]+:)?$/, "");
  return filename ? `${text}, at ${filename}:${lineno}` : text;
}
