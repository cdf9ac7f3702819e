import { createHash, timingSafeEqual } from "node:crypto";
import { type Bus, DroppedError } from "../bus/mod.ts";
import { toError } from "../bus/errors.ts";
import { stackOf } from "../guarded.ts";
import type { Logger } from "../logger.ts";
import { MinuteReport, othersBefore } from "../minute_report.ts";
import { shorten } from "../units.ts";
import { Request, type ResponseFields } from "../message/mod.ts";
import { jsonOutput } from "../message/response.ts";
import { RedisError } from "../redis/mod.ts";
import { retry, settledWithin, sleep, unlessAborted } from "../waiting.ts";
import {
  type Action,
  type ActionHandler,
  type ActionOptions,
  ActionTable,
  errorsOf,
  toAction,
} from "../bus/action_table.ts";
import { inspection } from "./inspection.ts";
import { WorkerActions } from "./worker_actions.ts";
import type { BackendStats } from "./consumption.ts";

/**
 * Decides about a request by its token, before its action is looked for. One that
 * is refused is answered with an error.
 *
 * @param token The request's token, which anybody may have sent; `null` where
 * it has none.
 * @param request The request that it came with.
 * @returns `true` if the request may be executed; nothing else allows it.
 *
 * @example
 * ```ts
 * import { RedisBackend, type TokenCheck } from "@platypush/redis";
 *
 * const check: TokenCheck = (token, { action }) =>
 *   action.endsWith(".status") || token === "what only the family knows";
 * const backend = new RedisBackend({ token: check });
 * console.assert(!backend.isAlive());
 * ```
 */
export type TokenCheck = (
  token: string | null,
  request: Request,
) => boolean | Promise<boolean>;

/** Holds what became of a request, as its response tells. */
type Outcome = Pick<ResponseFields, "output" | "errors">;

interface ActionsOptions {
  /** Brings the requests. */
  readonly bus: Bus;
  /** The only target whose requests are answered; `undefined` for all. */
  readonly target: string | undefined;
  /** The number of actions executed at a time. Default: 16. */
  readonly concurrency: number;
  /** The longest time for one, in seconds. Default: 30. */
  readonly timeout: number;
  /** For how many seconds a request is valid. */
  readonly maxAge: number;
  /** The token that requests need; all are executed where there is none. */
  readonly token: string | TokenCheck | undefined;
  /** Lets the process end meanwhile. */
  readonly daemon: boolean;
  /** Sends a response. */
  readonly respond: (answer: Outcome, request: Request) => Promise<unknown>;
  /** Reports requests that were answered with an error. */
  readonly logger: Logger;
}

/** Somebody may wait so long for a response, in seconds. */
const RESPONSE_SECONDS = 60;

/**
 * Answers the requests on a bus with what was registered for them, as long as
 * anything is.
 *
 * ```text
 * a request     waits for a slot -> token, action, time limit -> output or error -> response
 * on the bus    +------------------ is in hand, and not acknowledged --------------------+
 * ```
 */
export class Actions {
  readonly #options: ActionsOptions;
  readonly #table: ActionTable;
  readonly #workers: WorkerActions;
  readonly #slots: Slots;
  readonly #timeout: number;
  readonly #isAllowed: TokenCheck | undefined;
  readonly #inHand = new Set<Promise<void>>();
  readonly #abandoned = new AbortController();
  /** Of each action that has failed; that of `undefined` is of what was refused. */
  readonly #failures = new Map<Action | undefined, MinuteReport>();
  #leaveBus: (() => void) | undefined;
  #isClosed = false;
  #running = 0;
  #answered = 0;

