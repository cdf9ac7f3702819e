import { checkOptions, checkValue, type Rows } from "../options.ts";
import {
  DAEMON,
  FUNCTION,
  LOGGER,
  NAME,
  oneOrMore,
  required,
  SECONDS,
  TEXT,
  TEXT_OR_BYTES,
} from "../kinds.ts";
import { createLogger, type Logger } from "../logger.ts";
import { backoff, retry, settledWithin } from "../waiting.ts";
import {
  cancelDelayed,
  schedule,
  SCHEDULE_OPTIONS,
  type ScheduledMessage,
  type ScheduleOptions,
} from "./delayed.ts";
import { formatAddress } from "./address.ts";
import type { Connection } from "./connection.ts";
import { CONNECTION_TIMEOUT, type ConnectOptions } from "./connect_options.ts";
import type { RedisArgs } from "./redis_args.ts";
import { parseRedisArgs } from "./settings.ts";
import { RedisError, restate } from "./redis_error.ts";
import { isNumber } from "./reply_shape.ts";
import { Responses } from "./responses.ts";
import { Router } from "./router.ts";
import { defineMove } from "./script.ts";

/**
 * Says how long an {@linkcode Outbox} waits for a server, and whether it keeps
 * the process alive.
 */
export interface OutboxOptions {
  /**
   * The logger that hears what happens. Default: LogTape's category
   * `["platypush", "redis", "redis"]`.
   */
  logger?: Logger;
  /** True if the connections let the process end. Default: `false`. */
  daemon?: boolean;
  /**
   * The time to wait for a server that cannot be reached, in seconds. Default:
   * 10.
   */
  connectionTimeout?: number;
  /** As {@linkcode ConnectOptions.greet}. */
  greet?: NonNullable<ConnectOptions["greet"]>;
}

const OPTIONS: Rows<OutboxOptions, "connectionTimeout" | "daemon"> = {
  logger: LOGGER,
  daemon: DAEMON,
  connectionTimeout: CONNECTION_TIMEOUT,
  greet: FUNCTION,
};

const QUEUE = required(NAME);
const ID = required(TEXT);
const TIMEOUT = required(SECONDS);
const PAYLOAD = required(TEXT_OR_BYTES);
const PAYLOADS = oneOrMore(PAYLOAD);

const RESPONSE_SECONDS = 60;
/** The longest time to take a message back, in seconds. */
const TAKE_BACK_TIMEOUT = 1;

/**
 * Sends to queues and waits for responses, on connections of its own that are
 * made when they are first needed. What is sent at once travels together.
 *
 * @example
 * ```ts
 * import { Outbox, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using outbox = new Outbox(server.redisArgs);
 * await outbox.push("platypush/backend/redis", [
 *   `{"type": "event", "args": {"type": "my.Event"}}`,
 * ]);
 * ```
 */
export class Outbox {
  #router: Router;
  #responses: Responses;
  #timeout: number;
  #abort = new AbortController();

  /**
   * Makes an outbox; it connects when it first sends.
   *
   * @param args redis-py's arguments, see {@linkcode RedisArgs}.
   * @param options The logger, and more in {@linkcode OutboxOptions}.
   * @throws {TypeError} There is no such option or it is of another kind, or an
   * argument is unknown or wrong.
   * @throws {RangeError} A time is no number of seconds.
   */
  constructor(args: RedisArgs, options: OutboxOptions = {}) {
    const {
      logger = createLogger("redis"),
      daemon,
      connectionTimeout,
      greet,
    } = checkOptions("send to Redis", options, OPTIONS);
    parseRedisArgs(args);
    const inner = { logger, daemon, ...(greet && { greet }) };
    this.#timeout = connectionTimeout;
    const awaited = new Set<Promise<unknown>>();
    this.#router = new Router(args, { ...inner, awaited });
    this.#responses = new Responses(this.#router, awaited, inner);
  }

