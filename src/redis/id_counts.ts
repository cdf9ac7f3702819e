/** Counts how often each id is there: several dead letters may have the same one. */
export class IdCounts {
  readonly #counts: Map<string, number>;

  /** @param ids Each as often as it is there. */
  constructor(ids: Iterable<string> | IdCounts = []) {
    this.#counts = new Map(ids instanceof IdCounts ? ids.#counts : []);
    if (ids instanceof IdCounts) return;
    for (const id of ids) this.add(id);
  }

  /** True if there are none. */
  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  /** The number of all of them. */
  get total(): number {
    return this.#counts.values().reduce((sum, count) => sum + count, 0);
  }

  add(id: string): void {
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  /** Takes one that has this id; tells whether there was one. */
  take(id: string): boolean {
    const count = this.#counts.get(id) ?? 0;
    if (count > 1) this.#counts.set(id, count - 1);
    else this.#counts.delete(id);
    return count > 0;
  }
}
