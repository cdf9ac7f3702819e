import { checkOptions } from "../options.ts";
import { createLogger, type Logger } from "../logger.ts";
import { AtLeastOnce } from "./at_least_once.ts";
import { AtMostOnce } from "./at_most_once.ts";
import type { Batch } from "./batch.ts";
import { backoff, sleep } from "../waiting.ts";
import { Connection } from "./connection.ts";
import { Handoff } from "./handoff.ts";
import { INBOX_OPTIONS, type InboxOptions } from "./inbox_options.ts";
import { addStats, emptyStats, type InboxStats } from "./inbox_stats.ts";
import { keySlot, queueKeys } from "./queue_keys.ts";
import type { Address } from "./address.ts";
import type { RedisArgs } from "./redis_args.ts";
import type { QueueReader } from "./queue_reader.ts";
import { RedisError } from "./redis_error.ts";
import { glance } from "./scripts/glance.ts";

/** What waits in a queue, as {@linkcode Inbox.backlogs} sees it. */
export interface Backlog {
  /** The queue. */
  readonly queue: string;
  /** How many messages wait. */
  readonly length: number;
  /** The first of them; `undefined` if there is none, or it is over 64 KiB. */
  readonly first: string | undefined;
}

/** One queue of an inbox. */
interface Source {
  readonly stats: InboxStats;
  /** For commands that do not block. */
  readonly control: Connection;
}

/** How many bytes the first message may have that {@linkcode Inbox.backlogs} gives. */
const MAX_FIRST = 64 * 2 ** 10;
/** How much longer than its time limit stopping may take, in seconds. */
const GRACE = 2;

/**
 * Reads messages from one queue or several, in batches that are small while
 * there is little to do and large while there is much. The next batch is on its
 * way while one is dealt with.
 *
 * @example
 * ```ts
 * import { Inbox, Outbox, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using outbox = new Outbox(server.redisArgs);
 * await outbox.push("queue", ["one", "two"]);
 *
 * await using inbox = await Inbox.open(server.redisArgs, { queue: "queue" });
 * const batch = await inbox.next();
 * console.assert(batch?.payloads.length === 2);
 * await batch?.settle();
 * ```
 */
export class Inbox {
  #connections: Connection[] = [];
  #readers: QueueReader[] = [];
  #handoff = new Handoff<Batch>();
  #sources = new Map<string, Source>();
  #stopping: Promise<void> | undefined;

  private constructor() {}

  /**
   * Connects, and begins to read.
   *
   * @param args redis-py's arguments, see {@linkcode RedisArgs}.
   * @param options See {@linkcode InboxOptions}.
   * @returns The inbox; call {@linkcode Inbox.next} for what it reads.
   * @throws {TypeError} There is no such option or it is of another kind, or an
   * argument is unknown or wrong.
   * @throws {RangeError} An option has a value that makes no sense.
   * @throws {RedisError} The server refuses this client, a queue is no list, or
   * `signal` was aborted.
   */
  static async open(args: RedisArgs, options: InboxOptions): Promise<Inbox> {
    checkOptions("read from Redis", options, INBOX_OPTIONS);
    const inbox = new Inbox();
    if (options.paused) inbox.#handoff.pause();
    try {
      const queues = checkQueues(options.queue, args);
      // One after the other, so that a refusal leaves nothing on its way.
      for (const queue of queues) await inbox.#read(queue, args, options);
      return inbox;
    } catch (error) {
      await inbox.stop(0);
      throw error;
    }
  }

  /** Where the server is. */
  get address(): Address {
    return this.#connections[0]!.address;
  }

  /**
   * Waits for the next batch.
   *
   * @returns The batch, or `undefined` once the inbox was stopped.
   */
  next(): Promise<Batch | undefined> {
    return this.#handoff.take();
  }

