import { Buffer } from "node:buffer";
import { checkOptions, checkValue, type Rows } from "../options.ts";
import { DAEMON, LOGGER, NAMES, OBJECT, required } from "../kinds.ts";
import { guarded } from "../guarded.ts";
import { createLogger, type Logger } from "../logger.ts";
import { retry } from "../waiting.ts";
import { BriefConnection } from "./brief_connection.ts";
import { CONNECTION_TIMEOUT } from "./connect_options.ts";
import type { Connection } from "./connection.ts";
import {
  DEAD_LETTER_FILTER,
  type DeadLetter,
  type DeadLetterFilter,
  isEmpty,
  isWhole,
  matcher,
  renew,
  setOf,
} from "./dead_letter.ts";
import { partDeadLetters, RANGE, type Run } from "./dead_letter_front.ts";
import {
  countDeadLetters,
  DeadLetterPages,
  type Entry,
} from "./dead_letter_pages.ts";
import { REMEMBER } from "./history.ts";
import { IdCounts } from "./id_counts.ts";
import type { RedisArgs } from "./redis_args.ts";
import { parseRedisArgs } from "./settings.ts";
import { QueueKeys } from "./queue_keys.ts";
import { RedisError, restate } from "./redis_error.ts";
import {
  countRemoved,
  type Removal,
  REMOVE_OPTIONS,
  REQUEUE_OPTIONS,
  type RequeueOptions,
  tellExtent,
} from "./removal.ts";
import { isNumber } from "./reply_shape.ts";
import { Router } from "./router.ts";
import { defineMove } from "./script.ts";

/**
 * Says how {@linkcode DeadLetters} works. All of it is optional except the
 * queue.
 */
export interface DeadLettersOptions {
  /** The queue whose dead letters are meant, or several. */
  queue: string | readonly string[];
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
}

const OPTIONS: Rows<DeadLettersOptions, "connectionTimeout" | "daemon"> = {
  queue: required(NAMES),
  logger: LOGGER,
  daemon: DAEMON,
  connectionTimeout: CONNECTION_TIMEOUT,
};

const WHICH = required({
  expected: '"all" or a filter, such as { id }',
  accepts: (value) => value === "all" || OBJECT.accepts(value),
});

/** The largest answer that is read when a text moves, in bytes. */
const MAX_MOVE_REPLY = 2 ** 16;

