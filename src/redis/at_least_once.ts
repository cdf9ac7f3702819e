import { pause } from "./backoff.ts";
import type { Batch, Failure } from "./batch.ts";
import type { Life } from "./life.ts";
import {
  BLOCK_SECONDS,
  MAX_BATCH_BYTES,
  type QueueReader,
  type ReaderOptions,
  unblock,
  written,
} from "./queue_reader.ts";
import { ReaderLoop } from "./reader_loop.ts";
import { RedisError, type RedisErrorCode } from "./redis_error.ts";
import {
  type History,
  isConvicted,
  isSuspect,
  parseHistories,
} from "./settlement.ts";
import { type Outcome, settleBatch } from "./settle_batch.ts";
import { release } from "./scripts/release.ts";
import { take } from "./scripts/take.ts";
import { Upkeep } from "./upkeep.ts";

/** How `take` reads a batch. */
const READ_MOVED = 0;
const READ_LOST = -1;

type Taken = readonly [histories: string, payloads: readonly Uint8Array[]];
const NOTHING: Taken = ["", []];

/** A batch that was asked for. */
interface Request {
  readonly life: Life;
  readonly number: number;
  readonly answer: Promise<Taken>;
}

/**
 * Reads a queue so that every message is handled at least once: it stays on a
 * list of this consumer until it is settled, and whoever finds that a consumer
 * has died puts its messages back.
 */
export class AtLeastOnce implements QueueReader {
  #options: ReaderOptions;
  #upkeep: Upkeep;
  #loop: ReaderLoop;
  #requests: Request[] = [];
  #inFlight = 0;
  /** Messages are handed out one by one, because one may be deadly. */
  #isCareful = false;
  #closing = new AbortController();

