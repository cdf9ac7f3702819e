// deno-lint-ignore-file no-console
import { Bus, Event, RedisBackend } from "../../mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";

// Handles numbers without a name and, where it is told so, as "lights", in a thread
// of its own; tells both. It holds numbers below 0 until it is killed.
const [args, mode] = Deno.args;
const backend = new RedisBackend({
  redisArgs: JSON.parse(args!),
  deviceId: "livingroom",
  heartbeatTimeout: HEARTBEAT,
  maxDeliveries: 10,
});
backend.bus.registerHandler(Event, ({ args }) => {
  console.log(`others ${args.n}`);
});
await backend.start();
console.log("started");
if (mode === "with lights") {
  const worker = new Worker(import.meta.resolve("../backend/named_worker.ts"), {
    type: "module",
    name: JSON.stringify({ bus: backend.bus.name, subscriber: "lights" }),
  });
  worker.onmessage = ({ data }) => {
    console.log(data === "ready" ? data : `lights ${data[0]}`);
  };
} else new Bus().watch();
