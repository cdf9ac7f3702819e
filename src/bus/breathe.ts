import { setImmediate } from "node:timers";

/** How long an isolate may work on a stream of messages in one go, in milliseconds. */
const SLICE = 8;

let since = 0;
let working = false;

/**
 * Lets timers and sockets have their turn in the middle of a long stream of
 * messages.
 *
 * @returns A promise to wait for, when it is time.
 */
export function breathe(): Promise<void> | undefined {
  if (!working) {
    working = true;
    since = performance.now();
    setImmediate(() => working = false);
    return undefined;
  }
  if (performance.now() - since < SLICE) return undefined;
  return new Promise((resolve) => setImmediate(resolve));
}
