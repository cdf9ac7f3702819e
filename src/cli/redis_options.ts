import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import {
  type RedisArgs,
  type RedisBackendOptions,
  resolveConfig,
  type ResolvedConfig,
} from "../../mod.ts";
import { BACKEND_OPTIONS } from "../backend/backend_options.ts";
import { type Limits, limitsIn } from "../doctor/near_limit.ts";
import { readHostName } from "../permission.ts";
import { DEFAULT_QUEUE } from "../redis/queue_keys.ts";
import { REDIS_ARGUMENTS } from "../redis/redis_args.ts";
import { file, flagOf } from "./values.ts";

/** The options that every command that talks to Redis takes. */
export interface RedisOptions {
  readonly url: string | undefined;
  readonly queue: string | undefined;
  readonly deviceId: string | undefined;
  readonly config: string | undefined;
}

/** The options that every command that talks to Redis takes. */
export function redisOptions(): Parser<"sync", RedisOptions, unknown> {
  return object("Redis options", {
    url: flagOf(REDIS_ARGUMENTS.url, "a URL"),
    queue: flagOf(BACKEND_OPTIONS.queue, "the name of a queue"),
    deviceId: flagOf(BACKEND_OPTIONS.deviceId, "the id of a device"),
    config: optional(option("--config", file(), {
      description:
        message`Platypush's configuration. Default: PLATYPUSH_CONFIG, ~/.config/platypush/config.yaml, /etc/platypush/config.yaml`,
    })),
  });
}

/** Keeps what was found: whoever asks again does not have the file warn once more. */
const resolved = new WeakMap<RedisOptions, Promise<ResolvedConfig>>();

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
  const config = resolved.get(flags) ?? resolveConfig({ flags });
  resolved.set(flags, config);
  return (await config).options;
}

/** The name of our own device, if it has one of its own: `*` takes messages for all. */
function nameOfOwn(
  { deviceId }: RedisBackendOptions,
): string | undefined {
  return deviceId === "*" ? undefined : deviceId || undefined;
}

/** The options of the bus of a Platypush: where its Redis is, and who we are. */
export function hubOptions(
  options: RedisBackendOptions,
): { redisArgs: RedisArgs; deviceId: string } {
  const { redisArgs = {} } = options;
  const deviceId = nameOfOwn(options) ?? readHostName("use the bus");
  return { redisArgs, deviceId };
}

/** Says where a command finds what it talks to. */
interface ServerPlace {
  /** The way to reach Redis. */
  readonly redisArgs: RedisArgs;
  /** The queues, at least one. */
  readonly queues: readonly [string, ...string[]];
  /** Our own device, where it has a name. */
  readonly deviceId: string | undefined;
  /** The limits of what the queues may keep, where they are configured. */
  readonly limits: Limits;
}

/** The same as {@linkcode resolveOptions}, for commands that look at queues. */
export async function resolvePlace(flags: RedisOptions): Promise<ServerPlace> {
  const options = await resolveOptions(flags);
  const { redisArgs = {}, queue } = options;
  const [first = DEFAULT_QUEUE, ...others] = [queue ?? []].flat();
  return {
    redisArgs,
    queues: [first, ...others],
    deviceId: nameOfOwn(options),
    limits: limitsIn(options),
  };
}