/** The errors after which asking again may help. */
const RETRIED: ReadonlySet<RedisError["code"]> = new Set([
  "connection",
  "unavailable",
  "moved",
  "readonly",
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
  #args: RedisArgs;
  #queues: readonly string[];
  #router: Router;
  #logger: Logger;
  #timeout: number;
  #abort = new AbortController();

  /**
   * Looks after dead letters; it connects when it is first asked something.
   *
   * @param args redis-py's arguments, see {@linkcode RedisArgs}.
   * @param options The queue, and more in {@linkcode DeadLettersOptions}.
   * @throws {TypeError} There is no such option or it is of another kind, or an
   * argument is unknown or wrong.
   * @throws {RangeError} A time is no number of seconds.
   */
  constructor(args: RedisArgs, options: DeadLettersOptions) {
    const {
      queue,
      logger = createLogger("redis"),
      daemon,
      connectionTimeout,
    } = checkOptions("look after dead letters", options, OPTIONS);
    parseRedisArgs(args);
    this.#args = args;
    this.#queues = [...new Set([queue].flat())];
    this.#timeout = connectionTimeout;
    this.#logger = logger;
    this.#router = new Router(args, { logger, daemon, awaited: new Set() });
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
      count += await countDeadLetters(
        queue,
        (work) => this.#run("count", queue, work),
      );
    }
    return count;
  }

  /**
   * Lists them, queue by queue, the oldest first. They are read in pages, so
   * that there may be many and large ones. They may be requeued or purged on
   * the way.
   *
   * @param filter The conditions that they have to meet. Default: none, all are
   * listed.
   * @returns Each of them, as it was when its page was read.
   * @throws {TypeError} The filter says what there is not.
   * @throws {RangeError} A value of the filter makes no sense.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async *list(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetter> {
    const queues = this.#check(filter);
    let left = setOf(filter.index)?.size ?? Infinity;
    for (const queue of queues) {
      const matches = matcher(filter, await this.#now("list", queue, filter));
      const pages = new DeadLetterPages(
        queue,
        (work) => this.#run("list", queue, work),
      );
      for (
        let page: readonly Entry[];
        left > 0 && (page = await pages.next()).length > 0;
      ) {
        const found = page.filter(({ letter }) => matches(letter));
        left -= found.length;
        for (const { letter } of found) yield letter;
      }
    }
  }

  /**
   * Puts their messages back at the end of the queue, byte for byte and in
   * their order, as if they were new: earlier deliveries no longer count. An id
   * or a time that a message got because its sender had left it out stays the
   * same. A message is always either a dead letter or in the queue, and never
   * in both, also where the connection breaks or somebody else does the same at
   * the same time.
   *
   * A text that is kept apart ({@linkcode DeadLetter.key}) is moved first, and its
   * letter removed then: where the connection breaks in between, a letter without
   * its text stays. What the sender has left out of such a message is made up anew.
   * A letter whose text is gone stays where it is.
   *
   * @param which `"all"`, or which ones. An index is looked up before anything
   * is moved.
   * @param options `onProgress` is called with the number that is done so far,
   * and the part of the dead letters that was looked at, from 0 to 1. What it throws
   * is logged. A `payload` is put into the queue in place of each message, as by
   * somebody who has corrected it; a letter whose text is kept apart stays then.
   * @returns How many were moved. After the connection was lost on the way, it
   * counts also those that somebody else has removed meanwhile.
   * @throws {TypeError} The filter says what there is not, or is empty.
   * @throws {RangeError} A value of the filter makes no sense.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async requeue(
    which: "all" | DeadLetterFilter,
    options: {
      onProgress?: (count: number, part: number) => void;
      payload?: string | Uint8Array;
    } = {},
  ): Promise<number> {
    return await this.#remove("requeue", which, options);
  }

  /**
   * Removes them for good.
   *
   * @param which `"all"`, or which ones. An index is looked up before anything
   * is removed.
   * @param options `onProgress` is called with the number that is done so far,
   * and the part of the dead letters that was looked at, from 0 to 1. What it throws
   * is logged.
   * @returns How many were removed, counted as {@linkcode DeadLetters.requeue} does.
   * @throws {TypeError} The filter says what there is not, or is empty.
   * @throws {RangeError} A value of the filter makes no sense.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async purge(
    which: "all" | DeadLetterFilter,
    options: { onProgress?: (count: number, part: number) => void } = {},
  ): Promise<number> {
    return await this.#remove("purge", which, options);
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
    options: RequeueOptions,
  ): Promise<number> {
    checkValue(`${action} dead letters`, "which", which, WHICH);
    if (action === "purge") {
      checkOptions("purge dead letters", options, REMOVE_OPTIONS);
    } else checkOptions("requeue dead letters", options, REQUEUE_OPTIONS);
    const { payload } = options;
    const filter = which === "all" ? {} : which;
    const queues = this.#check(filter);
    if (which !== "all" && isEmpty(which)) {
      throw new TypeError(
        `Cannot ${action} dead letters: the filter is empty; pass "all" where all are meant`,
      );
    }
    if (filter.index !== undefined) {
      const id = await Array.fromAsync(this.list(filter), ({ id }) => id);
      return await this.#remove(action, { queue: queues, id }, options);
    }
    const onProgress = guarded(
      options.onProgress,
      (error) => this.#logger.error(`\`onProgress\` has failed: ${error}.`),
    );
    const removal: Removal = {
      action,
      filter,
      payload: payload === undefined ? undefined : Buffer.from(payload),
      named: filter.id === undefined
        ? undefined
        : new IdCounts([filter.id].flat()),
      count: 0,
      doubtful: new IdCounts(),
    };
    try {
      for (const [at, queue] of queues.entries()) {
        await this.#removeFrom(
          queue,
          removal,
          (part) =>
            onProgress(countRemoved(removal), (at + part) / queues.length),
        );
      }
    } catch (error) {
      throw tellExtent(error, countRemoved(removal));
    }
    return countRemoved(removal);
  }

  /** Removes those of one queue, page by page. */
  async #removeFrom(
    queue: string,
    removal: Removal,
    onPart: (part: number) => void,
  ): Promise<void> {
    const { action, filter, payload, named, doubtful } = removal;
    const run: Run = (work) => this.#run(action, queue, work);
    const matches = matcher(filter, await this.#now(action, queue, filter));
    const pages = new DeadLetterPages(queue, run);
    for (
      let page: readonly Entry[];
      !named?.isEmpty && (page = await pages.next()).length > 0;
    ) {
      const open = named && new IdCounts(named);
      const chosen = page.filter(({ letter }) =>
        matches(letter) && (action === "purge" || isWhole(letter)) &&
        (payload === undefined || letter.key === undefined) &&
        (open?.take(letter.id) ?? true)
      );
      for (const { letter } of chosen) doubtful.take(letter.id);
      const moved = action === "purge" || payload !== undefined
        ? chosen
        : await this.#withoutTexts(queue, chosen);
      if (moved.length > 0 && pages.isDeep) {
        await partDeadLetters(queue, moved[0]!.letter.index, run);
      }
      const removed = await this.#removeEntries(removal, queue, moved);
      for (const { letter: { id } } of removed ?? moved) {
        if (removed === undefined) doubtful.add(id);
        else named?.take(id);
      }
      removal.count += removed?.length ?? 0;
      pages.forget(removed ?? []);
      if (removed?.length !== moved.length) pages.readAgain(moved);
      onPart(pages.part);
    }
    await partDeadLetters(queue, 0, run);
  }

  /**
   * Puts texts that are kept apart back at the end of the queue. They move inside
   * of Redis, and not by a script, which would take several times their memory.
   *
   * @returns The dead letters without those whose text is gone.
   */
  async #withoutTexts(
    queue: string,
    entries: readonly Entry[],
  ): Promise<readonly Entry[]> {
    const moved: Entry[] = [];
    for (const entry of entries) {
      const { key } = entry.letter;
      if (key === undefined || await this.#moveText(queue, key)) {
        moved.push(entry);
      }
    }
    return moved;
  }

  /** Tells whether a text was there, and is at the end of the queue by now. */
  async #moveText(queue: string, key: string): Promise<boolean> {
    const { signal } = this.#abort;
    let mayHaveMoved = false;
    return await this.#run("requeue", queue, async (connection) => {
      // Redis answers with the text, which nobody wants here: as soon as its size
      // is announced it has moved, and the connection is given up.
      using mover = await BriefConnection.open(this.#args, {
        key: queue,
        signal,
        maxReply: MAX_MOVE_REPLY,
      });
      try {
        const move = ["LMOVE", key, queue, "LEFT", "RIGHT"];
        return await mover.command(move) !== null || mayHaveMoved;
      } catch (error) {
        mayHaveMoved ||= (error as RedisError).mayHaveRun;
        if (await connection.command(["EXISTS", key]) === 1) throw error;
        return true;
      }
    });
  }

  /**
   * Removes dead letters, and puts their messages back at the end of the queue
   * if wanted. It looks where they were when they were read, so that it takes no
   * longer the more there are; and a bit before, as others may have removed some
   * in front of them. What it does not find may be gone, or further away.
   */
  static readonly #REMOVE = defineMove(
    ["list", "list", "list", "hash", "string"],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the list of the dead letters
