/** What a timer can be set to, in milliseconds; one beyond it is over at once. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** How to {@linkcode sleep}. */
export interface SleepOptions {
  /** Ends the sleep before its time. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the process may end meanwhile. */
  readonly unref?: boolean | undefined;
}

/**
 * Waits.
 *
 * @param duration How long, in seconds; `undefined` and everything beyond 24
 * days mean until the signal.
 * @param options The signal, and whether the process is kept alive.
 * @returns Whether the signal ended the wait.
 */
export function sleep(
  duration: number | undefined,
  { signal, unref = false }: SleepOptions = {},
): Promise<boolean> {
  if (signal?.aborted) return Promise.resolve(true);
  return new Promise((resolve) => {
    const milliseconds = Math.min((duration ?? Infinity) * 1000, LONGEST_TIMER);
    const finish = (aborted: boolean): void => {
      clearInterval(timer);
      signal?.removeEventListener("abort", abort);
      resolve(aborted);
    };
    const abort = (): void => finish(true);
    // A wait without an end has a timer too: it keeps the process alive.
    const timer = setInterval(() => {
      if (milliseconds < LONGEST_TIMER) finish(false);
    }, milliseconds);
    if (unref) Deno.unrefTimer(timer);
    signal?.addEventListener("abort", abort);
  });
}
