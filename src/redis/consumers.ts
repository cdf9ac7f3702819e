import { checkOptions } from "../options.ts";
import { createLogger, type Logger } from "../logger.ts";
import { inParts } from "../in_parts.ts";
import { retry, sleep } from "../waiting.ts";
import type { Address } from "./address.ts";
import { AtLeastOnce } from "./at_least_once.ts";
import { AtMostOnce } from "./at_most_once.ts";
import { Connection } from "./connection.ts";
import {
  type Consumer,
  emptyStats,
  type InboxStats,
  MAX_BATCH_BYTES,
  type OnBatch,
} from "./consumer.ts";
import { Heartbeat } from "./heartbeat.ts";
import {
  type FilledInboxOption,
  INBOX_OPTIONS,
  type InboxOptions,
} from "./inbox_options.ts";
import { DeadLetterBox } from "./dead_letter_box.ts";
import { MemoryBudget } from "./memory_budget.ts";
import { keySlot, QueueKeys } from "./queue_keys.ts";
import { NamedSubscribers } from "./named_subscribers.ts";
import type { RedisArgs } from "./redis_args.ts";
import { parseRedisArgs } from "./settings.ts";
import { RedisError } from "./redis_error.ts";
import { isNumber, isText } from "./reply_shape.ts";
import { defineScript } from "./script.ts";
import type { Turn } from "./turn.ts";

/** Tells what waits in a queue, as {@linkcode Inbox.backlogs} sees it. */
export interface Backlog {
  /** The queue. */
  readonly queue: string;
  /** The number of messages that wait. */
  readonly length: number;
  /** The first of them; `undefined` if there is none, or it is over 64 KiB. */
  readonly first: string | undefined;
}

/** Options that were checked, with their defaults. */
type GivenOptions = ReturnType<
  typeof checkOptions<InboxOptions, FilledInboxOption>
>;

/** One queue: who consumes it, and what was counted. */
interface ConsumedQueue {
  readonly queue: string;
  readonly consumer: Consumer;
  readonly control: Connection;
  readonly stats: InboxStats;
}

/** The number of bytes that the first message of a {@link Backlog} may have. */
const MAX_FIRST = 64 * 2 ** 10;
/** The time by which stopping may exceed its limit, in seconds. */
const GRACE = 2;

/**
 * Consumes one queue or several: all have one connection to a server and
 * one heartbeat, and hand their batches to one function. One queue has a second
 * connection, on which it waits.
 */
export class Consumers {
  readonly #connections: Connection[] = [];
  readonly #heartbeats: Heartbeat[] = [];
  readonly #sources = new Map<string, ConsumedQueue>();
  readonly #turns: Turn[] = [];
  readonly #memory: MemoryBudget;
  #stopping: Promise<void> | undefined;

