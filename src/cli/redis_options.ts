import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import type { RedisArgs } from "../../mod.ts";

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

/** Where a command finds what it talks to. */
export interface Place {
  /** How to reach Redis; the default's where nobody says. */
  readonly redisArgs: RedisArgs;
  /** Whether anybody says where Redis is. */
  readonly isNamed: boolean;
  /** The queue, where anybody says. */
  readonly queue: string | undefined;
  /** Our own device, where anybody says. */
  readonly deviceId: string | undefined;
}

/**
 * Completes the options by the environment.
 *
 * @param options What the command line says, which wins.
 */
export function resolvePlace(options: RedisOptions): Promise<Place> {
  const url = options.url ?? variable("REDIS_URL");
  return Promise.resolve({
    redisArgs: url === undefined ? {} : { url },
    isNamed: url !== undefined,
    queue: options.queue ?? variable("PLATYPUSH_REDIS_QUEUE"),
    deviceId: options.deviceId ?? variable("PLATYPUSH_DEVICE_ID"),
  });
}

function variable(name: string): string | undefined {
  return Deno.env.get(name) || undefined;
}
