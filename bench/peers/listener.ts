/**
 * A worker of `consumer.ts` that listens: on the bus, on a channel, or on one
 * with what a bus needs of Node: channels that can be `daemon`, bytes that become
 * texts quickly, and turns of the event loop.
 */
import { countOne } from "./count.ts";

const scope = self as unknown as { postMessage(message: unknown): void };

const { search } = new URL(import.meta.url);
if (search === "?bus") {
  const { Bus, Event } = await import("../../src/bus/mod.ts");
  const bus = new Bus();
  bus.registerHandler(Event, ({ args }) => countOne(args.sent));
  await bus.ready();
} else {
  if (search === "?node") {
    await import("node:buffer");
    await import("node:timers/promises");
    await import("node:worker_threads");
  }
  new BroadcastChannel("messages").onmessage = (): void => countOne();
}
scope.postMessage("listening");
