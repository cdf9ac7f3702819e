import type { Logger } from "../logger.ts";
import { backoff, sleep, whenAborted, withTimeLimit } from "../waiting.ts";
import type { Batch, BatchFailure } from "./batch.ts";
import type { Connection } from "./connection.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { InboxStats } from "./inbox_stats.ts";
import { DeadLetterBox, type DeadLetterLimits } from "./dead_letter_box.ts";
import type { BatchIdentities } from "./history.ts";
import type { MemoryBudget } from "./memory_budget.ts";
import { QueueGate } from "./queue_gate.ts";
import {
  type MissedLimits,
  type MissedMessage,
  NamedSubscribers,
  NOBODY,
} from "./named_subscribers.ts";
import { Turn } from "./turn.ts";
import { isLoss, RedisError } from "./redis_error.ts";
import { Trouble } from "./trouble.ts";

/** The time that one command blocks while the queue is empty, in seconds. */
const BLOCK_SECONDS = 30;
/** The same where nobody may end it before its time. */
const SHORT_BLOCK_SECONDS = 1;
/** The pause before a wait that has not begun yet is to be ended again, in seconds. */
const UNBLOCK_PAUSE = 0.02;
/** A shorter wait has begun after whatever cut the control connection, in seconds. */
const DOUBTFUL_WAIT = 1;
/**
 * The bytes after which a batch is full on the fastest link: less costs the server
 * more for each message, more leaves the processor's cache (`bench/load.ts`).
 */
export const MAX_BATCH_BYTES: number = 2 ** 20;

/**
 * Takes a batch, and resolves when the next one of its queue may come: with
 * whether it was taken. One that was not goes back to the head of the queue.
 */
export type OnBatch = (batch: TakenBatch) => Promise<boolean>;

/** Names a queue, and says how it is consumed. */
export interface ConsumerOptions extends DeadLetterLimits, MissedLimits {
  readonly queue: string;
  /** The consumer's name; each session appends something unique to it. */
  readonly consumer: string;
  /** The largest number of messages in a batch. */
  readonly batchSize: number;
  /** The number of failures after which a message becomes a dead letter. */
  readonly maxDeliveries: number;
  /** The pause before a failed message is tried again for the first time, in seconds. */
  readonly retryPause: number;
  /** Says what becomes of messages that are for another device. */
  readonly foreign: "dead-letter" | "drop";
  /** Says what becomes of messages that are older than they may be. */
  readonly expired: "dead-letter" | "drop";
  /** The limit for one message, in bytes. */
  readonly maxSize: number;
  /** The largest number of messages that are handed out and not settled. */
  readonly maxInFlight: number;
  /** After how many seconds without a heartbeat a consumer is dead. */
  readonly heartbeatTimeout: number;
  /** The user's name on the server, for advice. */
  readonly user: string;
  readonly logger: Logger;
  /** The counts so far. */
  readonly stats: InboxStats;
  readonly onBatch: OnBatch;
  /** Takes no messages before {@link Consumer.resume}. */
  readonly paused?: boolean | undefined;
  /** The turns of all queues; `undefined` where it is the only one. */
  readonly turns: Turn[] | undefined;
  /** The queue's place among them: those before it go first. */
  readonly rank: number;
  /** The bytes that all consumers together have in hand. */
  readonly memory: MemoryBudget;
  /**
   * For taking messages, and commands that block; where it is the same as
   * `control`, nothing blocks, and the server tells when the queue has changed.
   */
  readonly blocking: Connection;
  /** For everything else. */
  readonly control: Connection;
  /** Shows that this process is alive. */
  readonly heartbeat: Heartbeat;
  /** Aborted when no further batch is to be taken. */
  readonly closing: AbortSignal;
}

/** More bytes than these go back to the system each time, which costs more than the garbage collector. */
const MOST_FREED = 2 ** 17;

