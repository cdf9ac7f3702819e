import type { CompiledCondition } from "../message/condition.ts";
import { Event, type Message } from "../message/mod.ts";

/** Says how a {@linkcode Watch} works, and whom it tells. */
interface WatchSetup {
  /** Messages that may wait in its window. */
  readonly limit: number;
  /** Lets through only events that meet it. */
  readonly condition: CompiledCondition | undefined;
  /** Called with the number of messages that were skipped. */
  readonly onSkip: (count: number) => void;
  /** Called when there is room again, or it has ended. */
  readonly onRoom: () => void;
  /** Called once when it has ended. */
  readonly onEnd: () => void;
}

/**
 * A view of what passes on a bus, as {@linkcode Bus.watch} gives it: a loop over
 * it takes the messages.
 *
 * @example
 * ```ts
 * import { Bus, type Message, type Watch } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/view", deviceId: "livingroom" });
 * using watch: Watch<Message> = bus.watch({ limit: 100 });
 * await bus.post({ type: "request", action: "light.on" });
 * const { value } = await watch.next();
 * assert.equal(value?.type, "request");
 * assert.equal(watch.skipped, 0);
 * ```
 */
export interface Watch<M extends Message = Message>
  extends AsyncIterableIterator<M, void, void>, Disposable {
  /** The number of messages that were skipped, as far as {@linkcode WatchOptions.onSkip} was told of them. */
  readonly skipped: number;
}

/** Keeps what whoever watches has not come to yet, within a limit. */
export class WatchWindow implements Watch {
  readonly #setup: WatchSetup;
  /** Messages, and between them the numbers of those that were skipped. */
  readonly #window: (Message | number)[] = [];
  readonly #readers: PromiseWithResolvers<IteratorResult<Message, void>>[] = [];
  #waiting = 0;
  #skipped = 0;
  #isBehind = false;
  #isEnded = false;

  constructor(setup: WatchSetup) {
    this.#setup = setup;
  }

  get skipped(): number {
    return this.#skipped;
  }

  /**
   * Tells whether it takes messages. When the window was full, it does so again
   * only when half of it is free: what is skipped is skipped in one piece, and
   * costs next to nothing.
   */
  get hasRoom(): boolean {
    return !this.#isBehind;
  }

  /** Takes a message, if it is one that is wanted and there is room. */
  offer(message: Message): void {
    if (this.#isEnded) return;
    if (this.#isBehind) return this.skip(1);
    const { condition, limit } = this.#setup;
    if (condition !== undefined) {
      const isMet = message instanceof Event &&
        condition.match(message) !== undefined;
      if (!isMet) return;
    }
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      return reader.resolve({ value: message, done: false });
    }
    this.#window.push(message);
    this.#isBehind = ++this.#waiting >= limit;
  }

  /** Takes notice of messages that it was not given. */
  skip(count: number): void {
    if (this.#isEnded) return;
    if (this.#window.length === 0) return this.#tell(count);
    const last = this.#window.length - 1;
    const before = this.#window[last];
    if (typeof before === "number") this.#window[last] = before + count;
    else this.#window.push(count);
  }

  /**
   * Takes the next message, and tells before of those that were skipped.
   *
   * @returns The message; none when the watch has ended.
   */
  next(): Promise<IteratorResult<Message, void>> {
    for (;;) {
      const first = this.#window.shift();
      if (first === undefined) break;
      if (typeof first === "number") {
        this.#tell(first);
        continue;
      }
      this.#waiting--;
      if (this.#isBehind && 2 * this.#waiting <= this.#setup.limit) {
        this.#isBehind = false;
        this.#setup.onRoom();
      }
      return Promise.resolve({ value: first, done: false });
    }
    if (this.#isEnded) return Promise.resolve({ value: undefined, done: true });
    const reader = Promise.withResolvers<IteratorResult<Message, void>>();
    this.#readers.push(reader);
    return reader.promise;
  }

  /** Ends the watch, as leaving the loop does. */
  return(): Promise<IteratorResult<Message, void>> {
    this[Symbol.dispose]();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Gives itself, for a loop. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the watch, at the end of a `using` block. */
  [Symbol.dispose](): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isBehind = false;
    this.#window.length = 0;
    for (const reader of this.#readers.splice(0)) {
      reader.resolve({ value: undefined, done: true });
    }
    this.#setup.onEnd();
    this.#setup.onRoom();
  }

  #tell(count: number): void {
    this.#skipped += count;
    this.#setup.onSkip(count);
  }
}
