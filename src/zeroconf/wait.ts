/** Beyond it a timer would be over at once, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** Waits for so many seconds, up to 24 days, or until the signal is aborted. */
export function wait(seconds: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal?.aborted) return Promise.resolve();
  const timer = setTimeout(resolve, Math.min(seconds * 1_000, LONGEST));
  const stop = (): void => resolve();
  signal?.addEventListener("abort", stop);
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  });
}