/** A batch that a consumer has taken from the queue. */
export abstract class TakenBatch implements Batch {
  readonly queue: string;
  readonly payloads: readonly Uint8Array[];
  abstract readonly deliveries: readonly number[];
  abstract readonly retries: readonly (string | undefined)[];
  abstract readonly identities: BatchIdentities;
  /** The number of bytes that the messages have together. */
  readonly bytes: number;
  /** The named subscribers of the queue. */
  readonly subscribers: readonly string[];
  /** The consumer that has it in hand. */
  protected readonly consumer: Consumer;
  /** True once it is in the counts. */
  isCounted = false;
  /** True while it is handed out, and not settled. */
  isInHand = false;
  /** True once the server has refused to learn what became of it. */
  isUntold = false;
  #isSettled = false;

  /** @param consumer The consumer that has taken it. */
  constructor(consumer: Consumer, payloads: readonly Uint8Array[]) {
    this.consumer = consumer;
    this.queue = consumer.options.queue;
    this.subscribers = consumer.subscribers?.names ?? NOBODY;
    this.payloads = payloads;
    let bytes = 0;
    for (const { byteLength } of payloads) bytes += byteLength;
    this.bytes = bytes;
  }

  /** @param missed Messages that wait for a named subscriber, whatever else becomes of them. */
  async settle(
    failures: readonly BatchFailure[] = [],
    returned: readonly BatchFailure[] = [],
    missed: readonly MissedMessage[] = [],
  ): Promise<void> {
    if (this.#isSettled) return;
    this.#isSettled = true;
    await this.tell(failures, returned, missed, this.consumer.isFull);
    this.consumer.putDown(this);
  }

  /**
   * Gives back the memory of its messages, once it is settled and nobody reads them
   * any more. The garbage collector would first let 32 MiB of it come together,
   * which no cache of a processor holds, and look through all that the program has
   * in memory then.
   */
  free(): void {
    // Its text is needed when the server is told again.
    if (this.isUntold) return;
    const { payloads } = this;
    // Other answers may be beside the first one and the last one, and nowhere else.
    const ends = [payloads[0]?.buffer, payloads.at(-1)?.buffer];
    for (const { buffer, byteLength } of payloads) {
      const size = buffer.byteLength;
      const isOurs = size === byteLength || !ends.includes(buffer);
      if (!isOurs || size === 0 || size > MOST_FREED) continue;
      if (buffer instanceof ArrayBuffer) buffer.transfer(0);
    }
  }

  /** Lets others be taken in its place, although the server does not know yet what became of it. */
  putDown(): void {
    this.consumer.putDown(this);
  }

  /** Tells the server what became of the messages, at once if that is urgent. Never rejects. */
  protected abstract tell(
    failures: readonly BatchFailure[],
    returned: readonly BatchFailure[],
    missed: readonly MissedMessage[],
    isUrgent: boolean,
  ): Promise<void>;
}

/**
 * Takes batches from a queue, one after the other, and hands them out; what all
 * consumers have in common. It can be paused, keeps to the limit of messages in
 * hand, and goes on by itself after whatever failed.
 */
export abstract class Consumer {
  /** See {@link ConsumerOptions}. */
  readonly options: ConsumerOptions;
  /** The named subscribers of the queue; `undefined` while there never was one. */
  subscribers: NamedSubscribers | undefined;
  #box: DeadLetterBox | undefined;
  #gate: QueueGate | undefined;
  #turn: Turn | undefined;
  #isWanted: boolean;
  /** True while batches are wanted. */
  isOpen: boolean;
  /** True where messages are taken without commands that block. */
  protected readonly isShared: boolean;
  /** The time for which a command may block, in seconds. */
  protected blockSeconds: number = BLOCK_SECONDS;
  /** The number of messages that may be in hand before no more are taken. */
  protected maxInHand: number;
  /** The number of messages that are handed out and not settled. */
  protected inHand = 0;
  #isIdle = true;
  /** When the command that blocks began, by `performance.now()`; else never. */
  #blockedSince = Infinity;
  /** True when the queue may have changed since it was found empty. */
  #hasNews = true;
  #change: PromiseWithResolvers<void> | undefined;
  /** The last report of what the user may not do. */
  #refusal = "";
  #mayRun = false;
  #running: Promise<void> | undefined;
  #unblocking: Promise<void> | undefined;

