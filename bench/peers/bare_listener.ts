/**
 * A worker of `consumer.ts` that listens on a channel, in a file of its own:
 * Deno reads what a file imports, even where the import is never reached. With
 * `?node`, it has what a bus needs of Node: channels that can be `daemon`, bytes
 * that become texts quickly, and turns of the event loop.
 *
 * @module
 */
import { countOne } from "./count.ts";

const scope = self as unknown as { postMessage(message: unknown): void };

if (new URL(import.meta.url).search === "?node") {
  await import("node:buffer");
  await import("node:timers/promises");
  await import("node:worker_threads");
}
new BroadcastChannel("messages").onmessage = (): void => countOne();
scope.postMessage("listening");
