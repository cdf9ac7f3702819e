import { backoff, nextTurn, retry, sleep } from "../waiting.ts";
import { Acknowledger } from "./acknowledger.ts";
import { Consumer, type ConsumerOptions } from "./consumer.ts";
import { endOfTurn } from "./end_of_turn.ts";
import { warnOfEviction } from "./eviction.ts";
import type { FoundKeys } from "./find_keys.ts";
import type { HeartbeatMember } from "./heartbeat.ts";
import { HeldBatch } from "./held_batch.ts";
import {
  isComplete,
  isPoison,
  isSuspected,
  NO_NOTES,
  parseNotes,
} from "./history.ts";
import { FACTS, lookingFor, lookingIntoAll } from "./queue_facts.ts";
import type { QueueKeys } from "./queue_keys.ts";
import { Recoverer } from "./recoverer.ts";
import { isLoss, RedisError } from "./redis_error.ts";
import { isNumber } from "./reply_shape.ts";
import { checkRights } from "./check_rights.ts";
import { MAX_SLOTS, Session } from "./session.ts";
import {
  type Asked,
  LARGE,
  NOTHING,
  READ_LOST,
  READ_MOVED,
  RENUMBERED,
  type Taken,
  Taker,
} from "./taker.ts";

/** So many messages are moved one by one; where there are more, a script costs less. */
const MOST_MOVED = 7;

/** The pauses after a server without memory has refused to wait, in seconds. */
const FULL_PAUSES = { first: 0.05, longest: 1 };

/**
 * Consumes a queue so that every message is handled at least once. It stays on
 * a list of this consumer until it is settled. Whoever finds that a consumer
 * has died puts its messages back.
 */
export class AtLeastOnce extends Consumer implements HeartbeatMember {
  doubts = 1;
  #session: Session;
  #recoverer: Recoverer | undefined;
  readonly #taker: Taker;
  #acknowledger: Acknowledger | undefined;
  /** Batches that were asked for before the one in hand was handed out. */
  readonly #prefetched: Asked[] = [];
  /** True while messages are handed out one by one, because one may be poison. */
  #isIsolating = false;
  /** True when the next messages are taken by a script, since there may be many. */
  #isBacklog: boolean;
  /** True when there were more in the queue at the last look. */
  #isFollowed = false;
  /** True when the server, out of memory, has refused the last move. */
  #lacksMemory = false;
  /** The number of times in a row that it has refused to wait. */
  #refusals = 0;
  /** The number of bytes that the last messages had on average. */
  #size = 0;
  /** So many messages are asked for at once where it waits, as came together before. */
  #most = 1;
  /** True when several came together at the last wait: that happens now and then. */
  #cameTogether = false;
  #hasLeft = false;
  /** The command that travels with each message; many queues never need it. */
  #looking: readonly string[] | undefined;
  /** The key of this process' heartbeat, at the last look. */
  #beat: string;

  constructor(options: ConsumerOptions) {
    super(options);
    this.#isBacklog = !this.isShared;
    this.#taker = new Taker(this);
    this.#session = new Session(options.queue, options.consumer);
    this.#beat = options.heartbeat.key(this.keys);
  }

  get keys(): QueueKeys {
    return this.#session.keys;
  }

  /** The name of its session. */
  get name(): string {
    return this.#session.name;
  }

  get isQuiet(): boolean {
    return this.#session.known.size === this.slots &&
      this.#beat === this.options.heartbeat.key(this.keys) &&
      !this.#acknowledger?.hasUntold &&
      !this.isPaused && !this.subscribers?.names.length;
  }

  get slots(): number {
    // To one of them, a message is moved as soon as there is one.
    return this.#session.slots.length + (this.isBlocked ? 1 : 0);
  }

  /** Puts back what is to be tried again; made when that is first needed. */
  get recoverer(): Recoverer {
    return this.#recoverer ??= new Recoverer(this.options, this.box);
  }

