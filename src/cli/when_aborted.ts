/** Calls a function when a signal is aborted, also one that was before. */
export function whenAborted(signal: AbortSignal, act: () => unknown): void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
}
