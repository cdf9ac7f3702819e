// deno-lint-ignore-file no-console
import { Event, RedisBackend } from "../../mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";

// Tells who each message is, and holds it until it is killed.
const backend = new RedisBackend({
  redisArgs: JSON.parse(Deno.args[0]!),
  deviceId: "livingroom",
  heartbeatTimeout: HEARTBEAT,
  maxDeliveries: 10,
});
backend.bus.registerHandler(Event, ({ id, timestamp }) => {
  console.log(JSON.stringify([id, timestamp]));
  return new Promise(() => {});
});
await backend.start();
