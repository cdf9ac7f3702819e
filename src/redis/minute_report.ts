/** The shortest time between two reports, in milliseconds. */
const INTERVAL = 60_000;

/** Sums up what happens too often for a line each in the log. */
export class MinuteReport {
  #until = -Infinity;
  #sums: number[] = [];

  /**
   * Adds to the sums.
   *
   * @returns What has come together since the last report, where one is due.
   */
  add(...counts: number[]): readonly number[] | undefined {
    this.#sums = counts.map((count, at) => count + (this.#sums[at] ?? 0));
    if (performance.now() < this.#until) return undefined;
    this.#until = performance.now() + INTERVAL;
    return this.#sums.splice(0);
  }
}

/** Says of how many others the same is true, behind a sentence about the last one. */
export function othersBefore(sum: number): string {
  return sum > 1 ? `; so were ${sum - 1} before it` : "";
}
