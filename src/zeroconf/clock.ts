/** Time as the protocol sees it, so that a test can hold it in its hand. */
export interface Clock {
  /** Milliseconds since any fixed moment. */
  now(): number;
  /**
   * Calls back once, later.
   *
   * @param delay Milliseconds from now.
   * @returns Gives the call up.
   */
  after(delay: number, callback: () => void): () => void;
}

/**
 * The real time.
 *
 * @param unref Whether what is due lets the process end before.
 */
export function systemClock(unref = false): Clock {
  return {
    now: () => performance.now(),
    after(delay, callback): () => void {
      const timer = setTimeout(callback, Math.max(0, delay));
      if (unref) Deno.unrefTimer(timer);
      return () => clearTimeout(timer);
    },
  };
}
