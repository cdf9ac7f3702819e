import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import {
  type ConfigFlags,
  type RedisArgs,
  type RedisBackendOptions,
  resolveConfig,
} from "../../mod.ts";
import { file, filled } from "./values.ts";

const URL_VALUE = filled("URL", "a URL", "redis://127.0.0.1:6379");
const QUEUE_VALUE = filled("NAME", "the name of a queue", "lights");
const DEVICE_VALUE = filled("ID", "the id of a device", "kitchen");

/** The options that every command that talks to Redis takes. */
export interface RedisOptions extends ConfigFlags {
  readonly url: string | undefined;
  readonly queue: string | undefined;
  readonly deviceId: string | undefined;
  readonly config: string | undefined;
}

/** The options that every command that talks to Redis takes. */
export function redisOptions(): Parser<"sync", RedisOptions, unknown> {
  return object("Redis options", {
    url: optional(option("--url", URL_VALUE, {
      description:
        message`The server: redis://, rediss:// or unix://. Default: REDIS_URL, the file, 127.0.0.1:6379`,
    })),
    queue: optional(option("--queue", QUEUE_VALUE, {
      description:
        message`The queue. Default: PLATYPUSH_REDIS_QUEUE, the file, platypush/backend/redis`,
    })),
    deviceId: optional(option("--device-id", DEVICE_VALUE, {
      description:
        message`Who we are. Default: PLATYPUSH_DEVICE_ID, the file, the host's name`,
    })),
    config: optional(option("--config", file(), {
      description:
        message`Platypush's configuration. Default: PLATYPUSH_CONFIG, ~/.config/platypush/config.yaml, /etc/platypush/config.yaml`,
    })),
  });
}

/**
 * Completes the options by the environment, the configuration file and defaults.
 *
 * @param flags What the command line says, which wins.
 * @throws {ConfigError} The file cannot be read, or something in it, in the
 * environment or on the command line makes no sense.
 */
export async function resolveOptions(
  flags: RedisOptions,
): Promise<RedisBackendOptions> {
  return (await resolveConfig({ flags })).options;
}

/** Says where a command finds what it talks to. */
export interface Place {
  /** The way to reach Redis. */
  readonly redisArgs: RedisArgs;
  /** The queues, at least one. */
  readonly queues: readonly [string, ...string[]];
}

/** The same as {@linkcode resolveOptions}, for commands that look at queues. */
export async function resolvePlace(flags: RedisOptions): Promise<Place> {
  const { redisArgs = {}, queue } = await resolveOptions(flags);
  const [first = "platypush/backend/redis", ...others] = [queue ?? []].flat();
  return { redisArgs, queues: [first, ...others] };
}
