import { backoff, pause } from "./backoff.ts";
import type { Batch, Failure } from "./batch.ts";
import { explainWrongType } from "./explain_wrong_type.ts";
import { Life } from "./life.ts";
import {
  BLOCK_SECONDS,
  MAX_BATCH_BYTES,
  type QueueReader,
  type ReaderOptions,
  unblock,
} from "./queue_reader.ts";
import { ReaderLoop } from "./reader_loop.ts";
import { RedisError } from "./redis_error.ts";
import { type History, parseHistories, planSettlement } from "./settlement.ts";
import { beat } from "./scripts/beat.ts";
import { join } from "./scripts/join.ts";
import { promote } from "./scripts/promote.ts";
import { reclaim } from "./scripts/reclaim.ts";
import { release } from "./scripts/release.ts";
import { settle } from "./scripts/settle.ts";
import { take } from "./scripts/take.ts";

/** How `take` reads a batch. */
const READ_MOVED = 0;
const READ_LOST = -1;

/** The largest number of messages whose pause is over that go back at once. */
const PROMOTED = 512;

type Taken = [histories: string, payloads: Uint8Array[]];

/**
 * Reads a queue so that every message is handled at least once: it stays on a
 * list of this consumer until it is settled, and whoever finds that a consumer
 * has died puts its messages back.
 */
export class AtLeastOnce implements QueueReader {
  #options: ReaderOptions;
  #life: Life;
  #loop: ReaderLoop;
  #heart: ReturnType<typeof setInterval> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #inFlight = 0;
  #work = new Set<Promise<unknown>>();
  #closing = new AbortController();