  /**
   * Stops taking messages from the queues until {@linkcode Inbox.resume}. What was
   * taken and not handed out goes back to the head of its queue.
   */
  async pause(): Promise<void> {
    this.#handoff.pause();
    await Promise.all(this.#readers.map((reader) => reader.pause()));
  }

  /** Goes on after {@linkcode Inbox.pause}. */
  resume(): void {
    this.#handoff.resume();
    for (const reader of this.#readers) reader.resume();
  }

  /**
   * Ends: {@linkcode Inbox.next} gives `undefined`, what was taken and not handed
   * out goes back, and so does what is not settled in time. Nothing is left behind.
   *
   * @param timeout How long to wait for batches to be settled, in seconds; 10 by
   * default.
   */
  stop(timeout = 10): Promise<void> {
    return this.#stopping ??= this.#stop(timeout);
  }

  async #stop(timeout: number): Promise<void> {
    this.#handoff.close();
    const abort = new AbortController();
    const stopped = Promise.all(
      this.#readers.map((reader) => reader.stop(timeout)),
    );
    // A server that does not answer must not keep us: closing ends every wait.
    await Promise.race([
      stopped,
      sleep(timeout + GRACE, { signal: abort.signal }),
    ]);
    abort.abort();
    await Promise.all(
      this.#connections.map((connection) => connection.close()),
    );
    await stopped;
  }

  /**
   * What was counted so far.
   *
   * @returns The counters of this moment.
   */
  stats(): InboxStats {
    const sum = emptyStats();
    for (const stats of this.queueStats().values()) addStats(sum, stats);
    return sum;
  }

  /**
   * What was counted so far, queue by queue.
   *
   * @returns The counters of this moment by the queue's name.
   */
  queueStats(): ReadonlyMap<string, InboxStats> {
    return new Map(
      this.#sources.entries().map((
        [queue, { stats }],
      ) => [queue, { ...stats }]),
    );
  }

  /**
   * Looks at what waits in each queue, without taking anything.
   *
   * @returns What waits, one for each queue.
   * @throws {RedisError} The server cannot be reached, or refuses.
   *
   * @example
   * ```ts
   * import { Inbox, Outbox, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * await using outbox = new Outbox(server.redisArgs);
   * await outbox.push("queue", ["one", "two"]);
   * const options = { queue: "queue", paused: true };
   * await using inbox = await Inbox.open(server.redisArgs, options);
   * const [backlog] = await inbox.backlogs();
   * console.assert(backlog?.length === 2 && backlog.first === "one");
   * ```
   */
  async backlogs(): Promise<readonly Backlog[]> {
    return await Promise.all(
      this.#sources.entries().map(async ([queue, { control }]) => {
        const [length, first] = await control.script<[number, string | null]>(
          glance,
          [queue],
          [String(MAX_FIRST)],
        );
        return { queue, length, first: first ?? undefined };
      }),
    );
  }

  /** The same as {@linkcode Inbox.stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #read(
    queue: string,
    args: RedisArgs,
    options: InboxOptions,
  ): Promise<void> {
    const logger = options.logger ?? createLogger("redis");
    const stats = emptyStats();
    let reader: QueueReader | undefined = undefined;
    const onReconnect = (): void => {
      stats.reconnects++;
      reader?.onReconnect();
    };
    const connect = async (): Promise<Connection> => {
      const connection = await Connection.connect(args, {
        logger,
        key: queue,
        unref: options.unref ?? false,
        onReconnect,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      this.#connections.push(connection);
      return connection;
    };
    const control = await connect();
    const blocking = await connect();
    this.#sources.set(queue, { stats, control });
    const batchSize = options.batchSize ?? 512;
    const Reader = options.delivery === "at-most-once"
      ? AtMostOnce
      : AtLeastOnce;
    reader = new Reader({
      queue,
      consumer: options.consumer ?? "consumer",
      batchSize,
      maxDeliveries: options.maxDeliveries ?? 3,
      retryPause: options.retryPause ?? 1,
      foreign: options.foreign ?? "dead-letter",
      maxDeadLetters: options.maxDeadLetters ?? 10_000,
      maxInFlight: options.maxInFlight ?? 16 * batchSize,
      heartbeatTimeout: options.heartbeatTimeout ?? 10,
      logger,
      stats,
      handoff: this.#handoff,
      blocking,
      control,
    });
    if (options.paused) await reader.pause();
    await startReader(reader, logger, options.signal);
    this.#readers.push(reader);
  }
}

/** Starts a reader, again while the server is not ready for it. */
async function startReader(
  reader: QueueReader,
  logger: Logger,
  signal = new AbortController().signal,
): Promise<void> {
  for (let attempt = 0;; attempt++) {
    try {
      return await reader.start();
    } catch (error) {
      const isWorthIt = error instanceof RedisError && error.isTransient;
      if (!isWorthIt || signal.aborted) throw error;
      logger[attempt === 0 ? "warn" : "debug"](
        `${error.message}. Trying again.`,
      );
      await sleep(backoff(attempt), { signal });
    }
  }
}

function checkQueues(
  queue: string | readonly string[],
  args: RedisArgs,
): readonly string[] {
  const queues = [...new Set([queue].flat())];
  for (const name of queues) {
    if (
      args.cluster !== undefined &&
      keySlot(queueKeys(name, "").dead) !== keySlot(name)
    ) {
      throw new TypeError(
        `Cannot read "${name}" from a cluster: a name with "}" needs a whole hash tag, as in "{jobs}:high"`,
      );
    }
  }
  return queues;
}