  /**
   * Starts consumers of one process that share a connection, after another one.
   *
   * @throws {RedisError} Something is wrong with one of them; which it is, and
   * what, is found out when each starts alone.
   */
  static async startTogether(consumers: readonly AtLeastOnce[]): Promise<void> {
    const [session, ...others] = consumers.map((one) => one.#session);
    const { options } = consumers[0]!;
    // From here on the server tells of changes.
    for (const consumer of consumers) consumer.takeNews();
    const [found, names] = await Promise.all([
      options.control.command<number>(
        lookingIntoAll(consumers.map(({ keys }) => keys)),
        { isReply: isNumber },
      ),
      session!.join(options, others),
    ]);
    for (const [at, consumer] of consumers.entries()) {
      consumer.learn(names[at]!);
      options.heartbeat.add(consumer);
    }
    if (found === 0) return;
    for (const consumer of consumers) consumer.ring();
    await Promise.all(consumers.map(({ gate }) => gate.look()));
  }

  /**
   * Looks whether the session goes on, for batches whose way was interrupted, and
   * after what others have left.
   */
  async look(stale: readonly string[]): Promise<void> {
    const session = this.#session;
    const [numbers, names] = await session.inspect(this.options).catch(
      async (error): ReturnType<Session["inspect"]> => {
        if ((error as RedisError).code !== "taken") throw error;
        await this.#rejoin(session);
        return [[], this.subscribers?.names ?? []];
      },
    );
    this.learn(names);
    this.#beat = this.options.heartbeat.key(this.keys);
    this.#looking = undefined;
    // It comes by another connection, of which less is expected.
    const most = Math.min(this.maxBytes, this.options.control.bytesPerSecond);
    for (const number of await session.findLost(numbers, most, this.options)) {
      void this.#adopt(session, number);
    }
    if (session.unread.size > 0) this.doubts++;
    void this.#acknowledger?.tellAgain();
    await Promise.all([
      this.recoverer.run(stale),
      this.gate.look(),
      this.subscribers?.look(),
    ]);
    await this.box.look(this.options.control);
  }

  async reenter({ batches, subscribers, texts }: FoundKeys): Promise<void> {
    if (batches.length > 0) await this.recoverer.reenter(batches);
    if (subscribers.length > 0) {
      await this.needSubscribers().reenter(subscribers);
    }
    if (texts.length > 0) await this.box.reenter(texts, this.options.control);
  }

  protected override async checkRights(): Promise<void> {
    const { control, queue, user } = this.options;
    const { heartbeat: own } = this.keys;
    const shared = this.#beat === own ? "without blocking" : "keys";
    const extent = this.isShared ? shared : "all";
    await checkRights(control, queue, "at-least-once", user, extent);
  }

  async #join(): Promise<void> {
    const [names] = await this.#session.join(this.options);
    this.learn(names!);
  }

  protected override async enter(): Promise<void> {
    await this.#join();
    this.options.heartbeat.add(this);
  }

  protected override async settleRest(late: AbortSignal): Promise<void> {
    await this.#acknowledger?.tellAll(late);
  }