  constructor(options: ActionsOptions) {
    const { concurrency, timeout, token } = options;
    this.#options = options;
    this.#slots = new Slots(concurrency);
    this.#timeout = timeout;
    this.#table = new ActionTable(
      inspection(timeout, async () => [
        ...await this.#workers.list(),
        ...this.#table.list(),
      ]),
    );
    const { bus, daemon, logger } = options;
    this.#workers = new WorkerActions({
      bus,
      daemon,
      logger,
      onChange: () => this.#listen(),
    });
    this.#listen();
    this.#isAllowed = token === undefined ? undefined : tokenCheck(token);
  }

  /** Gives what was counted, and how it stands. */
  stats(): Pick<
    BackendStats,
    "answered" | "actionsRunning" | "actionsWaiting"
  > {
    return {
      answered: this.#answered,
      actionsRunning: this.#running,
      actionsWaiting: this.#slots.waiting,
    };
  }

  /** Adds an action; see {@linkcode Backend.registerAction}. */
  register<Args>(
    name: string,
    handler: ActionHandler<Args>,
    options: ActionOptions<Args>,
  ): () => void {
    const action = toAction(name, handler, options);
    this.#table.check(name);
    const remove = this.#table.add(name, action);
    this.#listen();
    return () => {
      remove();
      this.#listen();
    };
  }

  /** Takes requests for as long as there are actions, here or in other threads. */
  #listen(): void {
    const { bus, target } = this.#options;
    const isAny = this.#table.size > 0 || this.#workers?.isAny;
    if (!isAny || this.#isClosed) return this.#leave();
    this.#leaveBus ??= bus.registerHandler(
      Request,
      (request) => this.#take(request),
      target === undefined ? {} : { target },
      // Actions have their own, and some may have to wait for a slot.
      { timeout: Infinity },
    );
  }

  /**
   * Takes no more requests, and waits for those in hand.
   *
   * @param timeout How long to wait, in seconds; then they are abandoned.
   */
  async close(timeout: number): Promise<void> {
    this.#isClosed = true;
    this.#leave();
    const idle = Promise.allSettled(this.#inHand);
    if (!await settledWithin(idle, timeout)) {
      this.#options.logger.warn(
        `${this.#inHand.size} requests were not answered within ${timeout} s, and are left behind.`,
      );
    }
    this.abandon();
    await idle;
    await this.#workers.close();
    for (const report of this.#failures.values()) report.stop();
  }

  /** Answers no more requests: those in hand count as dropped. */
  abandon(): void {
    this.#abandoned.abort(
      new DOMException("The backend was stopped", "AbortError"),
    );
  }

  #leave(): void {
    this.#leaveBus?.();
    this.#leaveBus = undefined;
  }

  async #take(request: Request): Promise<void> {
    const answer = this.#answer(request);
    this.#inHand.add(answer);
    try {
      await answer;
    } catch (error) {
      if (!this.#abandoned.signal.aborted) throw error;
      throw new DroppedError(
        `The backend was stopped before it had answered request ${request.id}`,
      );
    } finally {
      this.#inHand.delete(answer);
    }
  }

  async #answer(request: Request): Promise<void> {
    await this.#respond(await this.#execute(request), request);
  }

  async #execute(request: Request): Promise<Outcome> {
    const { signal: abandoned } = this.#abandoned;
    using _slot = await this.#slots.take(abandoned);
    this.#running++;
    let executed: Action | undefined;
    try {
      await this.#authorize(request);
      const action = await this.#find(request.action);
      const {
        execute,
        timeout = this.#timeout,
        maxAge = this.#options.maxAge,
      } = action;
      checkAge(request, maxAge);
      executed = action;
      const output = await this.#limit(
        timeout,
        `The action ${quote(request.action)} has not finished`,
        async (signal) => await execute(request, signal),
      );
      return { output: jsonOutput(output) };
    } catch (reason) {
      abandoned.throwIfAborted();
      return this.#explain(toError(reason), request, executed);
    } finally {
      this.#running--;
    }
  }

  async #find(name: string): Promise<Action> {
    const action = this.#table.find(name) ?? await this.#workers.find(name);
    if (action !== undefined) return action;
    const nearest = this.#table.nearest(name) ?? this.#workers.nearest(name);
    const hint = nearest === undefined
      ? ""
      : `; the nearest one is "${nearest}"`;
    throw new Error(`There is no action ${quote(name)}${hint}`);
  }

  /** Waits for work, until its time is over or the backend stops. */
  async #limit<Result>(
    timeout: number,
    complaint: string,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const [late, done] = [new AbortController(), new AbortController()];
    sleep(timeout, { signal: done.signal, daemon: this.#options.daemon })
      .then((isDone) =>
        isDone || late.abort(
          new DOMException(`${complaint} within ${timeout} s`, "TimeoutError"),
        )
      );
    const signal = AbortSignal.any([this.#abandoned.signal, late.signal]);
    try {
      return await unlessAborted(work(signal), signal);
    } finally {
      done.abort();
    }
  }

  async #authorize(request: Request): Promise<void> {
    const isAllowed = this.#isAllowed;
    if (isAllowed === undefined) return;
    const { token } = request;
    let isRight: boolean;
    try {
      isRight = await this.#limit(
        this.#timeout,
        "it has not answered",
        async () => await isAllowed(token, request) === true,
      );
    } catch (error) {
      this.#abandoned.signal.throwIfAborted();
      // What is wrong here is not for those who may not even ask.
      this.#options.logger.error(
        `The token check has failed: ${toError(error).message}.`,
      );
      throw new Error("Refused: the token could not be checked");
    }
    if (isRight) return;
    throw new Error(`Refused: the token is ${token ? "wrong" : "missing"}`);
  }

  /** @param executed The action that has failed, where it was not refused before. */
  #explain(
    error: Error,
    { action, origin }: Request,
    executed: Action | undefined,
  ): Outcome {
    const { logger } = this.#options;
    const errors = errorsOf(error);
    this.#reportOf(executed).add((sum) => {
      logger.warn(
        `The request for ${quote(action)} from ${
          quote(origin)
        } was answered with an error: ${errors.join("; ")}${
          othersBefore(sum!)
        }.`,
      );
    }, 1);
    logger.debug(stackOf(error));
    return { errors };
  }

  #reportOf(executed: Action | undefined): MinuteReport {
    let report = this.#failures.get(executed);
    if (report !== undefined) return report;
    // Workers come and go, each with actions of its own.
    for (const [action, { isAtRest }] of this.#failures) {
      if (isAtRest) this.#failures.delete(action);
    }
    report = new MinuteReport();
    this.#failures.set(executed, report);
    return report;
  }

  /** Sends the response as long as somebody may wait for it. */
  async #respond(answer: Outcome, request: Request): Promise<void> {
    const { respond, logger, daemon } = this.#options;
    const { signal } = this.#abandoned;
    const deadline = performance.now() + RESPONSE_SECONDS * 1000;
    try {
      await retry(() => respond(answer, request), {
        // One that arrives twice does no harm: whoever waits takes the first.
        mayHelp: (error) =>
          error instanceof RedisError && error.isTransient &&
          performance.now() < deadline,
        signal,
        daemon,
      });
      this.#answered++;
    } catch (error) {
      signal.throwIfAborted();
      logger.error(
        `Request ${quote(request.id)} was executed, but its response is lost: ${
          toError(error).message
        }.`,
      );
    }
  }
}

