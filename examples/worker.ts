/**
 * Listens like `examples/listen.ts`, with the work done in a worker: a `Bus` in
 * any worker of the process is the same bus, and what it has not handled yet is
 * not lost. This file is both, the program and its worker.
 *
 * ```sh
 * deno run -A examples/worker.ts
 * ```
 *
 * @module
 */

import { RedisBackend } from "@platypush/redis";
import { Bus } from "@platypush/redis/bus";
import {
  logToStderr,
  printLine,
  program,
  provideRedis,
} from "@platypush/redis/cli";

if (self.name === "subscriber") {
  for await (const message of new Bus()) {
    await printLine(message.toString());
  }
} else {
  await program(async (signal) => {
    await logToStderr();
    await using redis = await provideRedis(Deno.env.get("REDIS_URL"));
    signal.throwIfAborted();
    await using backend = new RedisBackend({
      redisArgs: redis.redisArgs,
      queue: Deno.env.get("PLATYPUSH_REDIS_QUEUE"),
      deviceId: Deno.env.get("PLATYPUSH_DEVICE_ID"),
      subscriberGrace: Infinity,
    });
    signal.addEventListener("abort", () => backend.stop());
    const worker = new Worker(import.meta.url, {
      type: "module",
      name: "subscriber",
    });
    worker.onerror = (event) => {
      // Deno has told what is wrong.
      event.preventDefault();
      Deno.exitCode = 1;
      backend.stop();
    };
    try {
      await backend.start();
      await backend.join();
    } finally {
      worker.terminate();
    }
  });
}
