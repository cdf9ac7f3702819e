import { expandUrl } from "../redis/expand_url.ts";
import { checkRedisArgs } from "../redis/redis_args.ts";
import { ConfigError, problemOf } from "./config_error.ts";

/**
 * What kind of source a value comes from, the strongest first;
 * {@linkcode resolveConfig} tells it of each value.
 */
export type ConfigSource =
  | "code"
  | "command line"
  | "environment"
  | "file"
  | "default";

/** A value, and where it comes from. */
export interface Given {
  readonly value: unknown;
  readonly source: ConfigSource;
  /** The place for people: `--url`, `REDIS_URL`, `/etc/platypush/config.yaml:3:5`. */
  readonly origin: string;
}

/** What one source says, or several together: values by the name of the option. */
export interface Layer {
  readonly options: Readonly<Record<string, Given>>;
  readonly redisArgs: Readonly<Record<string, Given>>;
}

/** A layer that says nothing. */
export const EMPTY_LAYER: Layer = { options: {}, redisArgs: {} };

/**
 * Makes a layer of which every value comes from the same source, leaving out
 * those that are undefined.
 *
 * @param source The kind of source.
 * @param options Values of options, each with its origin.
 * @param redisArgs Arguments for Redis, each with its origin.
 * @throws {ConfigError} If an argument for Redis is unknown or wrong.
 */
export function makeLayer(
  source: ConfigSource,
  options: Readonly<Record<string, [value: unknown, origin: string]>>,
  redisArgs: Readonly<Record<string, [value: unknown, origin: string]>>,
): Layer {
  const give = (
    values: Readonly<Record<string, [value: unknown, origin: string]>>,
  ): Record<string, Given> =>
    Object.fromEntries(
      Object.entries(values)
        .filter(([, [value]]) => value !== undefined)
        .map(([name, [value, origin]]) => [name, { value, source, origin }]),
    );
  for (const [name, [value, origin]] of Object.entries(redisArgs)) {
    try {
      checkRedisArgs({ [name]: value });
      expandUrl({ [name]: value });
    } catch (error) {
      throw new ConfigError(`${origin}: ${problemOf(error)}`);
    }
  }
  return { options: give(options), redisArgs: give(redisArgs) };
}

/** The bare values. */
export function valuesOf(
  given: Readonly<Record<string, Given>>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(given).map(([name, { value }]) => [name, value]),
  );
}