  constructor(options: ConsumerOptions) {
    this.options = options;
    this.isOpen = this.#isWanted = !options.paused;
    this.isShared = options.blocking === options.control;
    this.maxInHand = options.maxInFlight;
  }

  // What follows is made when it is first needed: of many queues, most are quiet.

  /** The dead letters of the queue. */
  get box(): DeadLetterBox {
    return this.#box ??= new DeadLetterBox(this.options);
  }

  /** Knows whether the queue is paused, and lets in what is due. */
  get gate(): QueueGate {
    return this.#gate ??= new QueueGate(
      this.options,
      () => void this.#decide(),
    );
  }

  /** True while the queue is paused for all its consumers. */
  get isPaused(): boolean {
    return this.#gate?.isPaused ?? false;
  }

  /** Gives {@link Consumer.subscribers} where somebody is named. */
  needSubscribers(): NamedSubscribers {
    return this.subscribers ??= new NamedSubscribers(this.options, this);
  }

  /** Takes note of the names that the server knows. */
  protected learn(names: readonly string[]): void {
    if (names.length > 0) this.needSubscribers();
    this.subscribers?.learn(names);
  }

  /**
   * Joins the consumers of the queue.
   *
   * @throws {RedisError} The queue cannot be consumed at all.
   */
  async start(): Promise<void> {
    await Promise.all([this.checkRights(), this.checkUnblocking()]);
    await this.enter();
    await this.gate.look();
  }

