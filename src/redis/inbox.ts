import type { Address } from "./address.ts";
import type { Batch } from "./batch.ts";
import { type Backlog, Consumers } from "./consumers.ts";
import type { InboxOptions } from "./inbox_options.ts";
import { notByNew } from "../options.ts";
import { addStats, emptyStats, type InboxStats } from "./inbox_stats.ts";
import type { RedisArgs } from "./redis_args.ts";

/** A batch that stands until somebody asks for one, or it is declined. */
interface OfferedBatch {
  readonly batch: Batch;
  readonly answer: (isTaken: boolean) => void;
}

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
  #consumers!: Consumers;
  #isPaused: boolean;
  #isStopped = false;
  /** In the order in which they go first. */
  #queues: readonly string[] = [];
  readonly #offers: OfferedBatch[] = [];
  readonly #waiting: ((batch: Batch | undefined) => void)[] = [];

  private constructor(isPaused: boolean) {
    if (isPaused === undefined) throw notByNew("Inbox.open");
    this.#isPaused = isPaused;
  }

  /**
   * Connects, and begins to read.
   *
   * @param args redis-py's arguments, see {@linkcode RedisArgs}.
   * @param options The queue, and more in {@linkcode InboxOptions}.
   * @returns The inbox; call {@linkcode Inbox.next} for what it reads.
   * @throws {TypeError} There is no such option or it is of another kind, or an
   * argument is unknown or wrong.
   * @throws {RangeError} An option has a value that makes no sense.
   * @throws {RedisError} The server refuses this client, a queue is no list, or
   * `signal` was aborted.
   */
  static async open(args: RedisArgs, options: InboxOptions): Promise<Inbox> {
    const inbox = new Inbox(options?.paused === true);
    inbox.#queues = [options?.queue].flat();
    inbox.#consumers = await Consumers.open(
      args,
      options,
      (batch) => inbox.#offer(batch),
    );
    return inbox;
  }

  /** The server's address. */
  get address(): Address {
    return this.#consumers.address;
  }

  /**
   * Waits for the next batch.
   *
   * @returns The batch, or `undefined` once the inbox was stopped.
   */
  next(): Promise<Batch | undefined> {
    if (this.#isStopped) return Promise.resolve(undefined);
    // What is named first goes first.
    this.#offers.sort((a, b) => this.#rank(a) - this.#rank(b));
    const offer = this.#offers.shift();
    if (offer === undefined) {
      return new Promise((resolve) => this.#waiting.push(resolve));
    }
    offer.answer(true);
    return Promise.resolve(offer.batch);
  }

  /**
   * Stops taking messages from the queues until {@linkcode Inbox.resume}. What was
   * taken and not handed out goes back to the head of its queue.
   */
  async pause(): Promise<void> {
    this.#isPaused = true;
    this.#decline();
    await this.#consumers.pause();
  }

  /** Goes on after {@linkcode Inbox.pause}. */
  resume(): void {
    this.#isPaused = false;
    this.#consumers.resume();
  }

  /**
   * Ends: {@linkcode Inbox.next} gives `undefined`, what was taken and not handed
   * out goes back, and so does what is not settled in time. Nothing is left behind.
   *
   * @param timeout How long to wait for batches to be settled, in seconds; 10 by
   * default.
   */
  async stop(timeout = 10): Promise<void> {
    this.#isStopped = true;
    this.#decline();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
    await this.#consumers.stop(timeout);
  }

  /**
   * Tells what was counted so far.
   *
   * @returns The counters of this moment.
   */
  stats(): InboxStats {
    const sum = emptyStats();
    for (const stats of this.queueStats().values()) addStats(sum, stats);
    return sum;
  }

  /**
   * Tells what was counted so far, queue by queue.
   *
   * @returns The counters of this moment by the queue's name.
   */
  queueStats(): ReadonlyMap<string, InboxStats> {
    return this.#consumers.stats();
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
    return await this.#consumers.backlogs();
  }

  /** The same as {@linkcode Inbox.stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Gives a batch to whoever waits for one, or lets it stand until somebody does. */
  #offer(batch: Batch): Promise<boolean> {
    if (this.#isPaused || this.#isStopped) return Promise.resolve(false);
    const resolve = this.#waiting.shift();
    if (resolve === undefined) {
      return new Promise((answer) => this.#offers.push({ batch, answer }));
    }
    resolve(batch);
    return Promise.resolve(true);
  }

  #rank({ batch }: OfferedBatch): number {
    return this.#queues.indexOf(batch.queue);
  }

  #decline(): void {
    for (const { answer } of this.#offers.splice(0)) answer(false);
  }
}
