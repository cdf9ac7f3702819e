/**
 * Lets the consumers of several queues go one before the other: while there are
 * messages in a queue, nothing is taken from those that are named after it.
 */
export class Turn {
  readonly #all: Turn[];
  readonly #rank: number;
  readonly #wake: () => void;
  #isBusy = false;
  #hasFailed = false;
  #isWaiting = false;

  /**
   * @param all The turns of all queues, in their order; this one enters itself.
   * @param wake Called when it may no longer have to wait.
   */
  constructor(all: Turn[], rank: number, wake: () => void) {
    this.#all = all;
    this.#rank = rank;
    this.#wake = wake;
    all[rank] = this;
  }

  /** Notes that there may be messages in this queue. */
  begin(): void {
    this.#isBusy = !this.#hasFailed;
  }

  /** Notes that taking is refused: others go on, also while it is tried again. */
  fail(): void {
    this.#hasFailed = true;
  }

  /** Notes that taking is refused no more: others wait for it again. */
  succeed(): void {
    this.#hasFailed = false;
  }

  /** Notes that there are none, or that they cannot be taken: others may go on. */
  rest(): void {
    if (!this.#isBusy) return;
    this.#isBusy = false;
    if (this.#isAfterBusy()) return;
    for (let rank = this.#rank + 1; rank < this.#all.length; rank++) {
      const turn = this.#all[rank];
      if (turn === undefined) continue;
      if (turn.#isWaiting) turn.#wake();
      // Those that are named after it still have to wait.
      if (turn.#isBusy) return;
    }
  }

  /** True while a queue that goes before this one may have messages; this one is woken then. */
  mustWait(): boolean {
    return this.#isWaiting = this.#isAfterBusy();
  }

  #isAfterBusy(): boolean {
    for (let rank = 0; rank < this.#rank; rank++) {
      const turn = this.#all[rank];
      if (turn !== undefined && turn.#isBusy) return true;
    }
    return false;
  }
}
