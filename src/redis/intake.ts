import { sleep } from "../waiting.ts";
import type { Life } from "./life.ts";
import {
  BLOCK_SECONDS,
  MAX_BATCH_BYTES,
  type ReaderOptions,
} from "./queue_reader.ts";
import type { ReaderLoop } from "./reader_loop.ts";
import { RedisError } from "./redis_error.ts";
import { release } from "./scripts/release.ts";
import { take } from "./scripts/take.ts";

/** How the script `take` reads a batch that is on its list already. */
const READ_MOVED = 0;
const READ_LOST = -1;

/** A batch on the list of this consumer: how its messages were delivered before, and they. */
export type Taken = readonly [
  histories: string,
  payloads: readonly Uint8Array[],
];
const NOTHING: Taken = ["", []];

/** A batch that was asked for. */
interface Asked {
  readonly life: Life;
  readonly number: number;
  readonly answer: Promise<Taken>;
}

/**
 * Moves batches from the queue onto lists of this consumer, also ahead of their
 * turn, and back.
 */
export class Intake {
  #options: ReaderOptions;
  #loop: ReaderLoop;
  #ahead: Asked[] = [];

  /**
   * @param options See {@link ReaderOptions}.
   * @param loop Ends the wait for messages.
   */
  constructor(options: ReaderOptions, loop: ReaderLoop) {
    this.#options = options;
    this.#loop = loop;
  }

  /** Asks for a batch ahead of its turn. */
  askAhead(life: Life, limit: number): void {
    this.#ahead.push(this.#ask(life, limit));
  }

  /** The batch that was asked for ahead, or else a new one. */
  next(life: Life, limit: number): Asked {
    return this.#ahead.shift() ?? this.#ask(life, limit);
  }

  /**
   * Waits for a message in an empty queue. What has to be known about it travels
   * with it, so that the usual case takes no further round trip.
   */
  async wait(life: Life, number: number): Promise<Taken> {
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
        const { reason } = moved;
        // A server out of memory refuses BLMOVE; scripts that only move go on.
        const isFull = reason instanceof RedisError && reason.code === "memory";
        if (!isFull) throw reason;
        await sleep(BLOCK_SECONDS / 20, { signal: this.#loop.signal });
        return NOTHING;
      }
      if (returned.status === "rejected") throw returned.reason;
      if (state.status === "rejected") throw state.reason;
      if (moved.value === null && announced.status === "fulfilled") continue;
      if (state.value !== "alive") {
        throw new RedisError({
          attempted: `read "${this.#options.queue}"`,
          reason: "another consumer took this one for dead",
        }, "taken");
      }
      // Its history is known without asking only where there are none at all.
      return announced.status === "fulfilled" && returned.value === 0
        ? ["", [moved.value!]]
        : await this.#take(life, number, READ_MOVED);
    }
    await blocking.command(["HDEL", processing, String(number)]);
    return NOTHING;
  }

  /** Reads a batch whose way to us was interrupted; it may be none any more. */
  find(life: Life, number: number): Promise<Taken> {
    return this.#take(life, number, READ_LOST);
  }

  /** Puts back what was asked for ahead, the last batch first. */
  async drain(): Promise<void> {
    for (let request; (request = this.#ahead.pop()) !== undefined;) {
      const { life, number, answer } = request;
      try {
        const [, payloads] = await answer;
        if (payloads.length > 0) await this.release(life, number);
      } finally {
        life.known.delete(number);
      }
    }
  }

  /** Puts a batch back, and before it what was asked for after it. */
  async putBack(life: Life, number: number): Promise<void> {
    try {
      await this.drain();
      await this.release(life, number);
    } finally {
      life.known.delete(number);
    }
  }

  /** Puts a batch back to the head of the queue. */
  async release(life: Life, number: number): Promise<void> {
    const { keys } = life;
    await this.#options.control.script(
      release,
      [keys.queue, keys.processing, life.list(number), keys.deliveries],
      [String(number)],
    );
  }

  #ask(life: Life, limit: number): Asked {
    const number = life.next();
    const answer = this.#take(life, number, limit);
    // It may be awaited late.
    answer.catch(() => {});
    return { life, number, answer };
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
}
