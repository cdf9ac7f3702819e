import { checkOptions } from "../options.ts";
import { createLogger, type Logger } from "../logger.ts";
import { inParts } from "../in_parts.ts";
import { retry, sleep } from "../waiting.ts";
import type { Address } from "./address.ts";
import { AtLeastOnce } from "./at_least_once.ts";
import { AtMostOnce } from "./at_most_once.ts";
import type { ConnectOptions } from "./connect_options.ts";
import { Connection } from "./connection.ts";
import {
  type Consumer,
  type ConsumerOptions,
  MAX_BATCH_BYTES,
  type OnBatch,
} from "./consumer.ts";
import { warnOfEviction } from "./eviction.ts";
import { Heartbeat } from "./heartbeat.ts";
import {
  type FilledInboxOption,
  INBOX_OPTIONS,
  type InboxOptions,
} from "./inbox_options.ts";
import { emptyStats, type InboxStats } from "./inbox_stats.ts";
import { MemoryBudget } from "./memory_budget.ts";
import { keySlot } from "./key_slot.ts";
import { QueueKeys } from "./queue_keys.ts";
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

/** Holds what all that consumes in a process has in common. */
interface Common {
  readonly args: RedisArgs;
  readonly options: GivenOptions & { readonly logger: Logger };
  readonly onBatch: OnBatch;
  /** The ranks of the queues: those that are named first go first. */
  readonly ranks: ReadonlyMap<string, number>;
  readonly turns: Turn[];
  readonly memory: MemoryBudget;
  /** Aborted when no further batch is to be taken. */
  readonly closing: AbortSignal;
}

/** The options that each consumer has for itself. */
type OwnOptions = Pick<
  ConsumerOptions,
  "queue" | "rank" | "stats" | "maxInFlight" | "blocking"
>;

/** The number of bytes that the first message of a {@link Backlog} may have. */
const MAX_FIRST = 64 * 2 ** 10;
/** The time by which stopping may exceed its limit, in seconds. */
const GRACE = 2;

/**
 * Consumes one queue or several, and hands their batches to one function. In a
 * cluster each queue may have a server of its own; elsewhere one has them all.
 */
export class Consumers {
  readonly #servers: ServerQueues[] = [];
  readonly #closing = new AbortController();
  #stopping: Promise<void> | undefined;

  private constructor() {}

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
    const queues = checkQueues(given.queue, args);
    const consumers = new Consumers();
    const common: Common = {
      args,
      options: { ...given, logger },
      onBatch,
      ranks: new Map(queues.map((queue, rank) => [queue, rank])),
      turns: [],
      memory: new MemoryBudget(maxMemory, logger, () => {
        for (const consumer of consumers.#all()) consumer.wake();
      }),
      closing: consumers.#closing.signal,
    };
    try {
      for (const some of args.cluster ? queues.map((one) => [one]) : [queues]) {
        const server = await ServerQueues.connect(some, common);
        consumers.#servers.push(server);
        await server.start();
        void warnOfEviction(server.control, logger, false);
      }
      return consumers;
    } catch (error) {
      await consumers.stop(0);
      throw error;
    }
  }

  /** The server's address. */
  get address(): Address {
    return this.#servers[0]!.control.address;
  }

