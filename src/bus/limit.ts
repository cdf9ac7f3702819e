/**
 * Lets a handler have no more than so many messages at work at once; the others
 * wait in their order.
 */
export class Limit {
  readonly #concurrency: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** True when the handler is not to be called any more. */
  isEnded = false;

  /** @param concurrency The number of messages that may be at work at once. */
  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /** Calls back when it is somebody's turn, who gives it back when he is done. */
  take(begin: () => void): void {
    if (this.#running >= this.#concurrency) {
      this.#waiting.push(begin);
      return;
    }
    this.#running++;
    begin();
  }

  /** Gives a turn back, to who waits first. */
  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }

  /** Ends: who still waits is called back at once, and finds that. */
  end(): void {
    this.isEnded = true;
    for (const begin of this.#waiting.splice(0)) {
      this.#running++;
      begin();
    }
  }
}

/** A call of a handler that has a {@link Limit}. */
export class LimitedCall {
  /** Gives the turns, which all handlers of one limit share. */
  readonly limit: Limit;
  /** Calls the handler. */
  readonly run: () => unknown;

  /** Notes what to call; whoever has it takes a turn first. */
  constructor(limit: Limit, run: () => unknown) {
    this.limit = limit;
    this.run = run;
  }
}

/** Makes a handler that is called in its turn, where there is a limit. */
export function limited<Args extends unknown[]>(
  handler: (...args: Args) => unknown,
  limit: Limit | undefined,
): (...args: Args) => unknown {
  if (limit === undefined) return handler;
  return (...args) => new LimitedCall(limit, () => handler(...args));
}