  /** @param options See {@link ReaderOptions}. */
  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#upkeep = new Upkeep(
      options,
      (life, number) => this.#adopt(life, number),
    );
    this.#loop = new ReaderLoop({
      round: () => this.#round(),
      drain: () => this.#drain(),
      interrupt: () => unblock(options.blocking, options.control),
      ready: (signal) => options.blocking.ready(signal),
      logger: options.logger,
    });
  }

  async start(): Promise<void> {
    await this.#upkeep.start();
    this.#loop.start();
  }

  onReconnect(): void {
    this.#upkeep.run();
  }

  pause(): Promise<void> {
    return this.#loop.shut();
  }

  resume(): void {
    this.#loop.open();
  }

  async stop(timeout: number): Promise<void> {
    await this.#loop.end();
    await this.#loop.until(() => this.#inFlight === 0, timeout);
    this.#closing.abort();
    await this.#upkeep.end();
  }

  /** Hands one batch out. */
  async #round(): Promise<void> {
    const { maxInFlight } = this.#options;
    while (this.#inFlight >= (this.#isCareful ? 1 : maxInFlight)) {
      await this.#loop.change();
      if (!this.#loop.isOpen) return;
    }
    if (this.#requests.length === 0) this.#request();
    const { life, number, answer } = this.#requests.shift()!;
    try {
      let taken = await answer;
      if (!this.#isCareful && taken[1].length >= this.#options.batchSize) {
        // There is more: the server looks it up while this batch is dealt with,
        // provided that the request leaves before a handler keeps us busy.
        this.#request();
        await written();
      } else if (taken[1].length === 0) {
        taken = await this.#await(life, number);
      }
      if (taken[1].length === 0) life.known.delete(number);
      else await this.#handOut(life, number, taken);
    } catch (error) {
      // The answer may be all that was lost: the next heartbeat finds the batch.
      life.known.delete(number);
      if (codeOf(error) !== "taken") throw error;
      // What BLMOVE has just moved is in the hands of a life that is over.
      await this.#options.control.command(
        ["HSETNX", life.keys.processing, String(number), "?"],
      );
      await this.#release(life, number);
      await this.#upkeep.rejoin(life);
    }
  }

  #request(): void {
    const { life } = this.#upkeep;
    const number = life.next();
    const limit = this.#isCareful ? 1 : this.#options.batchSize;
    const answer = this.#take(life, number, limit);
    // It may be awaited late.
    answer.catch(() => {});
    this.#requests.push({ life, number, answer });
  }

  /** Puts back what was asked for ahead, the last batch first. */
  async #drain(): Promise<void> {
    for (let request; (request = this.#requests.pop()) !== undefined;) {
      const { life, number, answer } = request;
      try {
        const [, payloads] = await answer;
        if (payloads.length > 0) await this.#release(life, number);
      } finally {
        life.known.delete(number);
      }
    }
  }

  #take(life: Life, number: number, limit: number): Promise<Taken> {
    const { keys } = life;
    const { blocking, control } = this.#options;
    return (limit === READ_LOST ? control : blocking).script<Taken>(
      take,
      [
        keys.queue,
        keys.consumers,
        keys.processing,
        life.list(number),
        keys.deliveries,
      ],
      [life.name, String(number), String(limit), String(MAX_BATCH_BYTES)],
      { bytes: true },
    ).then(([histories, payloads]) => [String(histories), payloads]);
  }

  /**
   * Waits for a message in an empty queue. What has to be known about it travels
   * with it, so that the usual case takes no further round trip.
   */
  async #await(life: Life, number: number): Promise<Taken> {
    const { blocking } = this.#options;
    const { queue, processing, deliveries, consumers } = life.keys;
    const list = life.list(number);
    const block = String(BLOCK_SECONDS);
    while (this.#loop.isOpen) {
      const [announced, moved, returned, state] = await Promise.allSettled([
        blocking.command(["HSET", processing, String(number), "?"]),
        blocking.command<Uint8Array | null>(
          ["BLMOVE", queue, list, "LEFT", "RIGHT", block],
          { block: BLOCK_SECONDS, bytes: true },
        ),
        blocking.command<number>(["EXISTS", deliveries]),
        blocking.command<string | null>(["HGET", consumers, life.name]),
      ]);
      if (moved.status === "rejected") {
        // A server out of memory refuses BLMOVE; scripts that only move go on.
        if (codeOf(moved.reason) !== "memory") throw moved.reason;
        await pause(BLOCK_SECONDS / 20, this.#loop.signal);
        return NOTHING;
      }
      if (returned.status === "rejected") throw returned.reason;
      if (state.status === "rejected") throw state.reason;
      if (moved.value === null && announced.status === "fulfilled") continue;
      if (state.value !== "alive") {
        throw new RedisError(
          "Another consumer took this one for dead.",
          "taken",
        );
      }
      // Its history is known without asking only where there are none at all.
      return announced.status === "fulfilled" && returned.value === 0
        ? ["", [moved.value!]]
        : await this.#take(life, number, READ_MOVED);
    }
    await blocking.command(["HDEL", processing, String(number)]);
    return NOTHING;
  }

  /** Offers a batch, but what consumers may die of only when it is alone in hand. */
  async #handOut(life: Life, number: number, taken: Taken): Promise<void> {
    const { maxDeliveries, logger, queue } = this.#options;
    const [text, payloads] = taken;
    const histories = parseHistories(text);
    const suspects = [...histories.values()].filter((history) =>
      isSuspect(history, maxDeliveries)
    );
    this.#isCareful = suspects.length > 0;
    if (!this.#isCareful) {
      return await this.#offer(life, number, payloads, histories);
    }
    if (payloads.length > 1 || this.#inFlight > 0) {
      return await this.#putBack(life, number);
    }
    const { crashes } = suspects[0]!;
    if (!isConvicted(suspects[0]!)) {
      // The mark by which this message is blamed if we die now.
      await this.#options.control.command(
        ["HSET", life.keys.processing, String(number), `${text}!`],
      );
      return await this.#offer(life, number, payloads, histories);
    }
    const error = new Error(
      `The consumer died ${crashes} times while it had this message, and nothing else, in hand.`,
    );
    logger.error(
      `A message of "${queue}" becomes a dead letter: ${error.message}`,
    );
    const failures: Failure[] = [{ index: 0, reason: "crashed", error }];
    const outcome = { failures, returned: [] };
    await this.#settle(life, number, payloads, histories, outcome);
  }

  /** Offers a batch, and puts it back when nobody wants it. */
  async #offer(
    life: Life,
    number: number,
    payloads: readonly Uint8Array[],
    histories: Map<number, History>,
  ): Promise<void> {
    const { stats, handoff, queue } = this.#options;
    const count = payloads.length;
    const deliveries = new Array<number>(count).fill(0);
    for (const [index, history] of histories) {
      deliveries[index] = history.deliveries;
    }
    let isSettled = false;
    const batch: Batch = {
      queue,
      payloads,
      deliveries,
      settle: async (failures = [], returned = []) => {
        if (isSettled) return;
        isSettled = true;
        const outcome = { failures, returned };
        await this.#settle(life, number, payloads, histories, outcome);
        this.#inFlight -= count;
        stats.inFlight -= count;
        this.#loop.notify();
      },
    };
    this.#inFlight += count;
    if (await handoff.offer(batch)) {
      stats.received += count;
      stats.redelivered += histories.size;
      stats.inFlight += count;
      return;
    }
    this.#inFlight -= count;
    await this.#putBack(life, number);
  }

  /** Puts a batch back, and before it what was asked for after it. */
  async #putBack(life: Life, number: number): Promise<void> {
    try {
      await this.#drain();
      await this.#release(life, number);
    } finally {
      life.known.delete(number);
    }
  }

  async #release(life: Life, number: number): Promise<void> {
    const { keys } = life;
    await this.#options.control.script(
      release,
      [keys.queue, keys.processing, life.list(number), keys.deliveries],
      [String(number)],
    );
  }

  #settle(
    life: Life,
    number: number,
    payloads: readonly Uint8Array[],
    histories: Map<number, History>,
    outcome: Outcome,
  ): Promise<void> {
    return settleBatch(
      { life, number, payloads, histories },
      outcome,
      this.#options,
      this.#upkeep,
      this.#closing.signal,
    );
  }

  /** Hands out a batch whose way to us was interrupted. */
  async #adopt(life: Life, number: number): Promise<void> {
    life.known.add(number);
    try {
      const taken = await this.#take(life, number, READ_LOST);
      if (taken[1].length === 0) life.known.delete(number);
      else await this.#handOut(life, number, taken);
    } catch {
      life.known.delete(number);
    }
  }
}

function codeOf(error: unknown): RedisErrorCode | undefined {
  return error instanceof RedisError ? error.code : undefined;
}
