import { clearImmediate, setImmediate } from "node:timers";
import { retry, unlessAborted } from "../waiting.ts";
import type { Connection } from "./connection.ts";
import type { ConsumerOptions } from "./consumer.ts";
import { warnOfEviction } from "./eviction.ts";
import type { HeldBatch } from "./held_batch.ts";
import { identify } from "./history.ts";
import { MinuteReport } from "../minute_report.ts";
import { MAX_SLOTS } from "./session.ts";
import { settleLate } from "./settle_late.ts";
import { isLoss, type RedisError } from "./redis_error.ts";
import { isNumber } from "./reply_shape.ts";
import { Trouble } from "./trouble.ts";
import { amount } from "../units.ts";

/** So long an acknowledgement waits for another command to travel with, in seconds. */
const DELAY = 0.005;

/**
 * The number of batches that are settled again and again where the server refuses
 * it, as far as there is memory for them. The others go back at the end.
 */
const MAX_UNTOLD = 1000;

const AS_NUMBER = { isReply: isNumber };

/** A batch that was handled as a whole, and who wants to know that the server knows. */
interface Handled {
  readonly batch: HeldBatch;
  /** True where its list may be used again. */
  mayStay: boolean;
  /** True where this has removed its list, or has tried to and the answer was lost. */
  isGone: boolean;
  readonly resolve: () => void;
}

/** A batch of which the server has refused to learn what became of it. */
interface Untold {
  readonly batch: HeldBatch;
  readonly tell: () => Promise<void>;
}

/**
 * Acknowledges batches that were handled as a whole, by removing their lists,
 * together with the next command that takes or waits for messages, or by itself, but
 * only once within a few milliseconds. A list that BLMOVE moves to can be used again
 * afterwards.
 */