  private constructor(maxMemory: number, logger: Logger) {
    this.#memory = new MemoryBudget(maxMemory, logger, () => {
      for (const { consumer } of this.#sources.values()) consumer.wake();
    });
  }

  /**
   * Connects, and begins to consume.
   *
   * @param args redis-py's arguments, see {@link RedisArgs}.
   * @param onBatch Takes the batches, those of each queue one after the other.
   * @throws {TypeError} There is no such option or it is of another kind, or an
   * argument is unknown or wrong.
   * @throws {RangeError} An option has a value that makes no sense.
   * @throws {RedisError} The server refuses this client, a queue is no list, or
   * `signal` was aborted.
   */
  static async open(
    args: RedisArgs,
    options: InboxOptions,
    onBatch: OnBatch,
  ): Promise<Consumers> {
    const given = checkOptions("read from Redis", options, INBOX_OPTIONS);
    const { maxMemory, logger = createLogger("redis") } = given;
    const consumers = new Consumers(maxMemory, logger);
    try {
      const queues = checkQueues(given.queue, args);
      const order = new Map(queues.map((queue, at) => [queue, at]));
      // In a cluster each queue may have a server of its own.
      const groups = args.cluster ? queues.map((queue) => [queue]) : [queues];
      for (const group of groups) {
        await consumers.#add(group, order, args, { ...given, logger }, onBatch);
      }
      return consumers;
    } catch (error) {
      await consumers.stop(0);
      throw error;
    }
  }

  /** The server's address. */
  get address(): Address {
    return this.#connections[0]!.address;
  }

  /**
   * Takes no further messages until {@link Consumers.resume}. Resolves when what
   * was taken and not handed out is back at the head of its queue.
   */
  async pause(): Promise<void> {
    await Promise.all(this.#all(({ consumer }) => consumer.pause()));
  }

  /** Takes note of the named subscribers that are in this process. */
  set present(present: ReadonlySet<string>) {
    for (const { consumer } of this.#sources.values()) {
      // What is delivered at most once cannot wait for anybody.
      if (consumer instanceof AtLeastOnce) {
        consumer.options.subscribers.present = present;
      }
    }
  }

  /** Goes on after {@link Consumers.pause}. */
  resume(): void {
    for (const { consumer } of this.#sources.values()) consumer.resume();
  }

  /**
   * Ends: what was not handed out goes back, and so does what is not settled in
   * time. Nothing is left behind.
   *
   * @param timeout How long to wait for batches to be settled, in seconds.
   */
  stop(timeout: number): Promise<void> {
    return this.#stopping ??= this.#stop(timeout);
  }

  async #stop(timeout: number): Promise<void> {
    const abort = new AbortController();
    const stopped = this.#stopAll(timeout);
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

  async #stopAll(timeout: number): Promise<void> {
    await Promise.all(this.#all(({ consumer }) => consumer.stop(timeout)));
    await Promise.all(this.#heartbeats.map((heartbeat) => heartbeat.stop()));
  }

  /** Copies what was counted so far, by the queue's name. */
  stats(): ReadonlyMap<string, InboxStats> {
    return new Map(
      this.#sources.entries().map(([queue, { stats }]) => [
        queue,
        { ...stats },
      ]),
    );
  }

  /** Looks at what waits in a queue. */
  static readonly #LOOK = defineScript(`
-- KEYS[1]  the queue
-- ARGV[1]  how many bytes the first message may have to be returned
-- Returns the length of the queue, and its first message or nil.
local first = redis.call('LRANGE', KEYS[1], 0, 0)[1]
if first and #first > tonumber(ARGV[1]) then first = nil end
return {redis.call('LLEN', KEYS[1]), first or false}
`);

  /**
   * Looks at what waits in each queue, without taking anything.
   *
   * @throws {RedisError} The server cannot be reached, or refuses.
   */
  async backlogs(): Promise<readonly Backlog[]> {
    return await Promise.all(
      this.#sources.entries().map(async ([queue, { control }]) => {
        const [length, first] = await control.script<[number, string | null]>(
          Consumers.#LOOK,
          [queue],
          [String(MAX_FIRST)],
          {
            isReply: (reply) =>
              Array.isArray(reply) && isNumber(reply[0]) &&
              (reply[1] === null || isText(reply[1])),
          },
        );
        return { queue, length, first: first ?? undefined };
      }),
    );
  }

  #all<Result>(work: (source: ConsumedQueue) => Result): readonly Result[] {
    return [...this.#sources.values().map(work)];
  }

  /** Connects to a server once for all these queues, and joins their consumers. */
  async #add(
    queues: readonly string[],
    order: ReadonlyMap<string, number>,
    args: RedisArgs,
    options: GivenOptions & { logger: Logger },
    onBatch: OnBatch,
  ): Promise<void> {
    const { heartbeatTimeout, batchSize, logger } = options;
    const [first] = queues;
    const sources: ConsumedQueue[] = [];
    const connect = async (
      key: string,
      maxReply: number,
      consumers: () => readonly ConsumedQueue[],
    ): Promise<Connection> => {
      const connection = await Connection.connect(args, {
        logger,
        key,
        daemon: options.daemon ?? false,
        maxReply,
        onReconnect: () => {
          const concerned = consumers();
          if (concerned.length > 0) concerned[0]!.stats.reconnects++;
          for (const { consumer } of concerned) {
            consumer.onReconnect();
            if (connection === control) consumer.renewWait();
          }
        },
        ...(options.signal && { signal: options.signal }),
      });
      this.#connections.push(connection);
      return connection;
    };
    // LMOVE and BLMOVE tell no size before they send a message.
    const largest = maxReply(options.maxSize);
    const control = await connect(
      first!,
      queues.length > 1 ? largest : Infinity,
      () => sources,
    );
    const user = parseRedisArgs(args).username ?? "default";
    const heartbeat = new Heartbeat({
      heartbeatTimeout,
      control,
      user,
      logger,
    });
    this.#heartbeats.push(heartbeat);
    const byKey = new Map<string, Consumer>();
    const onChange = (consumer: Consumer, key: string): void => {
      if (key === consumer.options.queue) consumer.ring();
      else consumer.watch.lookSoon();
    };
    const isTold = await control.trackKeys((changed) => {
      const consumer = changed !== undefined && byKey.get(changed);
      if (consumer) return onChange(consumer, changed);
      if (changed === undefined) byKey.forEach(onChange);
      for (const { options: { subscribers } } of byKey.values()) {
        subscribers.lookSoon(changed);
      }
    });
    const isShared = isTold && queues.length > 1;
    const add = async (queue: string): Promise<ConsumedQueue> => {
      const stats = emptyStats();
      const rank = order.get(queue)!;
      const blocking = isShared ? control : await connect(
        queue,
        largest,
        () => sources.filter((source) => source.queue === queue),
      );
      const Kind = options.delivery === "at-most-once"
        ? AtMostOnce
        : AtLeastOnce;
      const consumer: Consumer = new Kind({
        queue,
        consumer: options.consumer ?? "consumer",
        batchSize,
        maxDeliveries: options.maxDeliveries,
        retryPause: options.retryPause,
        foreign: options.foreign,
        expired: options.expired,
        box: new DeadLetterBox({
          queue,
          maxDeadLetters: options.maxDeadLetters,
          maxDeadLetterBytes: options.maxDeadLetterBytes,
          deadLetterAge: options.deadLetterAge,
          logger,
          stats,
        }),
        subscribers: new NamedSubscribers({
          queue,
          control,
          maxMissed: options.maxMissed,
          maxMissedBytes: options.maxMissedBytes,
          missedAge: options.missedAge,
          logger,
          stats,
          isBusy: () => !consumer.isOpen || consumer.isFull,
          change: () => consumer.change(),
        }),
        maxSize: options.maxSize,
        maxInFlight: options.maxInFlight ?? (rank > 0 ? 1 : 16) * batchSize,
        precedence: order.size > 1 ? { turns: this.#turns, rank } : undefined,
        heartbeatTimeout,
        user,
        logger,
        stats,
        onBatch,
        memory: this.#memory,
        blocking,
        control,
        heartbeat,
      });
      for (const key of [queue, ...consumer.watch.keys]) {
        byKey.set(key, consumer);
      }
      if (options.paused) await consumer.pause();
      return { queue, consumer, control, stats };
    };
    const start = async (source: ConsumedQueue): Promise<void> => {
      await this.#insist(() => source.consumer.start(), options, logger);
      sources.push(source);
    };
    const startAll = async (all: readonly ConsumedQueue[]): Promise<void> => {
      const consumers = all.map(({ consumer }) => consumer)
        .filter((consumer) => consumer instanceof AtLeastOnce);
      if (isShared && consumers.length === all.length) {
        const isStarted = await AtLeastOnce.startTogether(consumers).then(
          () => true,
          (error: RedisError) => {
            logger.debug(`${error.message}. Starting one by one.`);
            return false;
          },
        );
        if (isStarted) return void sources.push(...all);
        for (const consumer of consumers) consumer.ring();
      }
      await settleAll(all.map(start));
    };
    // The first one lets the server know the scripts.
    const added = [
      ...await Promise.allSettled([add(first!).then(start)]),
      ...await Promise.allSettled(
        inParts(queues.slice(1)).map(async (part) =>
          await startAll(await settleAll(part.map(add)))
        ),
      ),
    ];
    sources.sort((a, b) => order.get(a.queue)! - order.get(b.queue)!);
    for (const source of sources) this.#sources.set(source.queue, source);
    const refused = added.find(({ status }) => status === "rejected");
    if (refused?.status === "rejected") throw refused.reason;
    await this.#insist(() => heartbeat.start(), options, logger);
    for (const { consumer } of sources) consumer.run();
  }

  /** Tries something again and again while another attempt may help. */
  async #insist(
    work: () => Promise<void>,
    { signal }: GivenOptions,
    logger: Logger,
  ): Promise<void> {
    await retry(work, {
      signal,
      mayHelp(error, attempt): boolean {
        if (!(error instanceof RedisError) || !error.isTransient) return false;
        logger[attempt === 0 ? "warn" : "debug"](
          `${error.message}. Trying again.`,
        );
        return true;
      },
    });
  }
}

/** Waits for all, also where one rejects: what others open has to be known then. */
async function settleAll<Value>(
  all: readonly Promise<Value>[],
): Promise<Value[]> {
  await Promise.allSettled(all);
  return await Promise.all(all);
}

/** Gives the largest answer with messages that is wanted. */
function maxReply(maxSize: number): number {
  return Math.ceil(Math.max(maxSize, MAX_BATCH_BYTES) * 1.25) + 2 ** 20;
}

function checkQueues(
  queue: string | readonly string[],
  args: RedisArgs,
): readonly string[] {
  const queues = [...new Set([queue].flat())];
  for (const name of queues) {
    if (
      args.cluster !== undefined &&
      keySlot(new QueueKeys(name).dead) !== keySlot(name)
    ) {
      throw new TypeError(
        `Cannot read "${name}" from a cluster: a name with "}" needs a whole hash tag, as in "{jobs}:high"`,
      );
    }
  }
  return queues;
}
