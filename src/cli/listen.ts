import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { RedisBackend } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { printLine } from "./print_line.ts";
import { provideRedis } from "./provide_redis.ts";
import { redisOptions, resolveRedisOptions } from "./redis_options.ts";
import { count } from "./values.ts";

/** `listen`: prints what arrives, one JSON message a line. */
export const listenCommand: Command = defineCommand("listen", {
  brief: "Print messages as they arrive",
  usage: "[OPTION]…",
  examples: ["platypush-redis listen --count 1 | jq .args"],
  logLevel: "info",
  options: object({
    count: optional(option("--count", count(), {
      description: message`End after so many messages`,
    })),
    advertise: option("--advertise", {
      description: message`Announce this listener on the local network`,
    }),
    redis: redisOptions(),
  }),
  run: async (options, { signal }) => {
    const { url, queue, deviceId } = resolveRedisOptions(options.redis);
    await using redis = await provideRedis(url);
    await using backend = new RedisBackend({
      redisArgs: redis.redisArgs,
      queue,
      deviceId,
      // Announcing takes a while, and only then the loop below subscribes.
      subscriberGrace: Infinity,
    });
    signal.addEventListener("abort", () => backend.stop());
    await backend.start();
    if (options.advertise) await backend.registerService();
    let printed = 0;
    for await (const message of backend.bus) {
      await printLine(message.toString());
      if (++printed === options.count) break;
    }
  },
});
