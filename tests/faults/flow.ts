import assert from "node:assert/strict";
import {
  type Batch,
  Inbox,
  type InboxOptions,
  Outbox,
  type RedisArgs,
} from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";

const decoder = new TextDecoder();

/** How messages are taken: not too many at a time, from who dies soon. */
export const QUICK = { heartbeatTimeout: HEARTBEAT, batchSize: 100 };

/** How long anything may take before it counts as never, in seconds. */
export const LIMIT = 180;

/** Reads the number of a message. */
export function numberOf(payload: Uint8Array): number {
  return Number(decoder.decode(payload));
}

/** Numbered messages on their way from a producer to consumers, through faults. */
export class Flow implements AsyncDisposable {
  /** The numbers that the server has confirmed. */
  readonly sent = new Set<number>();
  /** The numbers of which nobody knows whether they arrived. */
  readonly doubtful = new Set<number>();
  /** How often each number was handled. */
  readonly handled = new Map<number, number>();
  readonly logger = new LineLogger();
  #next = 0;
  #changed: (() => void)[] = [];
  #ending = new AsyncDisposableStack();
  #abort = new AbortController();

  /** Sends numbered messages in groups of ten until told to stop, then what is missing up to `count`. */
  produce(args: RedisArgs, count: number, pace = 0): Promise<void> {
    const producing = inTime(
      this.#produce(args, count, pace),
      `${count} numbers are sent`,
      LIMIT,
    );
    // It may be awaited late, or never when something else fails first.
    producing.catch(() => {});
    return producing;
  }

  async #produce(args: RedisArgs, count: number, pace: number): Promise<void> {
    await using outbox = new Outbox(args, {
      logger: this.logger,
      connectionTimeout: LIMIT,
    });
    this.#ending.use(outbox);
    while (this.#next < count && !this.#abort.signal.aborted) {
      const numbers = Array.from({ length: 10 }, () => this.#next++);
      const kept = await outbox.push("queue", numbers.map(String)).then(
        () => this.sent,
        () => this.doubtful,
      );
      for (const number of numbers) kept.add(number);
      if (pace > 0) await delay(pace);
    }
  }

  /**
   * Opens an inbox and handles everything it reads, until it is told to stop.
   */
  async consume(
    args: RedisArgs,
    options: Partial<InboxOptions> = {},
    handle: (batch: Batch) => Promise<void> | void = (batch) => batch.settle(),
  ): Promise<{ inbox: Inbox; stop: () => Promise<void> }> {
    const opening = Inbox.open(args, {
      queue: "queue",
      logger: this.logger,
      signal: this.#abort.signal,
      ...QUICK,
      ...options,
    });
    const inbox = await inTime(opening, "the inbox is open", LIMIT);
    this.#ending.defer(() => inbox.stop(0));
    const ended = (async () => {
      for (let batch; (batch = await inbox.next());) {
        for (const payload of batch.payloads) this.note(numberOf(payload));
        await handle(batch);
      }
    })();
    ended.catch(() => {});
    const stop = async (): Promise<void> => {
      await inTime(inbox.stop(), "the inbox has stopped", LIMIT);
      await inTime(ended, "the last batch is handled", LIMIT);
    };
    return { inbox, stop };
  }

  /** Notes that a number was handled. */
  note(number: number): void {
    this.handled.set(number, (this.handled.get(number) ?? 0) + 1);
    for (const resolve of this.#changed.splice(0)) resolve();
  }

  /** Resolves when at least this many different numbers were handled. */
  until(count: number): Promise<void> {
    return this.#wait(
      () => this.handled.size >= count,
      () => `${count} numbers are handled, and not only ${this.handled.size}`,
    );
  }

  /** Resolves when every confirmed number was handled. */
  complete(): Promise<void> {
    return this.#wait(() => this.#missing.length === 0, () => {
      const { length, [0]: first } = this.#missing;
      return `all ${this.sent.size} numbers are handled; ${length} are missing, such as ${first}`;
    });
  }

  /** How often numbers were handled more than once. */
  get duplicates(): number {
    let count = 0;
    for (const times of this.handled.values()) count += times - 1;
    return count;
  }

  /** Asserts that nothing is missing, and that only so much was handled twice. */
  verify(maxDuplicates: number): void {
    assert.deepEqual(this.#missing, []);
    for (const number of this.handled.keys()) {
      assert.ok(this.sent.has(number) || this.doubtful.has(number));
    }
    assert.ok(
      this.duplicates <= maxDuplicates,
      `${this.duplicates} duplicates, more than ${maxDuplicates}`,
    );
  }

  /** Ends what is still going on, as it is when a test fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#ending.disposeAsync();
  }

  get #missing(): number[] {
    return [...this.sent].filter((number) => !this.handled.has(number));
  }

  #wait(isSo: () => boolean, what: () => string): Promise<void> {
    const waiting = (async () => {
      while (!isSo()) {
        await new Promise<void>((resolve) => this.#changed.push(resolve));
      }
    })();
    return inTime(waiting, what, LIMIT);
  }
}

/** Waits, where it is the time itself that matters: for a pace, or how long a fault lasts. */
export function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
