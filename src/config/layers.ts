import { BACKEND_OPTIONS } from "../backend/backend_options.ts";
import type { RedisBackendOptions } from "../backend/mod.ts";
import {
  problemIn,
  problemWith,
  readAs,
  type Row,
  withoutAliases,
} from "../options.ts";
import {
  expandUrl,
  REDIS_ARGUMENTS,
  type RedisArgs,
} from "../redis/redis_args.ts";
import { contradictionIn } from "../redis/settings.ts";
import { ConfigError } from "./config_error.ts";
import type { Environment } from "./find_config_file.ts";

/** The sources of a value, the strongest first. */
type Source = "code" | "command line" | "environment" | "file" | "default";

/** A value, and where it comes from. */
export interface Given {
  readonly value: unknown;
  readonly source: Source;
  /** The place for people: `--url`, `REDIS_URL`, `/etc/platypush/config.yaml:3:5`. */
  readonly origin: string;
}

type Values = Readonly<Record<string, Given>>;

/**
 * Holds what one source says, or several together: values by the name of the
 * option.
 */
export interface Layer {
  readonly options: Values;
  readonly redisArgs: Values;
}

/** A layer that says nothing. */
export const EMPTY_LAYER: Layer = { options: {}, redisArgs: {} };

/** The options of a backend, and redis-py's arguments. */
const TABLES: Readonly<
  Record<keyof Layer, Readonly<Record<string, Row>>>
> = { options: BACKEND_OPTIONS, redisArgs: REDIS_ARGUMENTS };

/**
 * Takes what is said in code.
 *
 * @throws {ConfigError} There is no such option, or a value makes no sense.
 */
export function codeLayer(code: RedisBackendOptions): Layer {
  const { redisArgs = {}, ...options } = withoutAliases(code, BACKEND_OPTIONS);
  const problem = problemIn(code, BACKEND_OPTIONS) ??
    problemIn(redisArgs, REDIS_ARGUMENTS);
  if (problem !== undefined) throw new ConfigError(`code: ${problem.text}`);
  const give = (values: object): Values =>
    Object.fromEntries(
      Object.entries(values)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [
          name,
          { value, source: "code", origin: "code" },
        ]),
    );
  return { options: give(options), redisArgs: give(redisArgs) };
}

/**
 * Takes what is said on the command line.
 *
 * @throws {ConfigError} A value makes no sense.
 */
export function flagLayer(
  values: Readonly<Record<string, unknown>>,
): Layer {
  return readLayer(
    "command line",
    ({ flag }, name) => flag && [flag.name, values[name] || undefined],
  );
}

/**
 * Takes what is said in the environment. A URL says all about the server.
 *
 * @throws {ConfigError} A value makes no sense.
 */
export function environmentLayer(environment: Environment): Layer {
  const url = REDIS_ARGUMENTS.url.variable!;
  const isWhole = environment(url) !== undefined;
  return readLayer("environment", ({ variable }, name) => {
    if (variable === undefined) return undefined;
    const isPart = Object.hasOwn(REDIS_ARGUMENTS, name) && variable !== url;
    return isWhole && isPart
      ? undefined
      : [variable, unquoted(environment(variable))];
  });
}

