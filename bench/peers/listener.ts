/** A worker of `consumer.ts` that listens, on the bus or on a channel. */
import { countOne } from "./count.ts";

const scope = self as unknown as { postMessage(message: unknown): void };

if (new URL(import.meta.url).search === "?bus") {
  const { Bus, Event } = await import("../../src/bus/mod.ts");
  const bus = new Bus();
  bus.registerHandler(Event, ({ args }) => countOne(args.sent));
  await bus.ready();
} else {
  new BroadcastChannel("messages").onmessage = (): void => countOne();
}
scope.postMessage("listening");