-- KEYS[3]  the front of that list
-- KEYS[4]  the hash of the histories
-- KEYS[5]  the dead letter whose text is kept apart
-- ARGV[1]  the index of the first of them
-- ARGV[2]  the index of the last of them
-- ARGV[3...] in turns: a dead letter, its message, the history of that, or 'none'
--          where no message goes back, and the key of its text or ''
-- Returns of each dead letter that was removed where it is in ARGV.
${REMEMBER}
${RANGE}
local first, last = tonumber(ARGV[1]), tonumber(ARGV[2])
local inFront = redis.call('LLEN', KEYS[3])
if range(KEYS[3], KEYS[2], first, first)[1] ~= ARGV[3] then
  first = math.max(0, first - (last - first + 1))
end
-- Where the list is parted in the midst of them, those behind have to wait.
local list = KEYS[2]
if first < inFront then
  list, last = KEYS[3], math.min(last, inFront - 1)
else
  first, last = first - inFront, last - inFront
end
-- Some may be the same as others: so each has the place of the next one like it.
local wanted, alike, found = {}, {}, {}
for position = #ARGV - 3, 3, -4 do
  alike[position] = wanted[ARGV[position]]
  wanted[ARGV[position]] = position
end
for at, letter in ipairs(redis.call('LRANGE', list, first, last)) do
  local position = wanted[letter]
  if position then
    found[#found + 1] = {index = first + at - 1, position = position}
    wanted[letter] = alike[position]
  end
end
-- Without the first of them it is not known which others come before these.
if #found == 0 or found[1].position ~= 3 then return {} end

-- Redis can remove from the middle of a list only what is equal: so they are made
-- equal first, and then removed at once, from the end that is nearer.
local REMOVED = 'removed by DeadLetters'
local payloads, histories = {}, {}
if ARGV[5] == 'none' then begin(KEYS[4]) end
for _, one in ipairs(found) do
  local letter, payload, history = unpack(ARGV, one.position, one.position + 2)
  if history ~= 'none' then
    payloads[#payloads + 1], histories[#histories + 1] = payload, history
  end
  add({'LSET', list, one.index, letter}, 'LSET', list, one.index, REMOVED)
end
if #payloads > 0 then
  add({'LTRIM', KEYS[1], 0, -#payloads - 1}, 'RPUSH', KEYS[1], unpack(payloads))
end
remember(KEYS[4], payloads, histories)
local isNearHead = last < redis.call('LLEN', list) / 2
redis.call('LREM', list, isNearHead and #found or -#found, REMOVED)
commit()
local places = {}
for at, one in ipairs(found) do
  places[at] = one.position
  local text = ARGV[one.position + 3]
  if text ~= '' then
    redis.call('DEL', text)
    if redis.call('GET', KEYS[5]) == ARGV[one.position] then
      redis.call('DEL', KEYS[5])
    end
  end
end
return places
`,
  );

  /** Tells which were removed; `undefined` where an answer was lost on the way. */
  async #removeEntries(
    { action, payload }: Removal,
    queue: string,
    entries: readonly Entry[],
  ): Promise<readonly Entry[] | undefined> {
    if (entries.length === 0) return entries;
    const [first, last] = [entries[0]!, entries.at(-1)!];
    const args: (string | Uint8Array)[] = [
      String(first.letter.index),
      String(last.letter.index),
    ];
    for (const { raw, letter } of entries) {
      const { key } = letter;
      // Another message has nothing of the identity of this one.
      const back = payload === undefined
        ? [letter.payload, renew(letter)]
        : [payload, ""];
      args.push(
        raw,
        ...(action === "requeue" && key === undefined ? back : ["", "none"]),
        key ?? "",
      );
    }
    const { dead, front, deliveries, text } = new QueueKeys(queue);
    const keys = [queue, dead, front, deliveries, text];
    let isDoubtful = false;
    const places = await this.#run(
      action,
      queue,
      (connection) =>
        connection.script<number[]>(DeadLetters.#REMOVE, keys, args, {
          isReply: (reply) => Array.isArray(reply) && reply.every(isNumber),
        }).catch(
          (error) => {
            isDoubtful ||= (error as RedisError).mayHaveRun;
            throw error;
          },
        ),
    );
    if (isDoubtful) return undefined;
    const removed = new Set(places);
    return entries.filter((_, at) => removed.has(4 * at + 3));
  }

  /** Checks a filter, and returns the queues that it concerns. */
  #check(filter: DeadLetterFilter): readonly string[] {
    checkOptions("choose dead letters", filter, DEAD_LETTER_FILTER);
    const wanted = setOf(filter.queue);
    const queues = this.#queues.filter((queue) => wanted?.has(queue) ?? true);
    if (filter.index !== undefined && queues.length > 1) {
      throw new TypeError(
        "Cannot choose dead letters: `index` is a place among those of one queue; say which one by `queue`",
      );
    }
    return queues;
  }

  /** Gives the time from which ages count: by the server's clock, where this user may know it. */
  async #now(
    action: string,
    queue: string,
    { olderThan, newerThan }: DeadLetterFilter,
  ): Promise<number> {
    const now = Date.now() / 1000;
    if ((olderThan ?? newerThan) === undefined) return now;
    return await this.#run(action, queue, async (connection) => {
      const [seconds, rest] = await connection.command<[string, string]>(
        ["TIME"],
      );
      return Number(seconds) + Number(rest) / 1e6;
    }).catch((error) => {
      if ((error as RedisError).code === "permission") return now;
      throw error;
    });
  }

  /** Does something; again where the connection breaks, since nothing here is harmed by that. */
  async #run<Reply>(
    action: string,
    queue: string,
    work: (connection: Connection) => Promise<Reply>,
  ): Promise<Reply> {
    const { signal } = this.#abort;
    const deadline = performance.now() + this.#timeout * 1000;
    const attempt = async (): Promise<Reply> =>
      await work(await this.#router.connect(queue, deadline));
    const mayHelp = (error: unknown): boolean => {
      if (!(error instanceof RedisError)) return false;
      this.#router.forget();
      return RETRIED.has(error.code) && performance.now() < deadline;
    };
    try {
      return await retry(attempt, { mayHelp, signal, first: 0.02, longest: 1 });
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      throw signal.aborted ? closed(action, queue, error) : restate(error, {
        attempted: `${action} the dead letters of "${queue}"`,
      });
    }
  }
}

function closed(action: string, queue: string, cause: RedisError): RedisError {
  return new RedisError(
    {
      attempted: `${action} the dead letters of "${queue}"`,
      reason: "the connection was closed",
    },
    "closed",
    { cause, mayHaveRun: cause.mayHaveRun },
  );
}
