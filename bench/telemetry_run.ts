/**
 * One run of bench/telemetry.ts: handles so many messages, and prints how long
 * that took, in seconds, and the processor time of it, in microseconds.
 *
 *     telemetry_run.ts <redisArgs> <messages>
 */
import { RedisBackend } from "../src/backend/mod.ts";
import { consume } from "./consume.ts";

const [redisArgs = "{}", messages] = Deno.args;
await using backend = new RedisBackend({
  redisArgs: JSON.parse(redisArgs),
  queue: "bench",
  deviceId: "livingroom",
  delivery: "at-most-once",
});
await consume(backend, Number(messages));
