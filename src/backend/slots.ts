/** Lets so many work at a time; the others wait, first come, first served. */
export class Slots {
  #free: number;
  readonly #queue = new Set<() => void>();

  /** @param count How many may work at a time. */
  constructor(count: number) {
    this.#free = count;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Takes a slot, as soon as there is one.
   *
   * @param signal Ends the wait.
   * @returns Frees the slot when it is disposed of.
   * @throws The signal's reason.
   */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    return { [Symbol.dispose]: () => this.#release() };
  }

  /** Waits until a slot is passed on. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#queue.delete(enter);
        reject(signal.reason);
      };
      const enter = (): void => {
        signal.removeEventListener("abort", abort);
        resolve();
      };
      this.#queue.add(enter);
      signal.addEventListener("abort", abort);
    });
  }

  #release(): void {
    const [next] = this.#queue;
    if (next === undefined) {
      this.#free++;
    } else {
      this.#queue.delete(next);
      next();
    }
  }
}
