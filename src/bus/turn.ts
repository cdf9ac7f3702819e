/**
 * Resolves in the next turn of the event loop.
 *
 * Deno sends what is posted to a `BroadcastChannel` only then, and only if the
 * channel is still open; and a channel that is opened in the same turn in which
 * the isolate's last one was closed neither sends nor receives.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