  /**
   * Appends to a queue (`RPUSH`), all of it or nothing.
   *
   * @param queue The list to whose end it goes.
   * @param payloads One message, or several in their order.
   * @param timeout The longest time to wait for the server and its answer, in
   * seconds. Default: `connectionTimeout` for the server, and no limit of its own
   * for the answer.
   * @returns How long the queue is now.
   * @throws {RedisError} The server could not be reached or refused. Where
   * `mayHaveRun` is set, the connection was lost on the way and the messages may
   * or may not be in the queue; in every other case they are not.
   * @throws {TypeError} The queue is no name, or a message is neither a text nor
   * bytes.
   */
  async push(
    queue: string,
    payloads: string | Uint8Array | readonly (string | Uint8Array)[],
    timeout?: number,
  ): Promise<number> {
    checkValue("send to Redis", "queue", queue, QUEUE);
    checkValue("send to Redis", "payloads", payloads, PAYLOADS);
    checkValue("send to Redis", "timeout", timeout, SECONDS);
    const list = (Array.isArray(payloads) ? payloads : [payloads]) as readonly (
      | string
      | Uint8Array
    )[];
    if (list.length === 0) return 0;
    return await this.#send(
      `send to "${queue}"`,
      queue,
      (connection) => connection.command<number>(["RPUSH", queue, ...list]),
      timeout,
    );
  }

  /**
   * Sends messages that are not to be in their queue at once, or only where none
   * of their kind was sent: all of them or none.
   *
   * @param queue The queue to whose end they go when they are due.
   * @param messages The messages, each with an id by which it can be cancelled.
   * @param options When they are due, and the key of their kind.
   * @param timeout The longest time to wait for the server and its answer, in
   * seconds, as for {@linkcode Outbox.push}.
   * @returns Whether they were sent.
   * @throws {TypeError} There is no such option or it is of another kind, or both
   * `delay` and `at` are given.
   * @throws {RangeError} They would be due in more than a year.
   * @throws {RedisError} As {@linkcode Outbox.push}.
   *
   * @example
   * ```ts
   * import { Outbox, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * await using outbox = new Outbox(server.redisArgs);
   * const messages = [{ id: "1", payload: "the lights are on" }];
   * await outbox.schedule("queue", messages, { delay: 3600 });
   * console.assert(await outbox.cancel("queue", "1"));
   * ```
   */
  async schedule(
    queue: string,
    messages: readonly ScheduledMessage[],
    options: ScheduleOptions,
    timeout?: number,
  ): Promise<boolean> {
    checkValue("send to Redis", "queue", queue, QUEUE);
    checkOptions("send to Redis", options, SCHEDULE_OPTIONS);
    return await this.#send(
      `send to "${queue}"`,
      queue,
      (connection) => schedule(connection, queue, messages, options),
      timeout,
    );
  }

  /**
   * Takes delayed messages back that are not due yet.
   *
   * @param queue The queue that they were sent to.
   * @param id The id with which they were sent.
   * @returns Whether there was one.
   * @throws {RedisError} As {@linkcode Outbox.push}.
   */
  async cancel(queue: string, id: string): Promise<boolean> {
    checkValue("cancel a message", "queue", queue, QUEUE);
    checkValue("cancel a message", "id", id, ID);
    let isCancelled = false;
    await this.#send(
      `cancel "${id}" of "${queue}"`,
      queue,
      (connection) =>
        cancelDelayed(connection, queue, id, () => isCancelled = true),
    );
    return isCancelled;
  }

  /**
   * Answers a request: the response waits for 60 seconds for whoever asked
   * (`RPUSH` and `EXPIRE` of `platypush/responses/<id>`).
   *
   * @param id The id of the request that it answers.
   * @param payload The response, as JSON in UTF-8.
   * @throws {RedisError} As {@linkcode Outbox.push}.
   * @throws {TypeError} The id is no text, or the response is neither a text nor
   * bytes.
   */
  async pushResponse(id: string, payload: string | Uint8Array): Promise<void> {
    checkValue("respond", "id", id, ID);
    checkValue("respond", "payload", payload, PAYLOAD);
    const key = responseKey(id);
    await this.#send(
      `respond to request ${id}`,
      key,
      (connection) =>
        connection.script(
          respond,
          [key],
          [payload, String(RESPONSE_SECONDS)],
          { isReply: isNumber },
        ),
    );
  }

  /**
   * Waits for the response to a request, without taking it from Redis before it
   * has arrived here. Any number of requests may wait at once.
   *
   * @param id The id of the request that it answers.
   * @param timeout The longest time to wait, in seconds.
   * @param signal Ends the wait: it rejects with the signal's reason.
   * @param start The moment at which the time began, by `performance.now()`.
   * Default: now.
   * @param refuse Tells why something that has come is not the response; then the
   * wait goes on. Default: everything is.
   * @returns The response as it was sent.
   * @throws {TypeError} The id is no text, or there is no time.
   * @throws {RangeError} The time is no number of seconds.
   * @throws {DOMException} `TimeoutError`: no response in time.
   * @throws {RedisError} `closed`: the outbox was closed meanwhile; or the
   * server refuses to be asked.
   *
   * @example
   * ```ts
   * import { Outbox, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * await using outbox = new Outbox(server.redisArgs);
   * const response = outbox.waitForResponse("42", 5);
   * await outbox.pushResponse("42", "done");
   * console.assert(new TextDecoder().decode(await response) === "done");
   * ```
   */
  async waitForResponse(
    id: string,
    timeout: number,
    signal?: AbortSignal,
    start?: number,
    refuse?: (payload: Uint8Array) => string | undefined,
  ): Promise<Uint8Array> {
    checkValue("wait for a response", "id", id, ID);
    checkValue("wait for a response", "timeout", timeout, TIMEOUT);
    const key = responseKey(id);
    return await this.#responses
      .wait({ id, key, timeout, signal, start, refuse });
  }

  /**
   * Takes a message back that nobody has taken out of its queue.
   *
   * @param queue The queue it was pushed to.
   * @param message The message, exactly as it was pushed.
   * @returns Whether it was still there, and is gone now.
   * @throws {TypeError} The queue is no name, or the message no payload.
   * @throws {RedisError} The server cannot be reached or refuses; then nobody
   * knows.
   */
  async takeBack(
    queue: string,
    message: string | Uint8Array,
  ): Promise<boolean> {
    checkValue("take back", "queue", queue, QUEUE);
    checkValue("take back", "message", message, PAYLOAD);
    const deadline = performance.now() + TAKE_BACK_TIMEOUT * 1000;
    const connection = await this.#router.connect(queue, deadline);
    return await connection.command<number>(
      ["LREM", queue, "-1", message],
    ) > 0;
  }

  /** Closes the connections; what still waits rejects. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#responses.close();
    await this.#router.close();
  }

  /** The same as {@linkcode Outbox.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Sends, again where that cannot do the same work twice. */
  async #send<Reply>(
    what: string,
    key: string,
    run: (connection: Connection) => Promise<Reply>,
    timeout?: number,
  ): Promise<Reply> {
    const { signal } = this.#abort;
    const limit = Math.min(timeout ?? Infinity, this.#timeout);
    const deadline = performance.now() + limit * 1000;
    const pauses = { first: 0.02, longest: 1 };
    const attempt = async (): Promise<Reply> => {
      const connection = await this.#router.connect(key, deadline);
      const running = run(connection);
      if (timeout === undefined) return await running;
      const left = Math.max(0, deadline - performance.now()) / 1000;
      if (await settledWithin(running, left, { signal })) return await running;
      throw new RedisError(
        {
          place: formatAddress(connection.address),
          reason: `no answer within ${timeout} s`,
        },
        "connection",
        { mayHaveRun: true },
      );
    };
    try {
      return await retry(
        attempt,
        {
          ...pauses,
          signal,
          mayHelp: (error, attempt) => {
            if (!(error instanceof RedisError)) return false;
            this.#router.forget();
            const next = performance.now() + backoff(attempt, pauses) * 1000;
            return !error.mayHaveRun && RETRIED.has(error.code) &&
              next < deadline;
          },
        },
      );
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      const note = error.mayHaveRun ? { note: DOUBT } : {};
      throw restate(error, { attempted: what, ...note });
    }
  }
}

/** A failover shows in these ways until it is over. */
const RETRIED: ReadonlySet<string> = new Set([
  "connection",
  "unavailable",
  "moved",
  "readonly",
]);

/** Puts a response where who asked waits for it, for a limited time. */
const respond = defineMove(
  ["list"],
  `
-- KEYS[1]  the list of the responses to one request
-- ARGV[1]  the response
-- ARGV[2]  for how many seconds it is kept
redis.call('RPUSH', KEYS[1], ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[2])
`,
);

const DOUBT =
  "The server may or may not have received it, so it was not sent again";

/** The key of the list on which the responses to a request arrive. */
function responseKey(id: string): string {
  return `platypush/responses/${id}`;
}
