import { checkOptions, checkValue, type Rows } from "../options.ts";
import { LOGGER, OBJECT, TEXT } from "../kinds.ts";
import type { RedisBackendOptions } from "../backend/mod.ts";
import { createLogger, type Logger } from "../logger.ts";
import { environmentOf, findConfigFile } from "./find_config_file.ts";
import { toOptions } from "./layers.ts";
import { readFileLayer } from "./read_file_layer.ts";

/** Gives {@linkcode loadConfig} the variables that a file may name, and whom to warn. */
export interface LoadConfigOptions {
  /** The environment variables. Default: those of the process. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Told of names that are not known. Default: LogTape's category `["platypush", "redis", "config"]`. */
  logger?: Logger | undefined;
}

const OPTIONS: Rows<LoadConfigOptions> = {
  env: OBJECT,
  logger: LOGGER,
};

/**
 * Reads a configuration of Platypush: `device_id`, `token`, `backend.redis` and
 * `redis`, also from the files that it includes. The other sections are
 * Platypush's own, and passed over.
 *
 * @param path The file. Default: the one that `PLATYPUSH_CONFIG` names, else
 * `~/.config/platypush/config.yaml`, else `/etc/platypush/config.yaml`, if it
 * exists.
 * @param options The environment and the logger.
 * @returns Options for {@linkcode RedisBackend}; none where there is no file.
 * @throws {ConfigError} If the file cannot be read, is no YAML, or a value in it
 * makes no sense.
 * @throws {TypeError} If there is no such option or it is of another kind.
 *
 * @example
 * ```ts
 * import { loadConfig, RedisBackend } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const path = await Deno.makeTempFile({ suffix: ".yaml" });
 * await Deno.writeTextFile(
 *   path,
 *   "device_id: livingroom\nredis: {host: redis.example, password: secret}\n",
 * );
 * const options = await loadConfig(path);
 * assert.deepEqual(options, {
 *   deviceId: "livingroom",
 *   redisArgs: { host: "redis.example", password: "secret" },
 * });
 * const backend = new RedisBackend(options);
 * assert.equal(backend.deviceId, "livingroom");
 * await Deno.remove(path);
 * ```
 */
export async function loadConfig(
  path?: string,
  options: LoadConfigOptions = {},
): Promise<RedisBackendOptions> {
  checkValue("load the configuration", "path", path, TEXT);
  checkOptions("load the configuration", options, OPTIONS);
  const environment = environmentOf(options.env);
  const logger = options.logger ?? createLogger("config");
  const file = await findConfigFile(path, environment);
  if (file === undefined) return {};
  return toOptions(await readFileLayer(file, environment, logger));
}
