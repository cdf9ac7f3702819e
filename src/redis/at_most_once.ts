import { nextTurn } from "../waiting.ts";
import { Burial } from "./burial.ts";
import type { BatchFailure } from "./batch.ts";
import { Consumer, TakenBatch } from "./consumer.ts";
import { type BatchIdentities, identify } from "./history.ts";
import { nameQueue } from "./redis_error.ts";
import { isPayloads, isText } from "./reply_shape.ts";
import { checkRights } from "./check_rights.ts";

/** The first batch is small, since nobody knows yet how large messages are. */
const FIRST_COUNT = 16;

/**
 * Consumes a queue as fast as the server can give: a message is gone from Redis
 * as soon as it is on its way, so it is handled once or, after a failure, never.
 */
export class AtMostOnce extends Consumer {
  #hasBlmpop = false;
  #count = FIRST_COUNT;
  #burial: Burial | undefined;
  #prefetched: Promise<readonly Uint8Array[]> | undefined;

  protected override async checkRights(): Promise<void> {
    const { control, queue, user } = this.options;
    this.#hasBlmpop = await control.command<unknown[]>(
      ["COMMAND", "INFO", "BLMPOP"],
    ).then((reply) => reply[0] !== null, () => false);
    const command = this.#hasBlmpop ? "BLMPOP" : "BLPOP";
    const extent = this.isShared ? "without blocking" : "all";
    await checkRights(control, queue, command, user, extent);
  }

  protected override async enter(): Promise<void> {
    const { control, queue } = this.options;
    try {
      await control.command(["LLEN", queue]);
    } catch (error) {
      throw nameQueue(error, queue);
    }
  }

  protected override async leave(): Promise<void> {
    // Nothing of ours is on the server, but something may still have to get there.
    await this.#burial?.stop();
  }

  protected override async takeOne(): Promise<void> {
    const asked = Math.min(this.#count, this.options.batchSize);
    const reply = this.#prefetched ?? this.#pop();
    this.#prefetched = undefined;
    let payloads = await reply;
    if (payloads.length === 0) payloads = await this.#wait();
    if (payloads.length === 0) return;
    this.#burial ??= new Burial(this.options, this.box);
    const batch = new PoppedBatch(this, payloads, this.#burial);
    this.#adapt(batch);
    if (payloads.length >= asked) {
      // There is more: the server looks it up while this batch is dealt with.
      this.#prefetched = this.#pop();
      this.#prefetched.catch(() => {});
      await nextTurn();
    }
    if (await this.handOut(batch)) return;
    await this.drain();
    await this.#putBack(payloads);
  }

  /** Takes nothing that somebody has missed: only what comes at least once waits. */
  override takeMissed(): Promise<number> {
    return Promise.resolve(0);
  }

  protected override async drain(): Promise<void> {
    const prefetched = this.#prefetched;
    this.#prefetched = undefined;
    if (prefetched !== undefined) await this.#putBack(await prefetched);
  }

  async #putBack(payloads: readonly Uint8Array[]): Promise<void> {
    if (payloads.length === 0) return;
    const { control, queue } = this.options;
    await control.command(["LPUSH", queue, ...payloads.toReversed()]);
  }

  async #pop(): Promise<readonly Uint8Array[]> {
    const { blocking, queue, batchSize } = this.options;
    const count = String(Math.min(this.#count, batchSize));
    return await blocking.command<Uint8Array[] | null>(
      ["LPOP", queue, count],
      {
        bytes: true,
        isReply: (reply) => reply === null || isPayloads(reply),
      },
    ) ?? [];
  }

  /** Waits for messages in an empty queue. */
  async #wait(): Promise<readonly Uint8Array[]> {
    if (!this.isOpen) return [];
    const { blocking, queue, batchSize } = this.options;
    if (this.isShared) {
      if (!this.takeNews()) await this.news();
      // This look is what the server tells changes of.
      if (await blocking.command(["EXISTS", queue]) === 1) this.ring();
      return [];
    }
    const isPopped = (reply: unknown): boolean =>
      reply === null || Array.isArray(reply) && isText(reply[0]) &&
        (this.#hasBlmpop ? isPayloads(reply[1]) : isText(reply[1]));
    const seconds = this.blockSeconds;
    const options = { bytes: true, block: seconds, isReply: isPopped };
    const block = String(seconds);
    if (this.#hasBlmpop) {
      const count = String(Math.min(this.#count, batchSize));
      const reply = await this.blocked(
        blocking.command<[Uint8Array, Uint8Array[]] | null>(
          ["BLMPOP", block, "1", queue, "LEFT", "COUNT", count],
          options,
        ),
      );
      return reply?.[1] ?? [];
    }
    const reply = await this.blocked(
      blocking.command<[Uint8Array, Uint8Array] | null>(
        ["BLPOP", queue, block],
        options,
      ),
    );
    return reply === null ? [] : [reply[1]];
  }

  /** Asks for as many messages as are probably not too many bytes. */
  #adapt({ payloads, bytes }: TakenBatch): void {
    const fitting = Math.floor(this.maxBytes * payloads.length / (bytes + 1));
    this.#count = Math.max(1, Math.min(fitting, this.#count * 4));
  }
}

/** A batch that is gone from the queue: what failed, or was returned, becomes a dead letter. */
class PoppedBatch extends TakenBatch {
  readonly deliveries: readonly number[] = new Array<number>(
    this.payloads.length,
  ).fill(0);
  readonly retries: readonly undefined[] = new Array<undefined>(
    this.payloads.length,
  ).fill(undefined);
  readonly identities: BatchIdentities = {
    prefix: crypto.randomUUID().replaceAll("-", "").slice(0, 22),
    time: Date.now() / 1000,
    known: {},
  };
  readonly #burial: Burial;

  /** @param burial Buries what could not be handled. */
  constructor(
    consumer: Consumer,
    payloads: readonly Uint8Array[],
    burial: Burial,
  ) {
    super(consumer, payloads);
    this.#burial = burial;
  }

  protected override async tell(
    failures: readonly BatchFailure[],
    returned: readonly BatchFailure[],
  ): Promise<void> {
    const { stats } = this.consumer.options;
    const notHandled = [...failures, ...returned];
    stats.acknowledged += this.payloads.length - notHandled.length;
    const buried = notHandled.filter(({ reason }) =>
      this.consumer.keeps(reason)
    );
    stats.dropped += notHandled.length - buried.length;
    if (buried.length === 0) return;
    await this.#burial.bury(
      buried,
      this.payloads,
      (index) => identify(this.identities, index).id,
    );
  }
}
