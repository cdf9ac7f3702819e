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