  /** Begins to take messages: as soon as there may be some. */
  run(): void {
    this.#mayRun = true;
    if (this.#hasNews) this.#running ??= this.#run();
  }

  /** Stops taking messages; resolves when what was taken and not handed out is back. */
  async pause(): Promise<void> {
    this.#isWanted = false;
    await this.#decide();
    while (!this.#isIdle && !this.#isWanted) await this.change();
  }

  /** Goes on. */
  resume(): void {
    this.#isWanted = true;
    void this.#decide();
  }

  /** Ends, once `closing` is aborted, and waits up to `timeout` seconds for batches to be settled. Never rejects. */
  async stop(timeout: number): Promise<void> {
    await this.#decide();
    await this.#running;
    await withTimeLimit(timeout, undefined, async (late) => {
      using _waking = whenAborted(late, () => this.wake());
      while (this.inHand > 0 && !late.aborted) await this.change();
      await this.settleRest(late);
    });
    // Also what nobody has needed yet: made later, it would go on for ever.
    await this.gate.stop();
    await this.needSubscribers().stop();
    await this.leave();
    this.#box?.stop();
  }

  /** Looks after what has changed while a connection was lost. */
  onReconnect(): void {
    this.gate.lookSoon();
    this.checkRights().then(() => this.#refusal = "", (error: RedisError) => {
      // Both connections may come back, and one of them after the other.
      const isNew = error.message !== this.#refusal;
      if (error.code !== "permission" || !isNew) return;
      this.#refusal = error.message;
      this.options.logger.error(`${error.message}.`);
    });
  }

  /**
   * Gives up a wait that may be without an end: the control connection was lost,
   * and nothing tells a quiet wait from one whose way was cut at the same time.
   */
  renewWait(): void {
    const waited = performance.now() - this.#blockedSince;
    if (waited >= DOUBTFUL_WAIT * 1000) this.options.blocking.renew();
  }

  /** Notes that the queue may have changed. */
  ring(): void {
    this.#hasNews = true;
    if (this.#mayRun) this.run();
    this.wake();
  }

  /** Notes that a batch is settled; it does so itself. */
  putDown(batch: TakenBatch): void {
    if (!batch.isInHand) return;
    batch.isInHand = false;
    // It may be settled before whoever took it has said so.
    this.#count(batch);
    const { length } = batch.payloads;
    this.inHand -= length;
    this.options.stats.inFlight -= length;
    this.wake();
    this.options.memory.add(-batch.bytes);
  }

  /** True while so much is in hand that no more is taken. */
  get isFull(): boolean {
    return this.inHand >= this.maxInHand || this.options.memory.room <= 0;
  }

  /** True while it can take nothing. */
  get isBusy(): boolean {
    return !this.isOpen || this.isFull || this.#turn?.mustWait() === true;
  }

  /** Tells whether what is not handled for this reason becomes a dead letter. */
  keeps(reason: BatchFailure["reason"]): boolean {
    const { foreign, expired } = this.options;
    if (reason === "foreign") return foreign === "dead-letter";
    return reason !== "expired" || expired === "dead-letter";
  }

  /** Looks again whether another batch may be taken. */
  wake(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }

  /** Takes from a list of what was missed, see `MissedTaker`. */
  abstract takeMissed(list: string): Promise<number>;

  /** Rejects where the user may not do all that consuming needs. */
  protected abstract checkRights(): Promise<void>;
  /** Joins the consumers of the queue, where there is such a thing. */
  protected abstract enter(): Promise<void>;
  /** Settles what the server has refused to settle, unless it is late before. Never rejects. */
  protected settleRest(_late: AbortSignal): Promise<void> {
    return Promise.resolve();
  }

  /** Leaves them: what is still in hand goes back to the queue. Never rejects. */
  protected abstract leave(): Promise<void>;
  /** Takes one batch and hands it out, or waits for {@link blockSeconds}; may reject. */
  protected abstract takeOne(): Promise<void>;
  /** Puts back what was prefetched. */
  protected abstract drain(): Promise<void>;

  /** Tells whether the queue may have changed; from now on the server tells. */
  protected takeNews(): boolean {
    const hadNews = this.#hasNews;
    this.#hasNews = false;
    return hadNews;
  }

  /** Waits until the queue may have changed. */
  protected async news(): Promise<void> {
    if (!this.#hasNews) this.#turn?.rest();
    while (this.isOpen && !this.#hasNews) {
      if (this.options.control.isTracking) {
        await this.change();
        continue;
      }
      // It told until the connection was lost.
      await sleep(SHORT_BLOCK_SECONDS, { signal: this.options.closing });
      this.#hasNews = true;
    }
  }

  /** True while a command blocks. */
  protected get isBlocked(): boolean {
    return this.#blockedSince < Infinity;
  }

  /** Notes that a command blocks until this settles. */
  protected async blocked<Reply>(waiting: Promise<Reply>): Promise<Reply> {
    if (!this.isShared) {
      this.#blockedSince = performance.now();
      this.#turn?.rest();
    }
    try {
      return await waiting;
    } finally {
      this.#blockedSince = Infinity;
      this.#turn?.begin();
    }
  }

  /** The number of bytes after which a batch is full: about what comes in a second. */
  get maxBytes(): number {
    const { blocking: { bytesPerSecond }, memory: { room } } = this.options;
    const most = Math.min(MAX_BATCH_BYTES, bytesPerSecond, room);
    return Math.max(1, Math.floor(most));
  }

  /** Hands a batch out; resolves with whether it was wanted, when the next one may come. */
  protected async handOut(batch: TakenBatch): Promise<boolean> {
    const { length } = batch.payloads;
    this.inHand += length;
    this.options.memory.add(batch.bytes);
    batch.isInHand = true;
    if (this.isOpen && await this.options.onBatch(batch)) {
      this.#count(batch);
      return true;
    }
    batch.isInHand = false;
    this.inHand -= length;
    this.options.memory.add(-batch.bytes);
    return false;
  }

  #count(batch: TakenBatch): void {
    if (batch.isCounted) return;
    batch.isCounted = true;
    const { stats } = this.options;
    stats.received += batch.payloads.length;
    stats.inFlight += batch.payloads.length;
    for (const count of batch.deliveries) if (count > 0) stats.redelivered++;
  }

  async #run(): Promise<void> {
    const { closing: signal, blocking, turns, rank } = this.options;
    this.#turn = turns && new Turn(turns, rank, () => this.wake());
    for (let failures = 0; !signal.aborted;) {
      if (!this.isOpen) {
        this.#turn?.rest();
        await this.#rest();
        if (!this.isOpen && !signal.aborted) await this.change();
        // It may have died meanwhile, and nothing tells a quiet wait from that.
        if (this.isOpen) await blocking.ready(signal).catch(() => {});
        continue;
      }
      this.#isIdle = false;
      this.#turn?.begin();
      try {
        const mustWait = this.isFull || this.#turn?.mustWait();
        await (mustWait ? this.change() : this.takeOne());
        if (mustWait || failures === 0) continue;
        Trouble.onQueueSuccess(this, this.options);
        this.#turn?.succeed();
        failures = 0;
      } catch (error) {
        this.#isIdle = true;
        this.#turn?.rest();
        this.wake();
        await this.#recover(error, failures++);
      }
    }
    Trouble.onQueueSuccess(this, this.options);
    this.#turn?.rest();
    await this.#rest();
  }

  async #rest(): Promise<void> {
    try {
      await this.drain();
    } catch (error) {
      this.options.logger.warn(`${(error as Error).message}.`);
    }
    this.#isIdle = true;
    this.wake();
  }

