import { checkOptions, type Kinds } from "../check_options.ts";
import { TIME_LIMIT } from "../kinds.ts";
import { type Bus, DroppedError } from "../bus/mod.ts";
import { toError } from "../bus/to_error.ts";
import type { Logger } from "../logger.ts";
import { jsonValue, Request } from "../message/mod.ts";
import { RedisError } from "../redis/mod.ts";
import { backoff, sleep, unlessAborted } from "../waiting.ts";
import type { ActionHandler, ActionOptions } from "./action_handler.ts";
import type { ActionSettings } from "./action_settings.ts";
import { type Action, ActionTable } from "./action_table.ts";
import type { ResponseLike } from "./sender.ts";
import { Slots } from "./slots.ts";
import type { BackendStats } from "./stats.ts";

const OPTIONS: Kinds<ActionOptions> = { timeout: TIME_LIMIT };

/** What {@linkcode Actions} have to know of their backend. */
export interface ActionsOptions extends ActionSettings {
  /** Where requests arrive. */
  readonly bus: Bus;
  /** The only target whose requests are answered; `undefined` for all. */
  readonly target: string | undefined;
  /** Whether the process may end meanwhile. */
  readonly daemon: boolean;
  /** Sends a response. */
  readonly respond: (
    response: ResponseLike,
    request: Request,
  ) => Promise<unknown>;
  /** Where to report. */
  readonly logger: Logger;
}

/** For so long somebody may wait for a response, in seconds. */
const RESPONSE_SECONDS = 60;

/**
 * Answers the requests on a bus with what was registered for them, as long as
 * anything is.
 *
 * ```text
 * a request     waits for a slot ─► token, action, time limit ─► output or error ─► response
 * on the bus    └────────────────── is in hand, and not acknowledged ────────────────────┘
 * ```
 */
export class Actions {
  readonly #options: ActionsOptions;
  readonly #table = new ActionTable();
  readonly #slots: Slots;
  readonly #inHand = new Set<Promise<void>>();
  readonly #abandoned = new AbortController();
  #leaveBus: (() => void) | undefined;
  #running = 0;
  #answered = 0;

  /** @param options What they have to know of their backend. */
  constructor(options: ActionsOptions) {
    this.#options = options;
    this.#slots = new Slots(options.concurrency);
  }

  /** What was counted, and how it stands. */
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
  register(
    name: string,
    handler: ActionHandler,
    options: ActionOptions,
  ): () => void {
    this.#table.check(name);
    checkOptions(`register the action "${name}"`, options, OPTIONS);
    const { timeout = this.#options.timeout } = options;
    if (typeof handler !== "function") {
      throw new TypeError(
        `Cannot register the action "${name}": its handler is no function`,
      );
    }
    const { bus, target } = this.#options;
    this.#leaveBus ??= bus.registerHandler(
      Request,
      (request) => this.#take(request),
      target === undefined ? {} : { target },
      // Actions have their own, and some may have to wait for a slot.
      { timeout: Infinity },
    );
    const remove = this.#table.add(name, { handler, timeout });
    return () => {
      remove();
      if (this.#table.size === 0) this.#leave();
    };
  }

  /**
   * Takes no more requests, and waits for those in hand.
   *
   * @param timeout How long to wait, in seconds; then they are abandoned.
   */
  async close(timeout: number): Promise<void> {
    this.#leave();
    const idle = new AbortController();
    Promise.allSettled(this.#inHand).then(() => idle.abort());
    if (!await sleep(timeout, { signal: idle.signal })) {
      this.#options.logger.warn(
        `${this.#inHand.size} requests were not answered within ${timeout} s, and are left behind.`,
      );
    }
    this.abandon();
    await Promise.allSettled(this.#inHand);
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
    const response = await this.#execute(request);
    await this.#respond(response, request);
  }

  async #execute(request: Request): Promise<ResponseLike> {
    const { signal: abandoned } = this.#abandoned;
    using _slot = await this.#slots.take(abandoned);
    this.#running++;
    try {
      await this.#authorize(request);
      const { handler, timeout } = this.#find(request.action);
      const output = await this.#limit(
        timeout,
        `The action ${quote(request.action)} has not finished`,
        async (signal) => await handler(request.args, request, { signal }),
      );
      return { output: jsonValue(output, 2) };
    } catch (reason) {
      abandoned.throwIfAborted();
      return this.#explain(toError(reason), request);
    } finally {
      this.#running--;
    }
  }

  #find(name: string): Action {
    const action = this.#table.find(name);
    if (action !== undefined) return action;
    const nearest = this.#table.nearest(name);
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
    sleep(timeout, { signal: done.signal, unref: this.#options.daemon })
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
    const { isAllowed, logger, timeout } = this.#options;
    if (isAllowed === undefined) return;
    const { token } = request;
    let isRight: boolean;
    try {
      isRight = await this.#limit(
        timeout,
        "it has not answered",
        async () => await isAllowed(token, request) === true,
      );
    } catch (error) {
      this.#abandoned.signal.throwIfAborted();
      // What is wrong here is not for those who may not even ask.
      logger.error(`The token check has failed: ${toError(error).message}`);
      throw new Error("Refused: the token could not be checked");
    }
    if (isRight) return;
    throw new Error(`Refused: the token is ${token ? "wrong" : "missing"}`);
  }

  #explain(error: Error, request: Request): ResponseLike {
    const { logger } = this.#options;
    const text = error.message || error.name;
    logger.warn(
      `The request for ${quote(request.action)} from ${
        quote(request.origin)
      } was answered with an error: ${text}`,
    );
    logger.debug(String(error.stack));
    return { errors: [text] };
  }

  /** Sends the response as long as somebody may wait for it. */
  async #respond(response: ResponseLike, request: Request): Promise<void> {
    const { respond, logger, daemon } = this.#options;
    const { signal } = this.#abandoned;
    const deadline = performance.now() + RESPONSE_SECONDS * 1000;
    for (let attempt = 0;; attempt++) {
      try {
        await respond(response, request);
        this.#answered++;
        return;
      } catch (error) {
        signal.throwIfAborted();
        // One that arrives twice does no harm: whoever waits takes the first.
        const mayHelp = error instanceof RedisError && error.isTransient;
        if (!mayHelp || performance.now() > deadline) {
          return logger.error(
            `Request ${
              quote(request.id)
            } was executed, but its response is lost: ${
              toError(error).message
            }`,
          );
        }
      }
      await sleep(backoff(attempt), { signal, unref: daemon });
    }
  }
}

/** What came from the network may be long, and hold line ends. */
function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