/** Takes off the quotes that Docker leaves around a value of its env files. */
function unquoted(value: string | undefined): string | undefined {
  const inner = value && /^(["'])(.+)\1$/s.exec(value)?.[2];
  return inner || value;
}

/** Gives what holds where nobody says anything, as far as it is worth showing. */
export function defaultLayer(): Layer {
  const shown = ["queue", "host", "port", "db"];
  const { options, redisArgs } = readLayer(
    "default",
    (row, name) => shown.includes(name) ? ["default", row.default] : undefined,
  );
  const host = { value: hostName(), source: "default", origin: "default" };
  return { options: { deviceId: host as Given, ...options }, redisArgs };
}

/** Asks a source about every option, and checks what it says. */
function readLayer(
  source: Source,
  ask: (
    row: Row,
    name: string,
  ) => readonly [origin: string, value: unknown] | undefined,
): Layer {
  const read = (rows: Readonly<Record<string, Row>>): Values => {
    const values: Record<string, Given> = {};
    for (const [name, row] of Object.entries(rows)) {
      const [origin, said] = ask(row, name) ?? [];
      if (origin === undefined || said === undefined) continue;
      const value = readAs(row, said);
      const problem = problemWith(name, value ?? said, row);
      if (problem !== undefined) {
        throw new ConfigError(`${origin}: ${problem.text}`);
      }
      values[name] = { value, source, origin };
    }
    return values;
  };
  return {
    options: read(TABLES.options),
    redisArgs: read(TABLES.redisArgs),
  };
}

function hostName(): string {
  const { state } = Deno.permissions.querySync({
    name: "sys",
    kind: "hostname",
  });
  return state === "granted" ? Deno.hostname() : "the host's name";
}

/** Each of these says by itself where the server is. */
const WHOLE_PLACE = /^(url|unix_socket_path|sentinels|cluster)$/;
/** The options that hold for one server, not for connections as such. */
const OF_SERVER =
  /^(url|host|port|db|unix_socket_path|sentinels?\w*|serviceName|cluster|addressMap|username|password|password_file|credential_provider|ssl\w*)$/;

/**
 * Puts a stronger source on top of weaker ones, value by value.
 *
 * Where the stronger one says in one piece where the server is (`url`,
 * `unix_socket_path`, `sentinels` or `cluster`), all that the weaker ones say
 * about their server is left out: its place, its credentials and its TLS. A
 * password must not go to a server that it was not meant for.
 *
 * @param weaker What counts where the stronger one is silent.
 * @param warn Told when a password is left out.
 */
export function mergeLayers(
  weaker: Layer,
  stronger: Layer,
  warn: (text: string) => void,
): Layer {
  return {
    options: { ...weaker.options, ...stronger.options },
    redisArgs: mergeRedisArgs(weaker.redisArgs, stronger.redisArgs, warn),
  };
}

function mergeRedisArgs(
  weaker: Values,
  stronger: Values,
  warn: (text: string) => void,
): Values {
  const place = Object.entries(stronger).find(([name, given]) =>
    WHOLE_PLACE.test(name) && isGiven(given)
  )?.[1];
  if (place !== undefined) {
    warnOfSecrets(weaker, stronger, place, warn);
    return { ...without(weaker, OF_SERVER), ...stronger };
  }
  if (!Object.keys(stronger).some((name) => OF_SERVER.test(name))) {
    return { ...weaker, ...stronger };
  }
  // In the arguments a URL wins over the others, here the stronger source does.
  const expanded = expand(weaker);
  const isElsewhere = isGiven(stronger["host"]) || isGiven(stronger["port"]);
  return {
    ...(isElsewhere
      ? without(
        expanded,
        /^(unix_socket_path|sentinel\w*|serviceName|cluster)$/,
      )
      : expanded),
    ...stronger,
  };
}

function warnOfSecrets(
  weaker: Values,
  stronger: Values,
  place: Given,
  warn: (text: string) => void,
): void {
  const instead = expand(stronger);
  for (const [name, { value, origin }] of Object.entries(expand(weaker))) {
    const { isSecret } = REDIS_ARGUMENTS[name as keyof RedisArgs];
    if (!isSecret || !value || isGiven(instead[name])) continue;
    warn(
      `\`${name}\` from ${origin} is not used, since ${place.origin} names the server; give its credentials there`,
    );
  }
}

/** Replaces a URL by the arguments that it stands for. */
function expand(args: Values): Values {
  const { url, ...rest } = args;
  if (url === undefined) return args;
  const parts = Object.entries(expandUrl({ url: String(url.value) }));
  const expanded = parts.map(([name, value]) => [name, { ...url, value }]);
  return { ...rest, ...Object.fromEntries(expanded) };
}

function without(args: Values, names: RegExp): Values {
  return Object.fromEntries(
    Object.entries(args).filter(([name]) => !names.test(name)),
  );
}

function isGiven(given: Given | undefined): boolean {
  return (given?.value ?? undefined) !== undefined;
}

/**
 * Gives the options that a layer stands for.
 *
 * @throws {ConfigError} Arguments for Redis do not go together; the message
 * names the place of the one to blame.
 */
export function toOptions({ options, redisArgs }: Layer): RedisBackendOptions {
  const args: RedisArgs = valuesOf(redisArgs);
  const contradiction = contradictionIn(expandUrl(args));
  if (contradiction !== undefined) {
    const { origin } = redisArgs[contradiction.name] ?? redisArgs["url"]!;
    throw new ConfigError(`${origin}: ${contradiction.text}`);
  }
  return {
    ...valuesOf(options),
    ...(Object.keys(args).length > 0 && { redisArgs: args }),
  };
}

function valuesOf(values: Values): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, { value }]) => [name, value]),
  );
}