  protected override async leave(): Promise<void> {
    const { logger, queue, heartbeat, heartbeatTimeout } = this.options;
    this.#hasLeft = true;
    (this.#acknowledger ??= new Acknowledger(this.options)).stop();
    await heartbeat.remove(this);
    await this.recoverer.stop();
    try {
      await this.recoverer.putBack(this.#session.name);
    } catch (error) {
      const { message } = error as Error;
      logger.warn(
        `${message}. What was in hand goes back to "${queue}" after ${heartbeatTimeout} s.`,
      );
    }
  }

  protected override async takeOne(): Promise<void> {
    const isQuiet = this.#prefetched.length === 0 && !this.#isBacklog;
    if (isQuiet && this.inHand > 0) {
      // Those whose handlers are done in this turn are acknowledged on the way.
      await endOfTurn();
      if (!this.isOpen) return;
    }
    if (isQuiet && this.isShared && !this.takeNews()) return await this.news();
    const { heartbeat } = this.options;
    if (performance.now() > heartbeat.earlyAt) heartbeat.beat();
    const request = this.#prefetched.shift() ??
      (this.#isBacklog ? this.#request() : this.#wait());
    const { session, number, limit } = request;
    try {
      const taken = await request.reply;
      if (limit > 0) {
        this.#isFollowed = taken[2] > 0;
        this.#isBacklog = this.#isFollowed &&
          (this.#lacksMemory || this.#size < LARGE);
        this.ring();
      }
      const mayFollow = this.#isBacklog && !this.#isIsolating &&
        this.inHand < this.maxInHand &&
        this.options.memory.room > 2 * this.maxBytes;
      if (mayFollow) {
        // There is more: the server looks it up while this batch is dealt with,
        // provided that the request leaves before a handler keeps us busy.
        this.#prefetched.push(this.#request());
        await nextTurn();
      }
      await this.#receive(session, number, taken);
    } catch (error) {
      await this.#onFailure(session, number, error);
    }
  }

  /**
   * Looks after a batch that was asked for and did not come.
   *
   * @throws What it failed with, unless that was that the session is over.
   */
  async #onFailure(
    session: Session,
    number: number,
    error: unknown,
  ): Promise<void> {
    // The answer may be all that was lost: then the batch is found.
    session.known.delete(number);
    this.#isFollowed = false;
    this.ring();
    this.doubts++;
    if (!(error instanceof RedisError) || isLoss(error)) throw error;
    if (error.code !== "taken") {
      // What BLMOVE has moved although the rest was refused may be in no hash.
      await session.release(number, this.options).catch(() => {});
      throw error;
    }
    // What BLMOVE has just moved is in the hands of a session that is over, where
    // nobody looks for it: so this is tried until the server answers.
    await this.#insist(async () => {
      await session.note(number, "?", this.options);
      await session.release(number, this.options);
    });
    await this.#rejoin(session);
  }

  protected override async drain(): Promise<void> {
    // The last batch first, so that the messages are in their order again.
    for (let request; (request = this.#prefetched.pop()) !== undefined;) {
      const { session, number, reply } = request;
      try {
        const [, payloads] = await reply;
        if (payloads.length > 0) await session.release(number, this.options);
      } catch (error) {
        this.doubts++;
        throw error;
      } finally {
        session.known.delete(number);
      }
    }
  }

  /** Hands out a batch, but what may be poison only when it is alone in hand. */
  async #receive(
    session: Session,
    number: number,
    [text, payloads]: Taken,
  ): Promise<void> {
    if (payloads.length === 0) {
      if (!session.slots.includes(number)) session.known.delete(number);
      return;
    }
    const { maxDeliveries, logger, queue } = this.options;
    const { time = Date.now() / 1000, histories } = text === ""
      ? NO_NOTES
      : parseNotes(text);
    const batch = new HeldBatch(
      this,
      payloads,
      { session, number, time, histories, notes: text },
      this.#acknowledger ??= new Acknowledger(this.options),
    );
    const suspected = histories.values().find((history) =>
      isSuspected(history, maxDeliveries)
    );
    this.#isIsolating = suspected !== undefined;
    this.maxInHand = this.#isIsolating ? 1 : this.options.maxInFlight;
    if (suspected !== undefined) {
      if (payloads.length > 1 || this.inHand > 0) {
        return await this.#putBack(session, number);
      }
      if (isPoison(suspected)) {
        const error = new Error(
          `The consumer died ${suspected.crashes} times while it had this message, and nothing else, in hand`,
        );
        logger.error(
          `A message of "${queue}" becomes a dead letter: ${error.message}.`,
        );
        return await batch.tell([{ index: 0, reason: "crashed", error }], []);
      }
      // The mark by which this message is blamed if we die now.
      await session.note(number, `${text}!`, this.options);
    }
    this.#size = batch.bytes / payloads.length;
    if (!await this.handOut(batch)) await this.#putBack(session, number);
  }

  /** Hands out a batch whose way to us was interrupted. */
  async #adopt(session: Session, number: number): Promise<void> {
    const fresh = session.next();
    session.known.add(number);
    try {
      const taken = await this.#taker
        .take(session, number, READ_LOST, { fresh });
      session.unread.onRead(number);
      const isFresh = taken[2] === RENUMBERED;
      // More may come to the old number, whose list is looked at again then.
      session.known.delete(isFresh ? number : fresh);
      await this.#receive(session, isFresh ? fresh : number, taken);
    } catch (error) {
      session.known.delete(number);
      session.known.delete(fresh);
      // It is tried again: a right may come back, or memory.
      this.doubts++;
      if ((error as RedisError).code === "connection") {
        session.unread.add(number, session.keys.batch(number), this.options);
      }
    }
  }

