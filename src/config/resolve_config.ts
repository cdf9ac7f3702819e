import { checkOptions, type Rows } from "../options.ts";
import { LOGGER, OBJECT, oneOrMore, TEXT } from "../kinds.ts";
import type { RedisBackendOptions } from "../backend/mod.ts";
import { createLogger, type Logger } from "../logger.ts";
import { environmentOf, findConfigFile } from "./find_config_file.ts";
import { mask } from "./mask_secrets.ts";
import { readFileLayer } from "./read_file_layer.ts";
import {
  codeLayer,
  defaultLayer,
  EMPTY_LAYER,
  environmentLayer,
  flagLayer,
  type Layer,
  mergeLayers,
  toOptions,
} from "./layers.ts";

/** The sources that {@linkcode resolveConfig} brings together. */
export interface ResolveConfigOptions {
  /** Options in code. */
  code?: RedisBackendOptions | undefined;
  /** The values of a command line. */
  flags?: {
    /** `--url`. */
    url?: string | undefined;
    /** `--queue`. */
    queue?: string | readonly string[] | undefined;
    /** `--device-id`. */
    deviceId?: string | undefined;
    /** `--config`: the configuration file. */
    config?: string | undefined;
  } | undefined;
  /** The environment variables. Default: those of the process. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** The configuration file, before all others that could name it. */
  path?: string | undefined;
  /** Told of names that are not known, and of passwords that are not used. */
  logger?: Logger | undefined;
}

const OPTIONS: Rows<ResolveConfigOptions> = {
  code: OBJECT,
  flags: OBJECT,
  env: OBJECT,
  path: TEXT,
  logger: LOGGER,
};

const FLAGS: Rows<NonNullable<ResolveConfigOptions["flags"]>> = {
  url: TEXT,
  queue: oneOrMore(TEXT),
  deviceId: TEXT,
  config: TEXT,
};

/** Holds what {@linkcode resolveConfig} has found. */
export interface ResolvedConfig {
  /** Options for {@linkcode RedisBackend}, without defaults. */
  readonly options: RedisBackendOptions;
  /** Each effective value to show, the defaults of the most important included. */
  readonly settings: readonly {
    /** Its name, such as `queue` or `redisArgs.host`. */
    readonly name: string;
    /** The value to show: a secret is `***` here. */
    readonly value: unknown;
    /** The kind of source; the strongest is named first here. */
    readonly source:
      | "code"
      | "command line"
      | "environment"
      | "file"
      | "default";
    /** The place in the source: `--url`, `REDIS_URL`, `/etc/platypush/config.yaml:3:5`. */
    readonly origin: string;
  }[];
  /** The configuration file, if there is one. */
  readonly file: string | undefined;
}

/**
 * Brings all sources of options together. In order of precedence: options in
 * code, the command line, the environment (`REDIS_URL`,
 * `PLATYPUSH_REDIS_HOST`, `PLATYPUSH_REDIS_PORT`, `PLATYPUSH_REDIS_QUEUE`,
 * `PLATYPUSH_DEVICE_ID`), the configuration file, defaults.
 *
 * The file is `path`, else `flags.config`, else what `PLATYPUSH_CONFIG` names,
 * else the one at the usual place, if it exists. Environment variables and usual
 * places that the process may not read count as absent; it is never asked for a
 * permission.
 *
 * Each value is taken from the strongest source that has it. If that source
 * names the server in one piece, by `url`, `unix_socket_path`, `sentinels` or
 * `cluster`, then nothing counts that weaker ones say about a server. So a
 * password from the file is not sent to the server of `REDIS_URL`.
 *
 * @param sources The sources; all are optional.
 * @returns The options, and where each value comes from.
 * @throws {ConfigError} If the file cannot be read, or a value makes no sense.
 * @throws {TypeError} If there is no such option or it is of another kind.
 *
 * @example
 * ```ts
 * import { resolveConfig } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const { options, settings } = await resolveConfig({
 *   flags: { queue: "lights" },
 *   env: { REDIS_URL: "redis://:secret@redis.example", HOME: "/nowhere" },
 * });
 * assert.equal(options.queue, "lights");
 * assert.deepEqual(settings.find(({ name }) => name === "redisArgs.url"), {
 *   name: "redisArgs.url",
 *   value: "redis://:***@redis.example",
 *   source: "environment",
 *   origin: "REDIS_URL",
 * });
 * ```
 */
export async function resolveConfig(
  sources: ResolveConfigOptions = {},
): Promise<ResolvedConfig> {
  const { logger = createLogger("config") } = checkOptions(
    "resolve the configuration",
    sources,
    OPTIONS,
  );
  checkOptions("resolve the configuration", sources.flags ?? {}, FLAGS);
  const environment = environmentOf(sources.env);
  const named = sources.path || sources.flags?.config;
  const file = await findConfigFile(named, environment);
  const layers = [
    file ? await readFileLayer(file, environment, logger) : EMPTY_LAYER,
    environmentLayer(environment),
    flagLayer(sources.flags ?? {}),
    codeLayer(sources.code ?? {}),
  ];
  const merged = layers.reduce((weaker, stronger) =>
    mergeLayers(weaker, stronger, (text) => logger.warn(text))
  );
  const options = toOptions(merged);
  return { options, settings: show(merged), file };
}

/** Lists the values with their origins, those of options first. */
function show(layer: Layer): ResolvedConfig["settings"] {
  const { options, redisArgs } = mergeLayers(defaultLayer(), layer, () => {});
  const list = (
    prefix: string,
    values: Layer["options"],
  ): ResolvedConfig["settings"] =>
    Object.entries(values).map(([name, { value, source, origin }]) => ({
      name: prefix + name,
      value: mask(name, value),
      source,
      origin,
    }));
  return [...list("", options), ...list("redisArgs.", redisArgs)];
}
