/** What a timer can be set to, in milliseconds; one beyond it is over at once. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * How long to pause before trying again: twice as long each time, with up to a
 * quarter of chance so that clients do not return all at once.
 *
 * @param attempt How often it was tried before, from 0.
 * @param first The first pause, in seconds.
 * @param longest The longest pause, in seconds.
 * @returns The pause in seconds.
 */
export function backoff(
  attempt: number,
  first: number,
  longest: number,
): number {
  const pause = Math.min(first * 2 ** Math.min(attempt, 30), longest);
  return pause * (0.75 + Math.random() / 4);
}

/**
 * Waits, unless aborted first; both resolve.
 *
 * @param seconds How long, at most 24 days.
 * @param signal Ends the wait.
 * @param unref Whether the wait does not keep the process alive.
 */
export function pause(
  seconds: number,
  signal: AbortSignal,
  unref = false,
): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(seconds * 1000, LONGEST_TIMER));
    if (unref) Deno.unrefTimer(timer);
    signal.addEventListener("abort", end);
  });
}
