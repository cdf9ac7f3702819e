import { checkOptions, checkValue, type Kinds } from "../check_options.ts";
import { FLAG, LOGGER, NAMES, OBJECT, required, SECONDS } from "../kinds.ts";
import { createLogger, type Logger } from "../logger.ts";
import { backoff, sleep } from "../waiting.ts";
import type { Connection } from "./connection.ts";
import type { DeadLetter } from "./dead_letter.ts";
import {
  DEAD_LETTER_FILTER,
  type DeadLetterFilter,
  isEmpty,
  matcher,
  setOf,
} from "./dead_letter_filter.ts";
import { DeadLetterPages, type Entry } from "./dead_letter_pages.ts";
import type { Argument } from "./link.ts";
import { parseRedisArgs } from "./parse_redis_args.ts";
import type { RedisArgs } from "./redis_args.ts";
import { queueKeys } from "./queue_keys.ts";
import { RedisError, type RedisErrorCode } from "./redis_error.ts";
import { Router } from "./router.ts";
import { exhume } from "./scripts/exhume.ts";

/** How {@linkcode DeadLetters} works. All of it is optional except the queue. */
export interface DeadLettersOptions {
  /** The queue whose dead letters are meant, or several. */
  queue: string | readonly string[];
  /** Where to report what happens. Default: LogTape's category of this room. */
  logger?: Logger;
  /** Whether the connections let the process end. Default: `false`. */
  unref?: boolean;
  /** How long to wait for a server that cannot be reached, in seconds. Default: 10. */
  connectionTimeout?: number;
}

const OPTIONS: Kinds<DeadLettersOptions> = {
  queue: required(NAMES),
  logger: LOGGER,
  unref: FLAG,
  connectionTimeout: SECONDS,
};

const WHICH = required({
  expected: '"all" or a filter, such as { id }',
  accepts: (value) => value === "all" || OBJECT.accepts(value),
});

const RETRIED: ReadonlySet<RedisErrorCode> = new Set([
  "connection",
  "unavailable",
  "moved",
]);

/**
 * The messages that could not be handled, of one queue or several. Looking after
 * them takes no message out of a queue. The connections are made when they are
 * first needed.
 *
 * @example
 * ```ts
 * import { DeadLetters, Inbox, Outbox, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using outbox = new Outbox(server.redisArgs);
 * await outbox.push("queue", "rubbish");
 * await using inbox = await Inbox.open(server.redisArgs, { queue: "queue" });
 * const error = new Error("That makes no sense");
 * const batch = await inbox.next();
 * await batch?.settle([{ index: 0, reason: "malformed", error }]);
 *
 * await using dead = new DeadLetters(server.redisArgs, { queue: "queue" });
 * for await (const { id, reason, error } of dead.list()) {
 *   console.log(id, reason, error);
 * }
 * console.assert(await dead.requeue({ reason: "failed" }) === 0);
 * console.assert(await dead.purge("all") === 1);
 * ```
 */
export class DeadLetters {
  #queues: readonly string[];
  #router: Router;
  #timeout: number;
  #hasFailover: boolean;
  #abort = new AbortController();

