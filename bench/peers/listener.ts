/**
 * A worker of `consumer.ts` that listens on the bus.
 *
 * @module
 */
import { Bus, Event } from "../../src/bus/mod.ts";
import { countOne } from "./count.ts";

const scope = self as unknown as { postMessage(message: unknown): void };

const bus = new Bus();
bus.registerHandler(Event, ({ args }) => countOne(args.sent));
await bus.ready();
scope.postMessage("listening");
