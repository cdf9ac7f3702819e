import type { Clock } from "./clock.ts";

/** Milliseconds from the first query to the second; then twice as long each time. */
export const FIRST_INTERVAL = 1_000;
/** The longest time between two queries, an hour. */
export const LAST_INTERVAL = 3_600_000;

/** When to ask for services again: after 1 s, 2 s, 4 s, … 1 h (RFC 6762, section 5.2). */
export class QuerySchedule {
  readonly #clock: Clock;
  readonly #random: () => number;
  #interval = FIRST_INTERVAL;
  #next = Infinity;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** When the next query is due. */
  get next(): number {
    return this.#next;
  }

  /** Begins, or begins anew. */
  start(): void {
    this.#interval = FIRST_INTERVAL;
    this.#next = this.soon();
  }

  /** Whether a query is due now; it is then taken for sent. */
  take(now: number): boolean {
    if (this.#next > now) return false;
    this.#next = now + this.#interval;
    this.#interval = Math.min(this.#interval * 2, LAST_INTERVAL);
    return true;
  }

  /** 20 to 120 ms from now, so that hosts do not ask all at once. */
  soon(): number {
    return this.#clock.now() + 20 + this.#random() * 100;
  }
}
