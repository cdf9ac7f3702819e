import assert from "node:assert/strict";
import {
  type Batch,
  Inbox,
  type InboxOptions,
  Outbox,
  type RedisArgs,
} from "../../src/redis/mod.ts";
import { TestLogger } from "../servers.ts";

const decoder = new TextDecoder();

/** Short times, so that a fault is over soon. */
export const QUICK = { heartbeatTimeout: 1, batchSize: 100 };

/** Reads the number of a message. */
export function numberOf(payload: Uint8Array): number {
  return Number(decoder.decode(payload));
}

/** Numbered messages on their way from a producer to consumers, through faults. */
export class Flow {
  /** The numbers that the server has confirmed. */
  readonly sent = new Set<number>();
  /** The numbers of which nobody knows whether they arrived. */
  readonly doubtful = new Set<number>();
  /** How often each number was handled. */
  readonly handled = new Map<number, number>();
  readonly logger = new TestLogger();
  #next = 0;
  #changed: (() => void)[] = [];

  /** Sends numbered messages in groups of ten until told to stop, then what is missing up to `count`. */
  async produce(
    args: RedisArgs,
    count: number,
    pace = 0,
  ): Promise<void> {
    await using outbox = new Outbox(args, {
      logger: this.logger,
      connectionTimeout: 60,
    });
    while (this.#next < count) {
      const numbers = Array.from({ length: 10 }, () => this.#next++);
      const kept = await outbox.push("queue", numbers.map(String)).then(
        () => this.sent,
        () => this.doubtful,
      );
      for (const number of numbers) kept.add(number);
      if (pace > 0) await delay(pace);
    }
  }

  /** Opens an inbox and handles everything it reads. */
  async consume(
    args: RedisArgs,
    options: Partial<InboxOptions> = {},
    handle: (batch: Batch) => Promise<void> | void = (batch) => batch.settle(),
  ): Promise<{ inbox: Inbox; ended: Promise<void> }> {
    const inbox = await Inbox.open(args, {
      queue: "queue",
      logger: this.logger,
      ...QUICK,
      ...options,
    });
    const ended = (async () => {
      for (let batch; (batch = await inbox.next());) {
        for (const payload of batch.payloads) this.note(numberOf(payload));
        await handle(batch);
      }
    })();
    return { inbox, ended };
  }

  /** Notes that a number was handled. */
  note(number: number): void {
    this.handled.set(number, (this.handled.get(number) ?? 0) + 1);
    for (const resolve of this.#changed.splice(0)) resolve();
  }

  /** Resolves when at least this many different numbers were handled. */
  async until(count: number): Promise<void> {
    while (this.handled.size < count) await this.#change();
  }

  /** Resolves when every confirmed number was handled. */
  async complete(): Promise<void> {
    for (const number of this.sent) {
      while (!this.handled.has(number)) await this.#change();
    }
  }

  /** How often numbers were handled more than once. */
  get duplicates(): number {
    let count = 0;
    for (const times of this.handled.values()) count += times - 1;
    return count;
  }

  /** Asserts that nothing is missing, and that only so much was handled twice. */
  verify(maxDuplicates: number): void {
    const missing = [...this.sent].filter((number) =>
      !this.handled.has(number)
    );
    assert.deepEqual(missing, []);
    for (const number of this.handled.keys()) {
      assert.ok(this.sent.has(number) || this.doubtful.has(number));
    }
    assert.ok(
      this.duplicates <= maxDuplicates,
      `${this.duplicates} duplicates, more than ${maxDuplicates}`,
    );
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }
}

/** Waits. */
export function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
