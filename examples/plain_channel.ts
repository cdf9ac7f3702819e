/**
 * Listens with a plain BroadcastChannel, which needs nothing of this module: it
 * gets every message as an object. It also may post one, which reaches every
 * `Bus`. That path has no acknowledgement; `Bus` has.
 *
 * ```sh
 * deno run -A examples/plain_channel.ts
 * ```
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
  });
  signal.addEventListener("abort", () => backend.stop());

  const channel = new BroadcastChannel("platypush/bus");
  channel.onmessage = ({ data }) =>
    printLine(JSON.stringify(data)).catch(() => backend.stop());
  try {
    await backend.start();
    await backend.join();
  } finally {
    channel.close();
  }
});
