import { explainWrongType, type QueueKeys, queueKeys } from "./queue_keys.ts";
import type { Failure } from "./batch.ts";
import { encodeDeadLetter } from "./dead_letter.ts";
import { InFlight } from "./in_flight.ts";
import {
  BLOCK_SECONDS,
  MAX_BATCH_BYTES,
  type QueueReader,
  type ReaderOptions,
  written,
} from "./queue_reader.ts";
import { ReaderLoop } from "./reader_loop.ts";
import { RedisError } from "./redis_error.ts";
import { bury } from "./scripts/bury.ts";
import type { Outcome } from "./settle_batch.ts";

/** The first batch is small, since nobody knows yet how large messages are. */
const FIRST_COUNT = 16;

/**
 * Reads a queue as fast as the server can give: a message is gone from Redis as
 * soon as it is on its way, so it is handled once or, after a failure, never.
 */
export class AtMostOnce implements QueueReader {
  #options: ReaderOptions;
  #keys: QueueKeys;
  #loop: ReaderLoop;
  #hasBlmpop = false;
  #count = FIRST_COUNT;
  #ahead: Promise<Uint8Array[]> | undefined;
  #inFlight: InFlight;

  /** @param options See {@link ReaderOptions}. */
  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#keys = queueKeys(options.queue, options.consumer);
    this.#loop = new ReaderLoop(options, {
      round: () => this.#round(),
      drain: () => this.#drain(),
    });
    this.#inFlight = new InFlight(options, this.#loop);
  }

  async start(): Promise<void> {
    const { control, queue } = this.#options;
    try {
      await control.command(["LLEN", queue]);
    } catch (error) {
      throw explainWrongType(error, queue);
    }
    this.#hasBlmpop = await control.command<unknown[]>(
      ["COMMAND", "INFO", "BLMPOP"],
    ).then((reply) => reply[0] !== null, () => false);
    this.#loop.start();
  }

  onReconnect(): void {
    // Nothing of ours is on the server.
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
  }

  async #round(): Promise<void> {
    const { maxInFlight, batchSize } = this.#options;
    while (this.#inFlight.count >= maxInFlight) {
      await this.#loop.change();
      if (!this.#loop.isOpen) return;
    }
    const asked = this.#count;
    const answer = this.#ahead ?? this.#pop();
    this.#ahead = undefined;
    let payloads = await answer;
    if (payloads.length === 0) payloads = await this.#wait();
    const count = payloads.length;
    if (count === 0) return;
    this.#adapt(payloads);
    if (count >= Math.min(asked, batchSize)) {
      // There is more: the server looks it up while this batch is dealt with.
      this.#ahead = this.#pop();
      this.#ahead.catch(() => {});
      await written();
    }
    const deliveries = new Array<number>(count).fill(0);
    const settle = (outcome: Outcome): Promise<void> =>
      this.#settle(payloads, outcome);
    if (await this.#inFlight.offer(payloads, deliveries, settle)) return;
    await this.#drain();
    await this.#putBack(payloads);
  }

  /** What failed, or was returned, is already gone from the queue. */
  async #settle(
    payloads: readonly Uint8Array[],
    { failures, returned }: Outcome,
  ): Promise<void> {
    const lost = [...failures, ...returned];
    if (lost.length > 0) await this.#bury(payloads, lost);
    this.#options.stats.acknowledged += payloads.length - lost.length;
  }

  /** Puts back what was asked for ahead. */
  async #drain(): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead !== undefined) await this.#putBack(await ahead);
  }

  async #putBack(payloads: readonly Uint8Array[]): Promise<void> {
    if (payloads.length === 0) return;
    const { control, queue } = this.#options;
    await control.command(["LPUSH", queue, ...payloads.toReversed()]);
  }

  async #pop(): Promise<Uint8Array[]> {
    const { blocking, queue, batchSize } = this.#options;
    const count = String(Math.min(this.#count, batchSize));
    return await blocking.command<Uint8Array[] | null>(
      ["LPOP", queue, count],
      { bytes: true },
    ) ?? [];
  }

  /** Waits for messages in an empty queue. */
  async #wait(): Promise<Uint8Array[]> {
    if (!this.#loop.isOpen) return [];
    const { blocking, queue, batchSize } = this.#options;
    const options = { bytes: true, block: BLOCK_SECONDS };
    const block = String(BLOCK_SECONDS);
    if (this.#hasBlmpop) {
      const count = String(Math.min(this.#count, batchSize));
      const reply = await blocking.command<[Uint8Array, Uint8Array[]] | null>(
        ["BLMPOP", block, "1", queue, "LEFT", "COUNT", count],
        options,
      );
      return reply?.[1] ?? [];
    }
    const reply = await blocking.command<[Uint8Array, Uint8Array] | null>(
      ["BLPOP", queue, block],
      options,
    );
    return reply === null ? [] : [reply[1]];
  }

  /** Asks for as many messages as are probably not too many bytes. */
  #adapt(payloads: readonly Uint8Array[]): void {
    let bytes = 0;
    for (const payload of payloads) bytes += payload.byteLength;
    const fitting = Math.floor(MAX_BATCH_BYTES * payloads.length / (bytes + 1));
    this.#count = Math.max(1, Math.min(fitting, this.#count * 4));
  }

  async #bury(
    payloads: readonly Uint8Array[],
    failures: readonly Failure[],
  ): Promise<void> {
    const { control, queue, foreign, stats, logger, maxDeadLetters } =
      this.#options;
    const buried = failures.filter(({ reason }) =>
      reason !== "foreign" || foreign === "dead-letter"
    );
    const letters = buried.map(({ index, reason, error }) =>
      encodeDeadLetter({
        id: crypto.randomUUID(),
        queue,
        reason,
        error: error.message,
        time: Date.now() / 1000,
        deliveries: 1,
        payload: payloads[index]!,
      })
    );
    stats.dropped += failures.length - buried.length;
    if (letters.length === 0) return;
    try {
      await control.ready();
      const lost = await control.script<number>(bury, [this.#keys.dead], [
        String(maxDeadLetters),
        ...letters,
      ]);
      stats.deadLettered += letters.length;
      if (lost === 0) return;
      stats.deadLettersLost += lost;
      logger.warn(
        `${lost} of the oldest dead letters of "${queue}" had to make room.`,
      );
    } catch (error) {
      logger.error(
        `${
          (error as RedisError).message
        }. ${letters.length} messages of "${queue}" could not be handled and are lost.`,
      );
    }
  }
}
