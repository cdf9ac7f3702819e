import { retry, sleep } from "../waiting.ts";
import type { Connection } from "./connection.ts";
import type { ConsumerOptions } from "./consumer.ts";
import type { HeldPlace } from "./held_batch.ts";
import { type LateMessage, settleLate, tooLate } from "./late_settlement.ts";
import type { RedisError } from "./redis_error.ts";
import { isNumber } from "./reply_shape.ts";
import { amount } from "../units.ts";

/** So long an acknowledgement waits for another command to travel with, in seconds. */
const DELAY = 0.005;
/** So many lists of a session stay announced. */
const MAX_SLOTS = 64;

/** A message that was handled, and who wants to know that the server knows. */
interface Handled {
  readonly place: HeldPlace;
  readonly message: LateMessage;
  readonly resolve: () => void;
}

/**
 * Acknowledges messages that lie alone on a list, by removing the list, together
 * with the next command that waits for a message, or after a few milliseconds.
 * Afterwards the list can be used again.
 */
export class Acknowledger {
  readonly #options: ConsumerOptions;
  readonly #signal: AbortSignal;
  #handled: Handled[] = [];
  #isDelayed = false;

  /** @param signal Ends the attempts to tell the server. */
  constructor(options: ConsumerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Acknowledges a message soon; resolves when the server knows, and never rejects. */
  add(place: HeldPlace, message: LateMessage): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#handled.push({ place, message, resolve });
    if (!this.#isDelayed) void this.#flushLater();
    return promise;
  }

  /** Acknowledges now, by the connection with which the next message is waited for. */
  flush(connection: Connection): void {
    const handled = this.#handled;
    if (handled.length === 0) return;
    this.#handled = [];
    this.#remove(connection, handled).then(
      (found) => this.#note(handled, found),
      // The answer may be all that was lost.
      () => this.#insist(handled),
    );
  }

  async #flushLater(): Promise<void> {
    this.#isDelayed = true;
    await sleep(DELAY, { signal: this.#signal });
    this.#isDelayed = false;
    this.flush(this.#options.control);
  }

  /** Removes the lists; tells how many there were. */
  async #remove(
    connection: Connection,
    handled: readonly Handled[],
  ): Promise<number> {
    const lists = handled.map(({ place }) => place.session.list(place.number));
    return await connection.command<number>(["DEL", ...lists], {
      isReply: isNumber,
    });
  }

  /** Tells the server again and again until it knows. */
  async #insist(handled: readonly Handled[]): Promise<void> {
    const { control, logger, queue } = this.#options;
    try {
      await retry(async () => {
        await control.ready();
        await this.#remove(control, handled);
      }, {
        mayHelp: (error) => {
          const { code, isTransient } = error as RedisError;
          return code === "connection" ? "at once" : isTransient;
        },
        signal: this.#signal,
      });
      await this.#note(handled, handled.length);
    } catch (error) {
      logger.warn(
        `${(error as RedisError).message}. ${
          amount(handled.length, "message")
        } of "${queue}" will be delivered again, though handled.`,
      );
      for (const { resolve } of handled) resolve();
    }
  }

  async #note(handled: readonly Handled[], found: number): Promise<void> {
    const { stats } = this.#options;
    const taken = handled.length - found;
    stats.acknowledged += found;
    if (taken > 0) {
      stats.taken += taken;
      await this.#settleLate(handled, taken);
    }
    for (const { place, resolve } of handled) {
      const { session, number } = place;
      if (session.slots.length < MAX_SLOTS) session.slots.push(number);
      else this.#forget(place);
      resolve();
    }
  }

  /** Tells whoever has some of the messages now that they were handled. */
  async #settleLate(
    handled: readonly Handled[],
    taken: number,
  ): Promise<void> {
    const { logger, queue } = this.#options;
    const messages = handled.map(({ message }) => message);
    try {
      // Nobody knows which of them; the others are nowhere any more.
      const cancelled = await settleLate(this.#options, messages);
      logger.warn(
        tooLate(taken, queue, cancelled),
      );
    } catch (error) {
      logger.warn(`${(error as RedisError).message}.`);
    }
  }

  /** Announces a list no more. */
  #forget({ session, number }: HeldPlace): void {
    session.known.delete(number);
    this.#options.control.command(
      ["HDEL", session.keys.processing, String(number)],
    ).catch(() => {});
  }
}