export class Acknowledger {
  readonly #options: ConsumerOptions;
  readonly #ending = new AbortController();
  /** Aborted in the end: whatever the server does not know by then stays so. */
  readonly signal: AbortSignal = this.#ending.signal;
  #handled: Handled[] = [];
  /** They outlive the session of their batches: others may have put these back. */
  readonly #untold: Untold[] = [];
  readonly #late = new MinuteReport();
  /** The number of messages in batches that are not even told again. */
  #left = 0;
  /** Begins the delay after this turn of the event loop: mostly a command leaves in it. */
  #delay: ReturnType<typeof setImmediate> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #flushedAt = -Infinity;

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  /** Acknowledges what there is, once. */
  stop(): void {
    this.#ending.abort();
    void this.flush(this.#options.control);
    this.#late.stop();
    const { logger, queue } = this.#options;
    while (this.#untold.length > 0) this.#giveUp();
    const count = this.#left;
    if (count === 0) return;
    Trouble.onQueueSuccess(this, this.#options);
    logger.warn(
      `The server has refused to settle what was handled. ${
        goBack(count, queue)
      }`,
    );
  }

  /**
   * Has the server told again what became of a batch, with each look: it has
   * refused to learn it, and nobody else settles what this consumer has in hand.
   *
   * @param tell Tells it, and comes back here where that is refused again.
   */
  tellLater(
    batch: HeldBatch,
    error: RedisError,
    tell: () => Promise<void>,
  ): void {
    const { memory } = this.#options;
    batch.putDown();
    memory.add(batch.bytes);
    batch.isUntold = true;
    this.#untold.push({ batch, tell });
    while (
      this.#untold.length > MAX_UNTOLD ||
      memory.room <= 0 && this.#untold.length > 0
    ) this.#giveUp();
    Trouble.onQueueFailure(this, error, this.#options);
    this.#options.heartbeat.doubt({ now: false });
  }

  /** True while there is something that each look tells again. */
  get hasUntold(): boolean {
    return this.#untold.length > 0;
  }

  /** Takes the oldest of what is to be told again. */
  #shift(): Untold {
    const untold = this.#untold.shift()!;
    this.#options.memory.add(-untold.batch.bytes);
    return untold;
  }

  /** Leaves the oldest of it untold: it goes back at the end. */
  #giveUp(): void {
    this.#left += this.#shift().batch.payloads.length;
  }

  /** Tells one of them, and the others as soon as the server accepts it. */
  async tellAgain(): Promise<void> {
    if (this.#untold.length === 0) return;
    let last: Untold | undefined;
    do {
      const { tell } = this.#shift();
      last = this.#untold.at(-1);
      await tell();
    } while (last !== undefined && last === this.#untold.at(-1));
    if (this.#untold.length === 0) {
      Trouble.onQueueSuccess(this, this.#options);
    }
  }

  /** Tells each of them once more, unless it is late before. Never rejects. */
  async tellAll(late: AbortSignal): Promise<void> {
    for (let left = this.#untold.length; left > 0 && !late.aborted; left--) {
      await unlessAborted(this.tellAgain(), late).catch(() => {});
    }
  }

  /**
   * Acknowledges a batch soon; resolves when the server knows, and never rejects.
   *
   * @param isUrgent Whether nothing more is taken before.
   * @param mayStay Whether its list may be used again.
   * @param isGone Whether its list was removed before, as far as is known.
   */
  add(
    batch: HeldBatch,
    isUrgent: boolean,
    mayStay: boolean = batch.place.notes === "",
    isGone = false,
  ): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#handled.push({ batch, mayStay, isGone, resolve });
    if (isUrgent || this.signal.aborted) void this.#flushLate();
    else this.#delay ??= setImmediate(this.#beginDelay);
    return promise;
  }

  /** One that comes alone does not wait: a timer would only wake the process again. */
  readonly #beginDelay = (): void => {
    const rest = this.#flushedAt + DELAY * 1000 - performance.now();
    if (rest <= 0) void this.#flushLate();
    else this.#timer = setTimeout(this.#flushLate, rest);
  };

  readonly #flushLate = (): Promise<void> => this.flush(this.#options.control);

  /**
   * Acknowledges now, by the connection with which the next messages are taken.
   * Never rejects.
   */
  async flush(connection: Connection): Promise<void> {
    const handled = this.#handled;
    if (handled.length === 0) return;
    this.#handled = [];
    this.#flushedAt = performance.now();
    clearImmediate(this.#delay);
    clearTimeout(this.#timer);
    this.#delay = undefined;
    for (const { batch } of handled) batch.place.session.leaving++;
    const isKnown = await this.#remove(connection, handled)
      // The answer may be all that was lost, or what was sent may arrive late: then
      // it must not find another message there.
      .catch((error: RedisError) => {
        for (const one of handled) one.mayStay = false;
        if (!isLoss(error)) this.#announce(handled);
        return this.#insist(handled);
      });
    if (isKnown) {
      const { stats } = this.#options;
      const late: HeldBatch[] = [];
      for (const { batch, isGone } of handled) {
        const { length } = batch.payloads;
        if (isGone) stats.acknowledged += length;
        else {
          stats.taken += length;
          late.push(batch);
        }
      }
      if (late.length > 0) await this.#settleLate(late);
    }
    for (const { batch, mayStay, isGone, resolve } of handled) {
      const { session, number } = batch.place;
      session.leaving--;
      if (isKnown) {
        // Who has put its messages back does not look there any more.
        if (mayStay && isGone) session.slots.push(number);
        else if (mayStay) {
          session.forget([number], this.#options).catch(() => {});
        } else session.known.delete(number);
      }
      resolve();
    }
  }

  /**
   * Removes the lists, and notes which were there.
   *
   * @param isAgain Whether that has failed before, perhaps for want of a right.
   * @returns True: the server knows.
   */
  async #remove(
    connection: Connection,
    handled: readonly Handled[],
    isAgain = false,
  ): Promise<true> {
    const all: Promise<number>[] = [];
    for (const one of handled) {
      const { session, number } = one.batch.place;
      // The list goes first: without its number nobody would find it.
      all.push(
        connection.command(["DEL", session.keys.batch(number)], AS_NUMBER),
      );
      one.mayStay &&= session.slots.length < MAX_SLOTS;
    }
    const mayGoOn = !isAgain ||
      await Promise.all(all).then(() => true, () => false);
    for (const { batch: { place: { session, number } }, mayStay } of handled) {
      if (mayStay || !mayGoOn) continue;
      all.push(connection.command(
        ["HDEL", session.keys.processing, String(number)],
        AS_NUMBER,
      ));
    }
    // What is done after a refusal must not overtake the others.
    const answers = await Promise.allSettled(all);
    for (const [at, one] of handled.entries()) {
      const answer = answers[at]!;
      one.isGone ||= answer.status === "fulfilled"
        ? answer.value === 1
        : answer.reason.mayHaveRun;
    }
    await Promise.all(all);
    return true;
  }

  /**
   * Tells the server again and again until it knows.
   *
   * @returns Whether it knows.
   */
  async #insist(handled: readonly Handled[]): Promise<boolean> {
    const { control, logger, queue } = this.#options;
    try {
      return await retry(async () => {
        await control.ready();
        return await this.#remove(control, handled, true);
      }, {
        mayHelp: (error) => {
          const { code, isTransient } = error as RedisError;
          return code === "connection" ? "at once" : isTransient;
        },
        signal: this.signal,
      });
    } catch (error) {
      if (!this.signal.aborted) {
        for (const { batch, isGone } of handled) {
          this.tellLater(
            batch,
            error as RedisError,
            () => this.add(batch, true, false, isGone),
          );
        }
        return false;
      }
      logger.warn(
        `${(error as RedisError).message}. ${
          goBack(countOf(handled.map(({ batch }) => batch)), queue)
        }`,
      );
      return false;
    }
  }

  /**
   * Gives lists their numbers and notes again where only these could be removed:
   * what stays has to be found.
   */
  #announce(handled: readonly Handled[]): void {
    for (const { batch: { place } } of handled) {
      const { session, number, notes } = place;
      this.#options.control.command(
        ["HSETNX", session.keys.processing, String(number), notes || "?"],
        AS_NUMBER,
      ).catch(() => {});
    }
  }

  /** Reports that messages were settled when somebody else had them already. */
  onLate(count: number, cancelled: number): void {
    const { logger, queue, control } = this.#options;
    this.#late.add(
      (sum, out) => {
        logger.warn(
          `Settled ${
            amount(sum!, "message")
          } of "${queue}" too late: another consumer has put back what was in hand, or the server has lost it. Taken out of the queue again: ${out}.`,
        );
        void warnOfEviction(control, logger, true);
      },
      count,
      cancelled,
    );
  }

  /** Tells whoever has the messages now that they were handled. */
  async #settleLate(batches: readonly HeldBatch[]): Promise<void> {
    const { logger } = this.#options;
    const messages = batches.flatMap(({ identities, payloads }) =>
      payloads.map((payload, index) => ({
        id: identify(identities, index).id,
        payload,
        verdict: "handled" as const,
      }))
    );
    try {
      const cancelled = await settleLate(this.#options, messages);
      this.onLate(messages.length, cancelled);
    } catch (error) {
      logger.warn(`${(error as RedisError).message}.`);
    }
  }
}

function countOf(batches: readonly HeldBatch[]): number {
  return batches.reduce((sum, { payloads }) => sum + payloads.length, 0);
}

/**
 * Says that messages come again which nobody could settle.
 *
 * @param handled How many of them were handled.
 */
export function goBack(
  count: number,
  queue: string,
  handled: number = count,
): string {
  const though = handled === 0
    ? ""
    : handled === count
    ? ", though handled"
    : `, though ${handled} of them ${handled === 1 ? "was" : "were"} handled`;
  return `${
    amount(count, "message")
  } of "${queue}" will be delivered again${though}.`;
}
