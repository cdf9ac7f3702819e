import type { Failure } from "./batch.ts";
import { InFlight } from "./in_flight.ts";
import { Intake, type Taken } from "./intake.ts";
import type { Life } from "./life.ts";
import {
  type QueueReader,
  type ReaderOptions,
  written,
} from "./queue_reader.ts";
import { ReaderLoop } from "./reader_loop.ts";
import { RedisError } from "./redis_error.ts";
import { type HeldBatch, type Outcome, settleBatch } from "./settle_batch.ts";
import { isConvicted, isSuspect, parseHistories } from "./settlement.ts";
import { Upkeep } from "./upkeep.ts";

/**
 * Reads a queue so that every message is handled at least once: it stays on a
 * list of this consumer until it is settled, and whoever finds that a consumer
 * has died puts its messages back.
 */
export class AtLeastOnce implements QueueReader {
  #options: ReaderOptions;
  #upkeep: Upkeep;
  #loop: ReaderLoop;
  #intake: Intake;
  #inFlight: InFlight;
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
    this.#loop = new ReaderLoop(options, {
      round: () => this.#round(),
      drain: () => this.#intake.drain(),
    });
    this.#intake = new Intake(options, this.#loop);
    this.#inFlight = new InFlight(options, this.#loop);
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
    await this.#loop.until(() => this.#inFlight.count === 0, timeout);
    this.#closing.abort();
    await this.#upkeep.end();
  }

  /** Hands one batch out. */
  async #round(): Promise<void> {
    const { maxInFlight } = this.#options;
    while (this.#inFlight.count >= (this.#isCareful ? 1 : maxInFlight)) {
      await this.#loop.change();
      if (!this.#loop.isOpen) return;
    }
    const { life, number, answer } = this.#intake.next(
      this.#upkeep.life,
      this.#limit,
    );
    try {
      let taken = await answer;
      if (!this.#isCareful && taken[1].length >= this.#options.batchSize) {
        // There is more: the server looks it up while this batch is dealt with,
        // provided that the request leaves before a handler keeps us busy.
        this.#intake.askAhead(this.#upkeep.life, this.#limit);
        await written();
      } else if (taken[1].length === 0) {
        taken = await this.#intake.wait(life, number);
      }
      if (taken[1].length === 0) life.known.delete(number);
      else await this.#handOut(life, number, taken);
    } catch (error) {
      // The answer may be all that was lost: the next heartbeat finds the batch.
      life.known.delete(number);
      const isTaken = error instanceof RedisError && error.code === "taken";
      if (!isTaken) throw error;
      // What BLMOVE has just moved is in the hands of a life that is over.
      await this.#options.control.command(
        ["HSETNX", life.keys.processing, String(number), "?"],
      );
      await this.#intake.release(life, number);
      await this.#upkeep.rejoin(life);
    }
  }

  /** How many messages a batch may have. */
  get #limit(): number {
    return this.#isCareful ? 1 : this.#options.batchSize;
  }

  /** Offers a batch, but what consumers may die of only when it is alone in hand. */
  async #handOut(
    life: Life,
    number: number,
    [text, payloads]: Taken,
  ): Promise<void> {
    const { maxDeliveries, logger, queue } = this.#options;
    const histories = parseHistories(text);
    const batch = { life, number, payloads, histories };
    const suspects = [...histories.values()].filter((history) =>
      isSuspect(history, maxDeliveries)
    );
    this.#isCareful = suspects.length > 0;
    if (!this.#isCareful) return await this.#offer(batch);
    if (payloads.length > 1 || this.#inFlight.count > 0) {
      return await this.#intake.putBack(life, number);
    }
    const { crashes } = suspects[0]!;
    if (!isConvicted(suspects[0]!)) {
      // The mark by which this message is blamed if we die now.
      await this.#options.control.command(
        ["HSET", life.keys.processing, String(number), `${text}!`],
      );
      return await this.#offer(batch);
    }
    const error = new Error(
      `The consumer died ${crashes} times while it had this message, and nothing else, in hand`,
    );
    logger.error(
      `A message of "${queue}" becomes a dead letter: ${error.message}.`,
    );
    const failures: Failure[] = [{ index: 0, reason: "crashed", error }];
    await this.#settle(batch, { failures, returned: [] });
  }

  /** Offers a batch, and puts it back when nobody wants it. */
  async #offer(batch: HeldBatch): Promise<void> {
    const { life, number, payloads, histories } = batch;
    const deliveries = new Array<number>(payloads.length).fill(0);
    for (const [index, history] of histories) {
      deliveries[index] = history.deliveries;
    }
    const settle = (outcome: Outcome): Promise<void> =>
      this.#settle(batch, outcome);
    if (await this.#inFlight.offer(payloads, deliveries, settle)) {
      this.#options.stats.redelivered += histories.size;
    } else {
      await this.#intake.putBack(life, number);
    }
  }

  #settle(batch: HeldBatch, outcome: Outcome): Promise<void> {
    return settleBatch(
      batch,
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
      const taken = await this.#intake.find(life, number);
      if (taken[1].length === 0) life.known.delete(number);
      else await this.#handOut(life, number, taken);
    } catch {
      life.known.delete(number);
    }
  }
}
