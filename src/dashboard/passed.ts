import type { Bus } from "../bus/mod.ts";
import {
  jsonText,
  type Message,
  type MessageSummary,
  summarize,
} from "../message/mod.ts";
import { sleep } from "../waiting.ts";

/** A message that has passed, as it is kept to be shown. */
export interface PassedMessage {
  /** Names it, for as long as it is kept. */
  readonly id: string;
  /** Its number among those that were kept. */
  readonly number: number;
  /** When it passed, in seconds since the epoch. */
  readonly time: number;
  /** The word for its kind: `event`. */
  readonly label: string;
  readonly subject: string;
  /** True if it tells of a failure. */
  readonly failed: boolean;
  readonly origin: string;
  readonly target: string;
  /** The values by their names, or a list of values. */
  readonly details: MessageSummary["details"];
  /** The message as JSON, without the token of a request. */
  readonly json: string;
  /** The message itself. */
  readonly message: Message;
}

/** The bounds of what is kept; the oldest makes room. */
interface PassedLimits {
  /** So many messages. */
  readonly messages: number;
  /** So many characters of JSON. */
  readonly characters: number;
  /** For so many seconds. */
  readonly seconds: number;
  /** So many messages of one second; the others are only counted. */
  readonly perSecond: number;
  /** So many characters of one second, after which the others are only counted. */
  readonly charactersPerSecond: number;
}

/** Called with each message that is kept. */
type MessageListener = (message: PassedMessage) => void;

/** An hour of what was kept and counted: small beside what the process has in hand anyway. */
export const LIMITS: PassedLimits = {
  messages: 2000,
  characters: 4 * 2 ** 20,
  seconds: 3600,
  perSecond: 100,
  charactersPerSecond: 2 ** 20,
};

/**
 * Keeps what has passed within the last hour, within limits of number and size,
 * and counts it by the second. It costs nothing while nothing passes, and the
 * same for every flood: what is too much for one second is only counted.
 */
export class Passed {
  readonly #limits: PassedLimits;
  readonly #messages: PassedMessage[] = [];
  readonly #listeners = new Set<MessageListener>();
  /** Counts what has passed in each second of the last hour, by the second modulo an hour. */
  readonly #counts: Uint32Array;
  /** Tells its messages from those that were kept before the program was started anew. */
  readonly #name = crypto.randomUUID().slice(0, 8);
  #second = 0;
  #keptThisSecond = 0;
  #charactersThisSecond = 0;
  #characters = 0;
  #next = 1;
  /** Those that were only counted. */
  skipped = 0;

  constructor(limits: PassedLimits = LIMITS) {
    this.#limits = limits;
    this.#counts = new Uint32Array(limits.seconds);
  }

  /**
   * Follows a bus without being a subscriber of it. What is more than is kept of
   * a second stays in the window of the watch, and is skipped there.
   *
   * @returns A function that ends it.
   */
  follow(bus: Bus): () => void {
    const watch = bus.watch({
      limit: this.#limits.perSecond,
      onSkip: (count) => this.miss(count),
    });
    const ended = new AbortController();
    const { signal } = ended;
    (async () => {
      for await (const message of watch) {
        this.add(message);
        if (this.#isFull()) {
          const rest = 1 - Date.now() / 1000 % 1;
          await sleep(rest, { signal, daemon: true });
        }
      }
    })();
    return () => {
      ended.abort();
      watch[Symbol.dispose]();
    };
  }

  /** Takes a message that passes. */
  add(message: Message): void {
    this.#count(1);
    if (this.#isFull()) {
      this.skipped++;
      return;
    }
    this.#keptThisSecond++;
    const kept = this.#describe(message, Date.now() / 1000);
    this.#charactersThisSecond += kept.json.length;
    this.#messages.push(kept);
    this.#characters += kept.json.length;
    this.#forget();
    for (const listener of this.#listeners) listener(kept);
  }

  /** Takes messages that have passed before those that are here, the oldest first. */
  restore(
    before: readonly (readonly [message: Message, time: number])[],
  ): void {
    const older = before.map(([message, time]) =>
      this.#describe(message, time)
    );
    this.#messages.unshift(...older);
    for (const { json } of older) this.#characters += json.length;
    this.#forget();
  }

  #describe(message: Message, time: number): PassedMessage {
    const json = jsonOf(message);
    const { label, subject, details, failed } = summarize(message);
    const { origin, target } = message;
    return {
      id: `${this.#name}.${this.#next}`,
      number: this.#next++,
      time,
      label,
      subject,
      failed,
      origin,
      target,
      details,
      json,
      message,
    };
  }

  /** Counts messages that have passed unseen. */
  miss(count: number): void {
    this.#count(count);
    this.skipped += count;
  }

  /** The messages that are kept, the newest first. */
  newest(): PassedMessage[] {
    this.#forget();
    return this.#messages.toReversed();
  }

  /** Finds one that is kept. */
  find(id: string): PassedMessage | undefined {
    return this.#messages.find((message) => message.id === id);
  }

  /**
   * Those that were kept after another one, the oldest first: all of them after
   * `""`, and none where the other one is not kept.
   */
  after(id: string): readonly PassedMessage[] {
    if (id === "") return this.#messages;
    const at = this.#messages.findIndex((message) => message.id === id);
    return at < 0 ? [] : this.#messages.slice(at + 1);
  }

  /** Calls a listener with what passes from now on; returns what ends it. */
  listen(listener: MessageListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Counts what has passed in each of the last seconds, those before this one, the oldest first. */
  rates(seconds: number): number[] {
    this.#turn();
    const size = this.#counts.length;
    const count = Math.min(seconds, size - 1);
    return Array.from(
      { length: count },
      (_, at) => this.#counts[(this.#second - count + at) % size]!,
    );
  }

  /** True where the rest of this second is only counted. */
  #isFull(): boolean {
    this.#turn();
    const { perSecond, charactersPerSecond } = this.#limits;
    return this.#keptThisSecond >= perSecond ||
      this.#charactersThisSecond >= charactersPerSecond;
  }

  /** Forgets what is too much or too old. */
  #forget(): void {
    const { messages, characters, seconds } = this.#limits;
    const oldest = Date.now() / 1000 - seconds;
    let gone = 0;
    while (
      gone < this.#messages.length &&
      (this.#messages.length - gone > messages ||
        this.#characters > characters || this.#messages[gone]!.time < oldest)
    ) this.#characters -= this.#messages[gone++]!.json.length;
    if (gone > 0) this.#messages.splice(0, gone);
  }

  #count(count: number): void {
    this.#turn();
    this.#counts[this.#second % this.#counts.length]! += count;
  }

  /** Begins the second that it is now; those in which nothing passed count nothing. */
  #turn(): void {
    const second = Math.floor(Date.now() / 1000);
    if (second === this.#second) return;
    const size = this.#counts.length;
    const first = Math.max(this.#second + 1, second - size + 1);
    for (let at = first; at <= second; at++) this.#counts[at % size] = 0;
    this.#second = second;
    this.#keptThisSecond = 0;
    this.#charactersThisSecond = 0;
  }
}

/** Writes a message as it is shown: who reads along learns no token. */
export function jsonOf(message: Message): string {
  const wire = message.toJSON();
  const hasToken = (wire["token"] ?? null) !== null;
  return jsonText(hasToken ? { ...wire, token: "***" } : wire);
}
