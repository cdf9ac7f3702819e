/**
 * The program whose way `deno task way` follows: a backend whose only handler is
 * in the same thread.
 *
 *     way/consumer.ts TREE REDIS_ARGS QUEUE
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

const [tree, redisArgs, queue] = Deno.args as [string, string, string];
const { Bus, Event, RedisBackend }: typeof import("../../mod.ts") =
  await import(new URL("mod.ts", tree).href);

const bus = new Bus({ name: "way" });
bus.registerHandler(Event, () => {});
const backend = new RedisBackend({
  redisArgs: JSON.parse(redisArgs),
  queue,
  deviceId: "livingroom",
  bus,
  // No heartbeat comes in between.
  heartbeatTimeout: 600,
});
await backend.start();
console.log("started");
