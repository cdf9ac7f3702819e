/**
 * One run of bench/telemetry.ts: handles so many messages, and prints how long
 * that took, in seconds, and the processor time of it, in microseconds.
 *
 *     telemetry_run.ts <redisArgs> <messages>
 */
// deno-lint-ignore-file no-console
import process from "node:process";
import { RedisBackend } from "../src/backend/mod.ts";
import { Event } from "../src/bus/mod.ts";

const [redisArgs = "{}", messages] = Deno.args;
const done = Promise.withResolvers<void>();
let handled = 0;
await using backend = new RedisBackend({
  redisArgs: JSON.parse(redisArgs),
  queue: "bench",
  deviceId: "livingroom",
  delivery: "at-most-once",
});
backend.bus.registerHandler(Event, () => {
  if (++handled === Number(messages)) done.resolve();
});
const before = process.cpuUsage();
const start = performance.now();
await backend.start();
await done.promise;
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ seconds, cpu: user + system }));
