import { Consumer, type Failure, TakenBatch, written } from "./consumer.ts";
import { isRoom, MAKE_ROOM, type Room } from "./dead_letter_box.ts";
import { identify, type Identities } from "./history.ts";
import { explainWrongType, queueKeys } from "./queue_keys.ts";
import type { RedisError } from "./redis_error.ts";
import { isPayloads, isText } from "./reply_shape.ts";
import { checkRights } from "./rights.ts";
import { defineScript } from "./script.ts";
import { amount } from "../units.ts";

/** The first batch is small, since nobody knows yet how large messages are. */
const FIRST_COUNT = 16;

/**
 * Consumes a queue as fast as the server can give: a message is gone from Redis
 * as soon as it is on its way, so it is handled once or, after a failure, never.
 */
export class AtMostOnce extends Consumer {
  #hasBlmpop = false;
  #count = FIRST_COUNT;
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
      throw explainWrongType(error, queue);
    }
  }

  protected override async leave(): Promise<void> {
    // Nothing of ours is on the server.
  }

  protected override async takeOne(): Promise<void> {
    const asked = Math.min(this.#count, this.options.batchSize);
    const reply = this.#prefetched ?? this.#pop();
    this.#prefetched = undefined;
    let payloads = await reply;
    if (payloads.length === 0) payloads = await this.#wait();
    if (payloads.length === 0) return;
    const batch = new PoppedBatch(this, payloads);
    this.#adapt(batch);
    if (payloads.length >= asked) {
      // There is more: the server looks it up while this batch is dealt with.
      this.#prefetched = this.#pop();
      this.#prefetched.catch(() => {});
      await written();
    }
    if (await this.handOut(batch)) return;
    await this.drain();
    await this.#putBack(payloads);
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
  readonly identities: Identities = {
    prefix: crypto.randomUUID().replaceAll("-", "").slice(0, 22),
    time: Date.now() / 1000,
    known: {},
  };

  protected override async tell(
    failures: readonly Failure[],
    returned: readonly Failure[],
  ): Promise<void> {
    const { stats, logger, queue, box } = this.consumer.options;
    const notHandled = [...failures, ...returned];
    stats.acknowledged += this.payloads.length - notHandled.length;
    const buried = notHandled.filter(({ reason }) =>
      this.consumer.keeps(reason)
    );
    stats.dropped += notHandled.length - buried.length;
    if (buried.length === 0) return;
    try {
      const room = await this.#bury(buried);
      stats.deadLettered += buried.length;
      for (const { reason, error } of buried) {
        box.onBuried(reason === "left" ? "dropped" : reason, error.message);
      }
      box.onRoom(room);
    } catch (error) {
      logger.error(
        `${(error as RedisError).message}. Lost ${
          amount(buried.length, "message")
        } of "${queue}", which could not be handled.`,
      );
    }
  }

  /** Appends dead letters, and lets the oldest make room for them. */
  static readonly #BURY = defineScript(`
-- KEYS[1]  the list of the dead letters
-- ARGV[1…] what the dead letters may take, see makeRoom
-- ARGV[4…] the dead letters
-- Returns what makeRoom does.
${MAKE_ROOM}
for position = 4, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[position]) end
return makeRoom(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
`);

  async #bury(failures: readonly Failure[]): Promise<Room> {
    const { control, queue, box } = this.consumer.options;
    const letters = failures.map(({ index, reason, error }) =>
      box.encode({
        id: identify(this.identities, index).id,
        queue,
        reason: reason === "left" ? "dropped" : reason,
        error: error.message,
        time: Date.now() / 1000,
        deliveries: 1,
        payload: this.payloads[index]!,
      })
    );
    await control.ready();
    return await control.script<Room>(
      PoppedBatch.#BURY,
      [queueKeys(queue, "").dead],
      [...box.limits, ...letters],
      { isReply: isRoom },
    );
  }
}