  /** Waits until another attempt makes sense. */
  async #recover(error: unknown, failures: number): Promise<void> {
    const { blocking, closing: signal } = this.options;
    if (signal.aborted) return;
    const isLost = error instanceof RedisError && isLoss(error);
    // The connection has already reported its own loss.
    if (isLost) await blocking.ready(signal).catch(() => {});
    else {
      this.#turn?.fail();
      Trouble.onQueueFailure(this, error as Error, this.options);
    }
    await sleep(isLost && failures === 0 ? 0 : backoff(failures), { signal });
  }

  /** Begins or ceases to take messages; resolves when nothing blocks, or is being unblocked, that should not. */
  async #decide(): Promise<void> {
    this.isOpen = this.#isWanted && !this.isPaused &&
      !this.options.closing.aborted;
    this.wake();
    if (this.isShared) return;
    const before = this.#unblocking;
    await (this.#unblocking = (async () => {
      await before;
      await this.#unblock();
    })());
  }

  /** Ends a command that blocks; where that is not permitted it ends by itself soon. */
  async #unblock(): Promise<void> {
    const { blocking, control } = this.options;
    // The command may be on its way yet: then it is to be ended once more.
    while (
      this.#blockedSince < Infinity && !this.isOpen &&
      this.blockSeconds > SHORT_BLOCK_SECONDS && !control.isClosed
    ) {
      const { id } = blocking;
      if (id !== undefined) await this.#tryUnblocking(id);
      await sleep(UNBLOCK_PAUSE);
    }
  }

  /** Tells whether this user may end a command that blocks; ends the one of this connection. */
  async #tryUnblocking(id: number): Promise<boolean> {
    return await this.options.control.command(["CLIENT", "UNBLOCK", String(id)])
      .then(() => true, () => false);
  }

  /** Finds out whether a command that blocks can be ended before its time. */
  protected async checkUnblocking(): Promise<void> {
    if (this.isShared) return;
    const mayUnblock = this.options.blocking.id !== undefined &&
      // No connection has this number.
      await this.#tryUnblocking(Number.MAX_SAFE_INTEGER);
    this.blockSeconds = mayUnblock ? BLOCK_SECONDS : SHORT_BLOCK_SECONDS;
  }

  /** Resolves at the next change of what is in hand or wanted. */
  change(): Promise<void> {
    return (this.#change ??= Promise.withResolvers()).promise;
  }
}
