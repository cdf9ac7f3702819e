/**
 * Passes items from those who have some to those who want some, without keeping
 * any: an offer stands until somebody takes it, or until it is declined.
 */
export class Handoff<Item> {
  #offers: { item: Item; resolve: (isTaken: boolean) => void }[] = [];
  #takers: ((item: Item | undefined) => void)[] = [];
  #isPaused = false;
  #isClosed = false;

  /**
   * Offers an item.
   *
   * @returns Whether somebody took it.
   */
  offer(item: Item): Promise<boolean> {
    if (this.#isPaused || this.#isClosed) return Promise.resolve(false);
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker(item);
      return Promise.resolve(true);
    }
    return new Promise((resolve) => this.#offers.push({ item, resolve }));
  }

  /**
   * Takes the item that was offered first, or waits for one.
   *
   * @returns The item, or `undefined` once closed.
   */
  take(): Promise<Item | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined);
    const offer = this.#offers.shift();
    if (offer !== undefined) {
      offer.resolve(true);
      return Promise.resolve(offer.item);
    }
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** Declines every offer from here on; those who want an item keep waiting. */
  pause(): void {
    this.#isPaused = true;
    for (const { resolve } of this.#offers.splice(0)) resolve(false);
  }

  /** Lets offers stand again. */
  resume(): void {
    this.#isPaused = false;
  }

  /** Declines every offer, and tells those who want an item that there is none. */
  close(): void {
    this.#isClosed = true;
    for (const { resolve } of this.#offers.splice(0)) resolve(false);
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }
}
