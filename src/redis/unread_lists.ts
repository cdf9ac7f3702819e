import { backoff } from "../waiting.ts";
import { type QueuePlace, Trouble } from "./trouble.ts";

/** The pauses between two attempts, in seconds. */
const PAUSES = { first: 1, longest: 60 };

/**
 * The lists of a session that could not be read, since the connection broke
 * meanwhile. They are read again one at a time, and ever more rarely.
 */
export class UnreadLists {
  readonly #numbers = new Set<number>();
  /** The number of times in a row that the connection broke so. */
  #cuts = 0;
  /** When one of them is read again, by `performance.now()`. */
  #readAt = 0;

  /** The number of them. */
  get size(): number {
    return this.#numbers.size;
  }

  /**
   * Notes that the connection broke while a list was read; says so from the second
   * time on, once.
   *
   * @param key The key of the list.
   */
  add(number: number, key: string, { logger, queue }: QueuePlace): void {
    if (this.size === 0) this.#cuts = this.#readAt = 0;
    const isAgain = this.#numbers.delete(number);
    this.#numbers.add(number);
    const now = performance.now();
    // All that were read when the connection broke come here, for one of them.
    if (now >= this.#readAt) {
      this.#readAt = now + backoff(this.#cuts++, PAUSES) * 1000;
    }
    if (!isAgain) return;
    Trouble.with(`"${queue}"`, logger).warnOnce(
      `The connection breaks whenever a message of "${queue}" is read that is at ${key}: does the server (client-output-buffer-limit), or something on the way, limit what it sends at once? The message stays there, and is tried again ever more rarely.`,
    );
  }

  /** Leaves these out of some lists, but for the first one when that is due. */
  due(lists: readonly number[]): readonly number[] {
    const [first] = this.#numbers;
    const isDue = performance.now() >= this.#readAt;
    return lists.filter((number) =>
      !this.#numbers.has(number) || (isDue && number === first)
    );
  }

  /** Notes that a list was read. */
  onRead(number: number): void {
    if (this.#numbers.delete(number)) this.#cuts = 0;
  }

  /** Forgets a list in which there is nothing any more. */
  delete(number: number): void {
    this.#numbers.delete(number);
  }

  /** Forgets all but these. */
  keep(numbers: readonly number[]): void {
    for (const number of this.#numbers) {
      if (!numbers.includes(number)) this.#numbers.delete(number);
    }
  }
}
