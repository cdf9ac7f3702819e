import { retry, sleep } from "../waiting.ts";
import type { Connection } from "./connection.ts";
import type { ConsumerOptions } from "./consumer.ts";
import type { HeldBatch, HeldPlace } from "./held_batch.ts";
import { identify } from "./history.ts";
import { settleLate, tooLate } from "./late_settlement.ts";
import type { RedisError } from "./redis_error.ts";
import { isNumber } from "./reply_shape.ts";
import { amount } from "../units.ts";

/** So long an acknowledgement waits for another command to travel with, in seconds. */
const DELAY = 0.005;
/** So many lists of a session stay announced. */
const MAX_SLOTS = 64;

/** A batch of one message that was handled, and who wants to know that the server knows. */
interface Handled {
  readonly batch: HeldBatch;
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
  add(batch: HeldBatch): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#handled.push({ batch, resolve });
    if (!this.#isDelayed) void this.#flushLater();
    return promise;
  }

  async #flushLater(): Promise<void> {
    this.#isDelayed = true;
    await sleep(DELAY, { signal: this.#signal });
    this.#isDelayed = false;
    await this.flush(this.#options.control);
  }

  /**
   * Acknowledges now, by the connection with which the next message is waited for.
   * Never rejects.
   */
  async flush(connection: Connection): Promise<void> {
    const handled = this.#handled;
    if (handled.length === 0) return;
    this.#handled = [];
    const found = await this.#remove(connection, handled)
      // The answer may be all that was lost.
      .catch(() => this.#insist(handled));
    if (found !== undefined) {
      const { stats } = this.#options;
      const taken = handled.length - found;
      stats.acknowledged += found;
      stats.taken += taken;
      if (taken > 0) await this.#settleLate(handled, taken);
    }
    for (const { batch: { place }, resolve } of handled) {
      const { session, number } = place;
      if (found !== undefined) {
        if (session.slots.length < MAX_SLOTS) session.slots.push(number);
        else this.#forget(place);
      }
      resolve();
    }
  }

  /** Removes the lists; tells how many there were. */
  #remove(
    connection: Connection,
    handled: readonly Handled[],
  ): Promise<number> {
    const lists = handled.map(({ batch: { place } }) =>
      place.session.list(place.number)
    );
    return connection.command(["DEL", ...lists], { isReply: isNumber });
  }

  /**
   * Tells the server again and again until it knows.
   *
   * @returns How many messages it knows of, all or none.
   */
  async #insist(handled: readonly Handled[]): Promise<number | undefined> {
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
      return handled.length;
    } catch (error) {
      logger.warn(
        `${(error as RedisError).message}. ${
          amount(handled.length, "message")
        } of "${queue}" will be delivered again, though handled.`,
      );
      return undefined;
    }
  }

  /** Tells whoever has some of the messages now that they were handled. */
  async #settleLate(
    handled: readonly Handled[],
    taken: number,
  ): Promise<void> {
    const { logger, queue } = this.#options;
    const messages = handled.map(({ batch: { identities, payloads } }) => ({
      id: identify(identities, 0).id,
      payload: payloads[0]!,
      verdict: "handled" as const,
    }));
    try {
      // Nobody knows which of them; the others are nowhere any more.
      const cancelled = await settleLate(this.#options, messages);
      logger.warn(tooLate(taken, queue, cancelled));
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
