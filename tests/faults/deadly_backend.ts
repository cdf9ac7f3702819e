import { Bus, Event, RedisBackend } from "../../mod.ts";
import { Connection } from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";

// Handles messages, of which one kills the process: a number is handled once it
// is on the list "handled".
const redisArgs = JSON.parse(Deno.args[0]!);
const redis = await Connection.connect(redisArgs);
const bus = new Bus({ plain: false });
bus.registerHandler(Event, async ({ args }) => {
  if (args.n === "deadly") Deno.exit(9);
  await redis.command(["RPUSH", "handled", String(args.n)]);
});
const backend = new RedisBackend({
  redisArgs,
  queue: "queue",
  deviceId: "livingroom",
  bus,
  batchSize: 100,
  heartbeatTimeout: HEARTBEAT,
});
await backend.start();
