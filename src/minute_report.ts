import { Alarm } from "./waiting.ts";

/** The shortest time between two reports, in milliseconds. */
const INTERVAL = 60_000;

/** Reports what was summed up. */
type Tell = (...sums: number[]) => void;

/**
 * Sums up what happens too often for a line each in the log: the first is told at
 * once, and what comes within a minute of that when the minute is over.
 */
export class MinuteReport {
  #until = -Infinity;
  #sums: readonly number[] = [];
  #tell: Tell | undefined;
  #alarm: Alarm | undefined;
  #isOver = false;

  /** True while nothing is left to tell, and what comes next is told at once. */
  get isAtRest(): boolean {
    return this.#tell === undefined && performance.now() >= this.#until;
  }

  /**
   * Adds to the sums.
   *
   * @param tell Called with the sums, now or later; only that of the last call is.
   */
  add(tell: Tell, ...counts: number[]): void {
    this.#sums = counts.map((count, at) => count + (this.#sums[at] ?? 0));
    this.#tell = tell;
    const rest = this.#until - performance.now();
    if (rest <= 0 || this.#isOver) return this.#report();
    this.#alarm ??= new Alarm(() => this.#report());
    this.#alarm.advance(rest / 1000);
  }

  /** Tells what is left; from then on, each is told at once. */
  stop(): void {
    this.#isOver = true;
    this.#alarm?.[Symbol.dispose]();
    this.#report();
  }

  #report(): void {
    const [tell, sums] = [this.#tell, this.#sums];
    if (tell === undefined) return;
    this.#tell = undefined;
    this.#sums = [];
    this.#until = performance.now() + INTERVAL;
    this.#alarm?.set(Infinity);
    tell(...sums);
  }
}

/** Says of how many others the same is true, behind a sentence about the last one. */
export function othersBefore(sum: number): string {
  return sum > 1 ? `; so were ${sum - 1} before it` : "";
}