  /** @param options See {@link ReaderOptions}. */
  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#life = new Life(options.queue, options.consumer);
    this.#loop = new ReaderLoop({
      round: () => this.#round(),
      ready: (signal) => options.blocking.ready(signal),
      logger: options.logger,
    });
  }

  async start(): Promise<void> {
    await this.#join();
    await this.#maintain();
    const { heartbeatTimeout } = this.#options;
    this.#heart = setInterval(
      () => this.#background(this.#maintain()),
      heartbeatTimeout * 1000 / 3,
    );
    Deno.unrefTimer(this.#heart);
    this.#loop.start();
  }

  onReconnect(): void {
    if (this.#heart === undefined || this.#loop.signal.aborted) return;
    this.#background(this.#maintain());
  }

  async pause(): Promise<void> {
    const { blocking, control } = this.#options;
    const shut = this.#loop.shut();
    await unblock(blocking, control);
    await shut;
  }

  resume(): void {
    this.#loop.open();
  }

  async stop(timeout: number): Promise<void> {
    const { blocking, control, logger, queue, heartbeatTimeout } =
      this.#options;
    const ended = this.#loop.end();
    await unblock(blocking, control);
    await ended;
    await this.#loop.until(
      () => this.#inFlight === 0 && this.#work.size === 0,
      timeout,
    );
    clearInterval(this.#heart);
    clearTimeout(this.#retryTimer);
    this.#closing.abort();
    await this.#leave().catch((error) =>
      logger.warn(
        `${
          (error as Error).message
        } What was in hand goes back to "${queue}" after ${heartbeatTimeout} s.`,
      )
    );
  }

  /** Hands one batch out. */
  async #round(): Promise<void> {
    const { maxInFlight } = this.#options;
    while (this.#inFlight >= maxInFlight) {
      await this.#loop.change();
      if (!this.#loop.isOpen) return;
    }
    const life = this.#life;
    const number = life.next();
    let taken: Taken;
    try {
      taken = await this.#take(life, number, this.#options.batchSize);
      if (taken[1].length === 0) taken = await this.#await(life, number);
    } catch (error) {
      // The answer may be all that was lost: the next heartbeat finds the batch.
      life.known.delete(number);
      if (!(error instanceof RedisError) || error.code !== "taken") throw error;
      await this.#abandon(life, number);
      return await this.#rejoin(life);
    }
    if (taken[1].length === 0) life.known.delete(number);
    else await this.#offer(life, number, taken);
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

  /** Waits for a message in an empty queue. The three commands travel together. */
  async #await(life: Life, number: number): Promise<Taken> {
    if (!this.#loop.isOpen) return ["", []];
    const { blocking } = this.#options;
    const { queue, processing } = life.keys;
    const [announced, moved, taken] = await Promise.allSettled([
      blocking.command(["HSET", processing, String(number), "?"]),
      blocking.command(
        [
          "BLMOVE",
          queue,
          life.list(number),
          "LEFT",
          "RIGHT",
          `${BLOCK_SECONDS}`,
        ],
        { block: BLOCK_SECONDS, bytes: true },
      ),
      this.#take(life, number, READ_MOVED),
    ]);
    if (taken.status === "rejected") throw taken.reason;
    for (const result of [announced, moved]) {
      if (result.status === "fulfilled") continue;
      const { code } = result.reason as RedisError;
      // A server out of memory refuses these two, but `take` goes on.
      if (code !== "memory") throw result.reason;
      await pause(BLOCK_SECONDS / 20, this.#loop.signal);
    }
    return taken.value;
  }

  /** Offers a batch, and puts it back when nobody wants it. */
  async #offer(life: Life, number: number, taken: Taken): Promise<void> {
    const { stats, handoff, queue, control } = this.#options;
    const [text, payloads] = taken;
    const count = payloads.length;
    const histories = parseHistories(text);
    const deliveries = new Array<number>(count).fill(0);
    for (const [index, history] of histories) {
      deliveries[index] = history.deliveries;
    }
    let isSettled = false;
    const batch: Batch = {
      queue,
      payloads,
      deliveries,
      settle: async (failures = []) => {
        if (isSettled) return;
        isSettled = true;
        const work = this.#settle(life, number, payloads, histories, failures);
        await this.#background(work);
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
    const { keys } = life;
    try {
      await control.script(
        release,
        [keys.queue, keys.processing, life.list(number), keys.deliveries],
        [String(number)],
      );
    } finally {
      life.known.delete(number);
    }
  }

  async #settle(
    life: Life,
    number: number,
    payloads: readonly Uint8Array[],
    histories: Map<number, History>,
    failures: readonly Failure[],
  ): Promise<void> {
    const { stats, logger, queue, maxDeadLetters, control } = this.#options;
    const plan = planSettlement(
      failures,
      payloads,
      histories,
      (index) => life.nameMessage(number, index),
      this.#options,
    );
    const { keys } = life;
    const list = life.list(number);
    for (let attempt = 0, isDoubtful = false;; attempt++) {
      try {
        await control.ready();
        const lost = await control.script<number>(
          settle,
          [keys.processing, list, keys.retry, keys.dead],
          [String(number), String(maxDeadLetters), ...plan.args],
        );
        life.known.delete(number);
        if (lost < 0 && !isDoubtful) {
          stats.taken += payloads.length;
          return logger.warn(
            `${payloads.length} messages of "${queue}" were handled too late: another consumer has put them back.`,
          );
        }
        stats.acknowledged += payloads.length - failures.length;
        stats.retried += plan.retried;
        stats.deadLettered += plan.buried;
        stats.dropped += failures.length - plan.retried - plan.buried;
        if (lost > 0) {
          stats.deadLettersLost += lost;
          logger.warn(
            `${lost} of the oldest dead letters of "${queue}" had to make room.`,
          );
        }
        if (plan.retried > 0) this.#promoteIn(plan.shortestPause);
        return;
      } catch (error) {
        const { code, mayHaveRun, isTransient, message } = error as RedisError;
        isDoubtful ||= mayHaveRun;
        if (!isTransient) {
          return logger.warn(
            `${message} ${payloads.length} messages of "${queue}" were handled, but will be delivered again.`,
          );
        }
        if (code !== "connection") {
          await pause(backoff(attempt, 0.05, 2), this.#closing.signal);
        }
      }
    }
  }

  /** Everything that is due from time to time. */
  async #maintain(): Promise<void> {
    const { control, logger, stats, queue } = this.#options;
    const life = this.#life;
    const { keys } = life;
    try {
      const numbers = await control.script<string[]>(
        beat,
        [keys.consumers, keys.heartbeat, keys.processing],
        [life.name, this.#lifetime],
      );
      for (const number of numbers.map(Number)) {
        if (!life.known.has(number)) {
          this.#background(this.#adopt(life, number));
        }
      }
      const [count, owners] = await this.#reclaim("");
      if (count > 0) {
        stats.reclaimed += count;
        logger.info(
          `Put ${count} messages back to "${queue}" that ${
            owners.join(", ")
          } did not acknowledge.`,
        );
      }
      await this.#promote();
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      if (error.code === "taken") await this.#rejoin(life);
      else if (error.code !== "connection" && error.code !== "closed") {
        logger.warn(error.message);
      }
    }
  }

  /** Hands out a batch whose way to us was interrupted. */
  async #adopt(life: Life, number: number): Promise<void> {
    life.known.add(number);
    try {
      const taken = await this.#take(life, number, READ_LOST);
      if (taken[1].length === 0) life.known.delete(number);
      else await this.#offer(life, number, taken);
    } catch {
      life.known.delete(number);
    }
  }

  async #join(): Promise<void> {
    const { keys, name } = this.#life;
    const { control, queue } = this.#options;
    try {
      await control.script(
        join,
        [keys.queue, keys.consumers, keys.heartbeat],
        [name, this.#lifetime],
      );
    } catch (error) {
      throw explainWrongType(error, queue);
    }
  }

  /** Starts a new life after another consumer took this one for dead. */
  async #rejoin(life: Life): Promise<void> {
    if (this.#life !== life || this.#loop.signal.aborted) return;
    const { queue, consumer, logger } = this.#options;
    this.#life = new Life(queue, consumer);
    logger.warn(
      `Another consumer of "${queue}" took ${life.name} for dead and put its messages back; going on as ${this.#life.name}.`,
    );
    await this.#join();
    this.#background(this.#maintain());
  }

  /** Makes sure that what BLMOVE moved for a life that is over is found by all. */
  async #abandon(life: Life, number: number): Promise<void> {
    const { consumers, processing } = life.keys;
    const { control } = this.#options;
    await Promise.all([
      control.command(["HSETNX", consumers, life.name, "alive"]),
      control.command(["HSETNX", processing, String(number), "?"]),
    ]);
  }

  async #leave(): Promise<void> {
    const { keys, name } = this.#life;
    const { control } = this.#options;
    await control.command(["DEL", keys.heartbeat]);
    await this.#reclaim(name);
  }

  #reclaim(leaving: string): Promise<[number, string[]]> {
    const { keys } = this.#life;
    return this.#options.control.script<[number, string[]]>(
      reclaim,
      [keys.queue, keys.consumers, keys.deliveries],
      [keys.allHeartbeats, keys.allProcessing, leaving],
    );
  }

  async #promote(): Promise<void> {
    const { keys } = this.#life;
    const next = await this.#options.control.script<number>(
      promote,
      [keys.queue, keys.retry, keys.deliveries],
      [String(PROMOTED)],
    );
    if (next >= 0) this.#promoteIn(next);
  }

  #promoteIn(milliseconds: number): void {
    if (this.#loop.signal.aborted) return;
    clearTimeout(this.#retryTimer);
    // The heartbeat looks as well, so a later one need not be remembered.
    this.#retryTimer = setTimeout(
      () => this.#background(this.#promote().catch(() => {})),
      Math.min(milliseconds + 1, 60_000),
    );
    Deno.unrefTimer(this.#retryTimer);
  }

  get #lifetime(): string {
    return String(Math.ceil(this.#options.heartbeatTimeout * 1000));
  }

  /** Remembers what runs beside the loop, so that stopping can wait for it. */
  #background<Value>(work: Promise<Value>): Promise<Value> {
    this.#work.add(work);
    const forget = (): void => {
      this.#work.delete(work);
      this.#loop.notify();
    };
    work.then(forget, forget);
    return work;
  }
}
