import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";

/** What every command that talks to Redis takes. */
export interface RedisOptions {
  readonly url: string | undefined;
  readonly queue: string | undefined;
  readonly deviceId: string | undefined;
}

/** What every command that talks to Redis takes. */
export function redisOptions(): Parser<"sync", RedisOptions, unknown> {
  return object("Redis options", {
    url: optional(option("--url", string({ metavar: "URL" }), {
      description:
        message`The server: redis://, rediss:// or unix://. Default: REDIS_URL, then 127.0.0.1:6379`,
    })),
    queue: optional(option("--queue", string({ metavar: "NAME" }), {
      description:
        message`The queue. Default: PLATYPUSH_REDIS_QUEUE, then platypush/backend/redis`,
    })),
    deviceId: optional(option("--device-id", string({ metavar: "ID" }), {
      description:
        message`Who we are. Default: PLATYPUSH_DEVICE_ID, then the host's name`,
    })),
  });
}

/** The options, completed by the environment. */
export function resolveRedisOptions(options: RedisOptions): RedisOptions {
  return {
    url: options.url ?? variable("REDIS_URL"),
    queue: options.queue ?? variable("PLATYPUSH_REDIS_QUEUE"),
    deviceId: options.deviceId ?? variable("PLATYPUSH_DEVICE_ID"),
  };
}

function variable(name: string): string | undefined {
  return Deno.env.get(name) || undefined;
}