  /**
   * Looks after dead letters; it connects when it is first asked something.
   *
   * @param args redis-py's arguments, see {@linkcode RedisArgs}.
   * @param options See {@linkcode DeadLettersOptions}.
   * @throws {TypeError} There is no such option or it is of another kind, or an
   * argument is unknown or wrong.
   * @throws {RangeError} A time is no number of seconds.
   */
  constructor(args: RedisArgs, options: DeadLettersOptions) {
    checkOptions("look after dead letters", options, OPTIONS);
    const { sentinel, cluster } = parseRedisArgs(args);
    this.#queues = [...new Set([options.queue].flat())];
    this.#hasFailover = (sentinel ?? cluster) !== undefined;
    this.#timeout = options.connectionTimeout ?? 10;
    this.#router = new Router(args, {
      logger: options.logger ?? createLogger("redis"),
      unref: options.unref ?? false,
    });
  }

  /**
   * Counts them.
   *
   * @returns How many there are in all queues.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async count(): Promise<number> {
    let count = 0;
    for (const queue of this.#queues) {
      const { dead } = queueKeys(queue, "");
      count += await this.#run(
        "count",
        queue,
        (connection) => connection.command<number>(["LLEN", dead]),
      );
    }
    return count;
  }

  /**
   * Lists them, queue by queue, the oldest first. They are read in pages, so
   * that there may be many and large ones. They may be requeued or purged on the
   * way.
   *
   * @param filter Which ones. Default: all.
   * @returns Each of them, as it was when its page was read.
   * @throws {TypeError} The filter says what there is not.
   * @throws {RangeError} A value of the filter makes no sense.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async *list(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetter> {
    const queues = this.#check(filter);
    const matches = matcher(filter);
    let left = (setOf(filter.id) ?? setOf(filter.index))?.size ?? Infinity;
    for (const queue of queues) {
      const pages = this.#pages("list", queue);
      for (let page; left > 0 && (page = await pages.next()).length > 0;) {
        const found = page.filter(({ letter }) => matches(letter));
        left -= found.length;
        for (const { letter } of found) yield letter;
      }
    }
  }

  /**
   * Puts their messages back at the end of the queue, byte for byte and in their
   * order, as if they were new: earlier deliveries no longer count. A message is
   * always either a dead letter or in the queue, and never in both, also where
   * the connection breaks or somebody else does the same at the same time.
   *
   * @param which `"all"`, or which ones. An index is looked up before anything
   * is moved.
   * @returns How many were moved. After the connection was lost on the way, it
   * counts also those that somebody else has removed meanwhile.
   * @throws {TypeError} The filter says what there is not, or is empty.
   * @throws {RangeError} A value of the filter makes no sense.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async requeue(which: "all" | DeadLetterFilter): Promise<number> {
    return await this.#remove("requeue", which);
  }

  /**
   * Removes them for good.
   *
   * @param which `"all"`, or which ones. An index is looked up before anything
   * is removed.
   * @returns How many were removed, counted as {@linkcode DeadLetters.requeue} does.
   * @throws {TypeError} The filter says what there is not, or is empty.
   * @throws {RangeError} A value of the filter makes no sense.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async purge(which: "all" | DeadLetterFilter): Promise<number> {
    return await this.#remove("purge", which);
  }

  /** Closes the connections; what is under way rejects. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#router.close();
  }

  /** The same as {@linkcode DeadLetters.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #remove(
    action: "requeue" | "purge",
    which: "all" | DeadLetterFilter,
  ): Promise<number> {
    checkValue(`${action} dead letters`, "which", which, WHICH);
    const filter = which === "all" ? {} : which;
    const queues = this.#check(filter);
    if (which !== "all" && isEmpty(which)) {
      throw new TypeError(
        `Cannot ${action} dead letters: the filter is empty; pass "all" where all are meant.`,
      );
    }
    if (filter.index !== undefined) {
      const id = await Array.fromAsync(this.list(filter), ({ id }) => id);
      return await this.#remove(action, { queue: queues, id });
    }
    const matches = matcher(filter);
    let left = setOf(filter.id)?.size ?? Infinity;
    let count = 0;
    try {
      for (const queue of queues) {
        const pages = this.#pages(action, queue);
        let chosen: Entry[] = [];
        for (
          let page;
          left > 0 && (page = await pages.next(new Set(chosen))).length > 0;
        ) {
          chosen = page.filter(({ letter }) => matches(letter));
          left -= chosen.length;
          count += await this.#exhume(action, queue, chosen);
        }
      }
    } catch (error) {
      throw tellExtent(error, count);
    }
    return count;
  }

  async #exhume(
    action: "requeue" | "purge",
    queue: string,
    entries: readonly Entry[],
  ): Promise<number> {
    if (entries.length === 0) return 0;
    const args: Argument[] = [action];
    for (const { raw, letter } of entries) {
      args.push(raw, action === "requeue" ? letter.payload : "");
    }
    const keys = [queue, queueKeys(queue, "").dead];
    let isDoubtful = false;
    const count = await this.#run(
      action,
      queue,
      (connection) =>
        connection.script<number>(exhume, keys, args).catch((error) => {
          isDoubtful ||= (error as RedisError).mayHaveRun;
          throw error;
        }),
    );
    return isDoubtful ? entries.length : count;
  }

  #pages(action: string, queue: string): DeadLetterPages {
    return new DeadLetterPages(queue, (work) => this.#run(action, queue, work));
  }

  /** Checks a filter, and returns the queues that it concerns. */
  #check(filter: DeadLetterFilter): readonly string[] {
    checkOptions("choose dead letters", filter, DEAD_LETTER_FILTER);
    const wanted = setOf(filter.queue);
    const queues = this.#queues.filter((queue) => wanted?.has(queue) ?? true);
    if (filter.index !== undefined && queues.length > 1) {
      throw new TypeError(
        "Cannot choose dead letters: `index` is a place among those of one queue; say which one by `queue`.",
      );
    }
    return queues;
  }

  /** Does something; again where the connection breaks, since nothing here is harmed by that. */
  async #run<Reply>(
    action: string,
    queue: string,
    work: (connection: Connection) => Promise<Reply>,
  ): Promise<Reply> {
    const deadline = performance.now() + this.#timeout * 1000;
    for (let attempt = 0;; attempt++) {
      try {
        return await work(await this.#router.connect(queue, deadline));
      } catch (error) {
        if (!(error instanceof RedisError)) throw error;
        if (this.#abort.signal.aborted) throw closed(action, queue, error);
        this.#router.forget();
        const wait = backoff(attempt, { first: 0.02, longest: 1 });
        const isRetried = RETRIED.has(error.code) ||
          (error.code === "readonly" && this.#hasFailover);
        if (
          !isRetried || performance.now() + wait * 1000 > deadline
        ) {
          throw explain(error, action, queue);
        }
        await sleep(wait, { signal: this.#abort.signal });
      }
    }
  }
}

function closed(action: string, queue: string, cause: RedisError): RedisError {
  return new RedisError(
    `Cannot ${action} the dead letters of "${queue}": the connection was closed.`,
    "closed",
    { cause, mayHaveRun: cause.mayHaveRun },
  );
}

function explain(
  error: RedisError,
  action: string,
  queue: string,
): RedisError {
  const reason = error.message.replace(/^Cannot [^:]*: /, "");
  return new RedisError(
    `Cannot ${action} the dead letters of "${queue}": ${reason}`,
    error.code,
    { cause: error, mayHaveRun: error.mayHaveRun },
  );
}

/** Tells of how many dead letters had been dealt with before an error. */
function tellExtent(error: unknown, count: number): unknown {
  if (count === 0 || !(error instanceof RedisError)) return error;
  const extent = error.mayHaveRun ? `at least ${count}` : `${count}`;
  return new RedisError(
    `${error.message} It was done for ${extent} of them before.`,
    error.code,
    { cause: error, mayHaveRun: error.mayHaveRun },
  );
}