  /**
   * Takes no further messages until {@link Consumers.resume}. Resolves when what
   * was taken and not handed out is back at the head of its queue.
   */
  async pause(): Promise<void> {
    await Promise.all(this.#all().map((consumer) => consumer.pause()));
  }

  /** Takes note of the named subscribers that are in this process. */
  set present(present: ReadonlySet<string>) {
    for (const consumer of this.#all()) {
      // What is delivered at most once cannot wait for anybody.
      if (!(consumer instanceof AtLeastOnce)) continue;
      if (present.size > 0) consumer.needSubscribers();
      if (consumer.subscribers) consumer.subscribers.present = present;
    }
  }

  /** Goes on after {@link Consumers.pause}. */
  resume(): void {
    for (const consumer of this.#all()) consumer.resume();
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
    await Promise.all(this.#servers.map((server) => server.close()));
    await stopped;
  }

  async #stopAll(timeout: number): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#all().map((consumer) => consumer.stop(timeout)));
    await Promise.all(this.#servers.map(({ heartbeat }) => heartbeat.stop()));
  }

  /** Copies what was counted so far, by the queue's name. */
  stats(): ReadonlyMap<string, InboxStats> {
    return new Map(
      this.#all().map(({ options: { queue, stats } }) => [queue, { ...stats }]),
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
      this.#all().map(async ({ options: { queue, control } }) => {
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

  #all(): readonly Consumer[] {
    return this.#servers.flatMap(({ joined }) => joined);
  }
}

/**
 * Consumes queues of one server. They share a connection, on which the server
 * tells of changes, and a heartbeat. A queue that is alone has a second
 * connection, on which it waits.
 */
class ServerQueues {
  /** For everything that does not block. */
  readonly control: Connection;
  readonly heartbeat: Heartbeat;
  /** The consumers that have joined. */
  readonly joined: Consumer[];
  readonly #queues: readonly string[];
  readonly #common: Common;
  /** The options of all consumers: what each has of its own stands on top of it. */
  readonly #options: Omit<ConsumerOptions, keyof OwnOptions>;
  readonly #blocking: Connection[] = [];
  readonly #byQueue = new Map<string, Consumer>();
  /** The same by what their other keys start with. */
  readonly #byStart = new Map<string, Consumer>();

  /** Connects to the server; {@link ServerQueues.start} does all the rest. */
  static async connect(
    queues: readonly string[],
    common: Common,
  ): Promise<ServerQueues> {
    const joined: Consumer[] = [];
    const control = await connect(common, {
      key: queues[0]!,
      maxReply: queues.length > 1 ? maxReply(common) : Infinity,
      onReconnect: () => {
        noteReconnect(joined);
        for (const consumer of joined) consumer.renewWait();
      },
    });
    return new ServerQueues(queues, common, control, joined);
  }

  private constructor(
    queues: readonly string[],
    common: Common,
    control: Connection,
    joined: Consumer[],
  ) {
    this.#queues = queues;
    this.#common = common;
    this.control = control;
    this.joined = joined;
    const { options, ranks, args, ...rest } = common;
    const { heartbeatTimeout, logger, consumer = "consumer" } = options;
    const user = parseRedisArgs(args).username ?? "default";
    this.heartbeat = new Heartbeat({ heartbeatTimeout, control, logger });
    this.#options = {
      ...options,
      ...rest,
      consumer,
      user,
      control,
      heartbeat: this.heartbeat,
      turns: ranks.size > 1 ? common.turns : undefined,
    };
  }

  /** Joins the consumers of each queue, and lets ours take messages. */
  async start(): Promise<void> {
    const isTold = await this.control.trackKeys((key) => this.#onChange(key));
    const isShared = isTold && this.#queues.length > 1;
    const [first, ...others] = this.#queues;
    // The first one lets the server know the scripts.
    const outcomes = [
      ...await Promise.allSettled([
        this.#add([first!], isShared).then(([one]) => this.#join(one!)),
      ]),
      ...await this.#addAll(others, isShared),
    ];
    this.joined.sort((a, b) => a.options.rank - b.options.rank);
    const refused = outcomes.find(({ status }) => status === "rejected");
    if (refused?.status === "rejected") throw refused.reason;
    await this.#insist(() => this.heartbeat.start());
    for (const consumer of this.joined) consumer.run();
  }

  /** Closes the connections, which ends every wait. */
  async close(): Promise<void> {
    await Promise.all(
      [this.control, ...this.#blocking].map((one) => one.close()),
    );
  }

  /** Lets those look whom the change of a key concerns: all, where none is named. */
  #onChange(changed: string | undefined): void {
    if (changed !== undefined) {
      const ofQueue = this.#byQueue.get(changed);
      if (ofQueue !== undefined) return ofQueue.ring();
      const [, start = "", what] =
        /^(.*:)(paused|delayed|subscribers)$/s.exec(changed) ?? [];
      const consumer = this.#byStart.get(start);
      if (consumer !== undefined) {
        return what === "subscribers"
          ? consumer.needSubscribers().learnSoon()
          : consumer.gate.lookSoon();
      }
      this.heartbeat.onChange(changed);
    }
    for (const consumer of this.#byQueue.values()) {
      if (changed === undefined) {
        consumer.ring();
        consumer.gate.lookSoon();
      }
      consumer.subscribers?.lookSoon(changed);
    }
  }

  /**
   * Makes and joins the consumers of queues. Two parts are on their way at a time,
   * so that the server has something to do while this process has: all of them
   * would take 2 MiB more, and not be done sooner.
   */
  async #addAll(
    queues: readonly string[],
    isShared: boolean,
  ): Promise<PromiseSettledResult<void>[]> {
    const outcomes: PromiseSettledResult<void>[] = [];
    const parts = inParts(queues).values();
    const addRest = async (): Promise<void> => {
      for (const part of parts) {
        const adding = this.#add(part, isShared)
          .then((all) => this.#joinAll(all, isShared));
        outcomes.push(...await Promise.allSettled([adding]));
      }
    };
    await Promise.all([addRest(), addRest()]);
    return outcomes;
  }

  /** Makes the consumers of some queues, and the connections on which they wait. */
  async #add(
    queues: readonly string[],
    isShared: boolean,
  ): Promise<readonly Consumer[]> {
    const own = isShared
      ? []
      : await settleAll(queues.map((queue) => this.#connect(queue)));
    return queues.map((queue, at) => this.#make(queue, own[at]));
  }

  #make(queue: string, blocking: Connection = this.control): Consumer {
    const { options, ranks } = this.#common;
    const rank = ranks.get(queue)!;
    const own: OwnOptions = {
      queue,
      rank,
      stats: emptyStats(),
      maxInFlight: options.maxInFlight ??
        (rank > 0 ? 1 : 16) * options.batchSize,
      blocking,
    };
    const Kind = options.delivery === "at-most-once" ? AtMostOnce : AtLeastOnce;
    const consumer = new Kind(
      Object.assign(Object.create(this.#options), own),
    );
    this.#byQueue.set(queue, consumer);
    this.#byStart.set(new QueueKeys(queue).start, consumer);
    return consumer;
  }

  async #connect(queue: string): Promise<Connection> {
    const connection = await connect(this.#common, {
      key: queue,
      // LMOVE and BLMOVE tell no size before they send a message.
      maxReply: maxReply(this.#common),
      // It only answers, and has nothing to answer while the queue is paused.
      awaited: new Set(),
      onReconnect: () =>
        noteReconnect(
          this.joined.filter(({ options }) => options.queue === queue),
        ),
    });
    this.#blocking.push(connection);
    return connection;
  }

  /** Joins all of them by a few scripts where that is possible. */
  async #joinAll(
    all: readonly Consumer[],
    isShared: boolean,
  ): Promise<void> {
    const consumers = all.filter((one) => one instanceof AtLeastOnce);
    if (isShared && consumers.length === all.length) {
      const isStarted = await AtLeastOnce.startTogether(consumers).then(
        () => true,
        (error: RedisError) => {
          const { logger } = this.#common.options;
          logger.debug(`${error.message}. Starting one by one.`);
          return false;
        },
      );
      if (isStarted) return void this.joined.push(...all);
      for (const consumer of consumers) consumer.ring();
    }
    await settleAll(all.map((one) => this.#join(one)));
  }

  async #join(one: Consumer): Promise<void> {
    try {
      await this.#insist(() => one.start());
    } catch (error) {
      // Nobody stops what has not joined, and the server may tell of changes yet.
      await one.gate.stop();
      throw error;
    }
    this.joined.push(one);
  }

  /** Tries something again and again while another attempt may help. */
  async #insist(work: () => Promise<void>): Promise<void> {
    const { signal, logger } = this.#common.options;
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

async function connect(
  { args, options: { logger, daemon = false, signal } }: Common,
  of: Pick<ConnectOptions, "key" | "maxReply" | "onReconnect" | "awaited">,
): Promise<Connection> {
  return await Connection.connect(args, {
    ...of,
    logger,
    daemon,
    ...(signal && { signal }),
  });
}

/** Counts a loss once, and lets all that it concerns look. */
function noteReconnect(concerned: readonly Consumer[]): void {
  for (const consumer of concerned) consumer.onReconnect();
  const options = concerned[0]?.options;
  if (options === undefined) return;
  options.stats.reconnects++;
  options.heartbeat.onReconnect();
}

/** Waits for all, also where one rejects: what others open has to be known then. */
async function settleAll<Value>(
  all: readonly Promise<Value>[],
): Promise<Value[]> {
  await Promise.allSettled(all);
  return await Promise.all(all);
}

/** Gives the largest answer with messages that is wanted. */
function maxReply({ options: { maxSize } }: Common): number {
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