  override async takeMissed(list: string): Promise<number> {
    const session = this.#session;
    const number = session.next();
    const room = Math.min(this.options.batchSize, this.maxInHand - this.inHand);
    // No more comes from the queue meanwhile than may be in hand with this.
    this.inHand += room;
    try {
      const taken = await this.#taker
        .takeMissed(session, number, list, room)
        .finally(() => this.inHand -= room);
      return await this.#receive(session, number, taken).then(() => taken[2]);
    } catch (error) {
      // The answer may be all that was lost: then the batch is found.
      session.known.delete(number);
      this.doubts++;
      if ((error as RedisError).code === "taken") await this.#rejoin(session);
      throw error;
    } finally {
      this.wake();
    }
  }

  override onReconnect(): void {
    this.#session.doubtSlots();
    super.onReconnect();
  }

  /** Asks for a batch. */
  #request(): Asked {
    const session = this.#session;
    const number = session.next();
    const limit = this.#isIsolating ? 1 : this.options.batchSize;
    void this.#acknowledger?.flush(this.options.blocking);
    const isExpected = this.#isBacklog;
    const reply = this.#taker.take(session, number, limit, { isExpected });
    // It may be awaited late.
    reply.catch(() => {});
    return { session, number, limit, reply };
  }

  /** Waits for a message in an empty queue. */
  #wait(): Asked {
    const { options } = this;
    const session = this.#session;
    void this.#acknowledger?.flush(options.blocking);
    // What comes later has to have the larger number, as long as it may go back.
    const { known, slots, leaving } = session;
    const isIdle = known.size === slots.length + leaving;
    let at = slots.length - 1;
    while (!isIdle && at >= 0 && slots[at]! < session.given) at--;
    const lists = at < 0 ? session.makeLists(options) : slots.splice(at, 1);
    const number = session.given = lists[0]!;
    const reply = this.#move(session, number, at < 0 ? lists : []);
    return { session, number, limit: 0, reply };
  }

  /**
   * Moves the first messages of the queue to a list of this session, as soon as
   * there are some. The list is announced once, and used again. What has to be known
   * about the messages travels with them, and so does the acknowledgement of what was
   * handled before: one that comes alone takes three commands and one round trip.
   */
  async #move(
    session: Session,
    number: number,
    unannounced: readonly number[],
  ): Promise<Taken> {
    const { blocking, heartbeat } = this.options;
    const { keys } = session;
    const fields = unannounced.flatMap((one) => [String(one), "?"]);
    const announcing = fields.length > 0 && blocking.command(
      ["HSET", keys.processing, ...fields],
      { isReply: isNumber },
    );
    const hasWaited = !this.#isFollowed;
    // Only who waits lets other queues go.
    const block = this.isShared || this.#isFollowed
      ? undefined
      : this.blockSeconds;
    const most = this.#most === 1 ? 1 : Math.min(
      this.#most,
      this.options.batchSize,
      this.maxInHand - this.inHand,
      this.maxBytes / this.#size,
    );
    const moving = session.move(number, most, block, this.options);
    const knowing = blocking.command<number>(
      this.#looking ??= lookingFor(keys, this.#beat),
      { isReply: isNumber },
    );
    const answers = Promise.allSettled([announcing, knowing, ...moving]);
    const [announced, known, ...moved] =
      await (this.#isFollowed ? answers : this.blocked(answers));
    const isAnnounced = announced.status === "fulfilled";
    // To a list that nobody knows, nothing may ever come.
    if (!isAnnounced) session.doubtSlots();
    const payloads: Uint8Array[] = [];
    const failures: RedisError[] = [];
    for (const answer of moved) {
      if (answer.status === "rejected") failures.push(answer.reason);
      else if (answer.value !== null) payloads.push(answer.value);
    }
    const isRefused = failures.length > 0;
    this.#lacksMemory = false;
    if (isRefused) {
      await this.#onRefusal(session, number, failures, payloads.length);
    } else this.#refusals = 0;
    if (known.status === "rejected") {
      // The messages were moved: what is refused is the key of the heartbeat.
      heartbeat.doubt({ now: known.reason.code === "permission" });
      throw known.reason;
    }
    // This look is what the server tells changes of.
    this.#isFollowed = (known.value & FACTS.isFollowed) > 0;
    if (this.#isFollowed) this.ring();
    if ((known.value & FACTS.isPaused) > 0) {
      this.gate.suspect();
      if (payloads.length > 0) {
        await this.#putBack(session, number);
        return NOTHING;
      }
    }
    // A full server refuses to move one by one; scripts that only move go on.
    this.#isBacklog = this.#isFollowed &&
      (this.#lacksMemory || this.#most === MOST_MOVED && this.#size < LARGE);
    if (payloads.length === 0) {
      // After a long wait, nothing tells that more than one comes next.
      if (block !== undefined) this.#most = 1;
      return await this.#onNothing(session, number, isAnnounced);
    }
    if (!isRefused) {
      // One that is not there costs much less than waiting once more.
      if (payloads.length < moving.length) this.#most = moving.length - 1;
      else if (this.#isFollowed) {
        if (this.#cameTogether) {
          this.#most = Math.min(2 * this.#most + 1, MOST_MOVED);
        }
        this.#cameTogether = true;
      } else if (hasWaited) this.#cameTogether = moving.length > 1;
    }
    // The heartbeat is the process', and beats again in a new session.
    const isAlive = session === this.#session && this.doubts === 0 &&
      (known.value & FACTS.isAlive) > 0;
    const hasHistories = (known.value & FACTS.hasHistories) > 0;
    // After a refusal, only their list tells which were moved.
    if (isRefused || !isAnnounced || hasHistories || !isAlive) {
      let here = isRefused ? [] : payloads;
      // Where the server has lost its data, nobody else knows of them.
      return await this.#insist(() => {
        const moved = here;
        // After a loss, something else may be on their list.
        here = [];
        return this.#taker.take(session, number, READ_MOVED, { moved });
      });
    }
    if (payloads.every(isComplete)) return ["", payloads, 0];
    return [await session.noteTime(number, this.options), payloads, 0];
  }

  /**
   * Looks after moves that were refused, or whose answers were lost.
   *
   * @throws {RedisError} The worst of them, unless messages were moved all the
   * same, or there is no memory to move them one by one.
   */
  async #onRefusal(
    session: Session,
    number: number,
    failures: readonly RedisError[],
    moved: number,
  ): Promise<void> {
    const failure = failures.find(isLoss) ??
      // What an answer without sense is about may have happened.
      failures.find(({ code }) => code === "reply") ?? failures[0]!;
    this.#lacksMemory = failure.code === "memory";
    this.#most = 1;
    if (isLoss(failure)) throw failure;
    if (moved > 0 || this.#lacksMemory) return;
    if (failure.code !== "reply") {
      // Nothing was moved, and nothing comes late. A script could not say so
      // where a slot of a cluster is half moved.
      await session.forget([number], this.options).catch(() => {});
    }
    throw failure;
  }

  /** Keeps the list to which nothing was moved, for the next wait. */
  async #onNothing(
    session: Session,
    number: number,
    isAnnounced: boolean,
  ): Promise<Taken> {
    if (!isAnnounced) session.known.delete(number);
    else if (session.slots.length < MAX_SLOTS) session.slots.push(number);
    else await session.forget([number], this.options).catch(() => {});
    if (this.#lacksMemory && !this.#isFollowed && !this.isShared) {
      // It refuses to wait as well.
      const { closing: signal } = this.options;
      const pause = backoff(this.#refusals++, FULL_PAUSES);
      await this.blocked(sleep(pause, { signal }));
    }
    return NOTHING;
  }

  /** Tries something again as long as the connection is lost. */
  #insist<T>(run: () => Promise<T>): Promise<T> {
    return retry(run, {
      signal: this.options.closing,
      mayHelp: (error) =>
        error instanceof RedisError && error.code !== "closed" &&
        isLoss(error),
    });
  }

  /** Begins a new session, unless that was done already. */
  async #rejoin(lost: Session): Promise<void> {
    if (this.#session !== lost || this.#hasLeft) return;
    const { queue, consumer, logger, heartbeat } = this.options;
    this.#session = new Session(queue, consumer);
    heartbeat.abandon(lost.keys);
    logger.warn(
      `${lost.name} is no consumer of "${queue}" any more: another one took it for dead and put its messages back, or the server has lost its data. Going on as ${this.#session.name}.`,
    );
    await this.#join();
    heartbeat.doubt({ now: true });
    void warnOfEviction(this.options.control, logger, true);
  }

  /** Puts a batch back, and before it what was asked for after it. */
  async #putBack(session: Session, number: number): Promise<void> {
    try {
      await this.drain();
      await session.release(number, this.options);
    } finally {
      session.known.delete(number);
    }
  }
}
