/**
 * Listens to a Redis queue, advertises itself on the local network, and prints
 * what arrives, one JSON message a line, until SIGINT or SIGTERM.
 *
 * ```sh
 * deno run -A examples/listen.ts
 * ```
 *
 * Environment: `REDIS_URL` (default: the server on 127.0.0.1:6379, else a
 * private one), `PLATYPUSH_REDIS_QUEUE` (default: `platypush/backend/redis`),
 * `PLATYPUSH_DEVICE_ID` (default: the host's name; `*` takes every target).
 *
 * @module
 */

import { RedisBackend } from "@platypush/redis";
import {
  logToStderr,
  printLine,
  program,
  provideRedis,
} from "@platypush/redis/cli";

await program(async (signal) => {
  await logToStderr();
  await using redis = await provideRedis(Deno.env.get("REDIS_URL"));
  signal.throwIfAborted();
  await using backend = new RedisBackend({
    redisArgs: redis.redisArgs,
    queue: Deno.env.get("PLATYPUSH_REDIS_QUEUE"),
    deviceId: Deno.env.get("PLATYPUSH_DEVICE_ID"),
    // Advertising takes a while, and only then the loop below subscribes.
    subscriberGrace: Infinity,
  });
  signal.addEventListener("abort", () => backend.stop());

  await backend.start();
  // No other host reaches a private server: then there is no port to tell.
  await backend.registerService(redis.isPrivate ? { port: 0 } : {});
  for await (const message of backend.bus.stream({ signal })) {
    await printLine(message.toString());
  }
});