/**
 * Refuses a request that is too old. One from the future is not: its sender's
 * clock is ahead of ours.
 */
function checkAge({ action, timestamp }: Request, maxAge: number): void {
  const age = Date.now() / 1000 - timestamp;
  if (age <= maxAge) return;
  throw new Error(
    `Expired: the request was made ${
      Math.round(age)
    } s ago by its sender's clock, more than the ${maxAge} s for which one for ${
      quote(action)
    } is valid (actionMaxAge)`,
  );
}

/** Shows a text from the network, which may be long and hold line ends. */
function quote(text: string): string {
  return JSON.stringify(shorten(text, 100));
}

/** Lets so many work at a time; the others wait, first come, first served. */
class Slots {
  #free: number;
  readonly #queue = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** The number of those who wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Takes a slot, as soon as there is one.
   *
   * @returns The slot; disposing of it frees it.
   * @throws The signal's reason.
   */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    return { [Symbol.dispose]: () => this.#release() };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#queue.add(resolve);
    try {
      await unlessAborted(promise, signal);
    } catch (reason) {
      // One that was passed on meanwhile goes to the next.
      if (!this.#queue.delete(resolve)) this.#release();
      throw reason;
    }
  }

  #release(): void {
    const [next] = this.#queue;
    if (next === undefined) {
      this.#free++;
    } else {
      this.#queue.delete(next);
      next();
    }
  }
}

/**
 * Makes a check of a token. It takes the same time whatever is wrong with the
 * token that is checked.
 */
function tokenCheck(token: string | TokenCheck): TokenCheck {
  if (typeof token === "function") return token;
  const expected = digest(token);
  return (given) => given !== null && timingSafeEqual(digest(given), expected);
}

/** Of equal length for all tokens. */
function digest(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
