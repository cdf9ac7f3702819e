/** Time as the protocol sees it, so that a test can hold it in its hand. */
export interface Clock {
  /** Milliseconds since any fixed moment. */
  now(): number;
  /**
   * Calls back once, later.
   *
   * @returns A function that gives the call up.
   */
  after(delay: number, callback: () => void): () => void;
}

/** The real time. What is due lets the process end before. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(delay, callback): () => void {
    const timer = setTimeout(callback, Math.max(0, delay));
    Deno.unrefTimer(timer);
    return () => clearTimeout(timer);
  },
};
