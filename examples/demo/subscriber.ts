/**
 * The worker of the demonstration: subscribes to the bus of its process, and
 * tells the main program what it has handled.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { Bus, Event } from "@platypush/redis/bus";

const bus = new Bus();
bus.registerHandler(Event, ({ args }) => {
  if (args.type.startsWith("demo.")) self.postMessage(args.n);
});
await bus.ready();
self.postMessage("ready");
