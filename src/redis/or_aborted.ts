/**
 * Waits for a promise, unless aborted first.
 *
 * @param promise What to wait for; what becomes of it after the abort is passed
 * over.
 * @param signal Ends the wait.
 * @returns The promise's value.
 * @throws What the promise rejects with, or the signal's reason.
 */
export function orAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() =>
      signal.removeEventListener("abort", abort)
    );
  });
}
