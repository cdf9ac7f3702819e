/// <reference lib="deno.worker" />
import { Bus, Event } from "../../src/bus/mod.ts";

// Subscribes under its name to the bus "bus", and tells each number that it gets.
// It stays busy with those below 0.
const { bus: name, subscriber } = JSON.parse(self.name);
const bus = new Bus({ name, subscriber, plain: false });
bus.registerHandler(Event, ({ args, redelivered }) => {
  self.postMessage([args.n, redelivered]);
  return Number(args.n) < 0 ? new Promise(() => {}) : undefined;
});
await bus.ready();
self.postMessage("ready");
