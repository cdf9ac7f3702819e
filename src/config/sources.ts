import { camelCaseOptions } from "../backend/aliases.ts";
import { DEFAULT_QUEUE } from "../backend/backend.ts";
import type { RedisBackendOptions } from "../backend/mod.ts";
import type { Environment } from "./environment.ts";
import { type Layer, makeLayer } from "./layer.ts";

/**
 * What a command line says, under the names of its options, for
 * {@linkcode resolveConfig}.
 */
export interface ConfigFlags {
  /** `--url`. */
  url?: string | undefined;
  /** `--queue`. */
  queue?: string | readonly string[] | undefined;
  /** `--device-id`. */
  deviceId?: string | undefined;
  /** `--config`: the configuration file. */
  config?: string | undefined;
}

/** What is said in code. */
export function codeLayer(code: RedisBackendOptions): Layer {
  const { redisArgs = {}, ...options } = camelCaseOptions(code);
  const give = (values: object): Record<string, [unknown, string]> =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, [value, "code"]]),
    );
  return makeLayer("code", give(options), give(redisArgs));
}

/** What is said on the command line. */
export function flagLayer({ url, queue, deviceId }: ConfigFlags): Layer {
  return makeLayer("command line", {
    queue: [queue || undefined, "--queue"],
    deviceId: [deviceId || undefined, "--device-id"],
  }, { url: [url || undefined, "--url"] });
}

/** What is said in the environment. A URL says all about the server. */
export function environmentLayer(environment: Environment): Layer {
  const variable = (name: string): [string | undefined, string] => [
    environment(name),
    name,
  ];
  const url = variable("REDIS_URL");
  const [port] = variable("PLATYPUSH_REDIS_PORT");
  const redisArgs = url[0] !== undefined ? { url } : {
    host: variable("PLATYPUSH_REDIS_HOST"),
    port: [port && Number(port), "PLATYPUSH_REDIS_PORT"] as [unknown, string],
  };
  return makeLayer("environment", {
    queue: variable("PLATYPUSH_REDIS_QUEUE"),
    deviceId: variable("PLATYPUSH_DEVICE_ID"),
  }, redisArgs);
}

/** What holds where nobody says anything, as far as it is worth showing. */
export function defaultLayer(): Layer {
  return makeLayer("default", {
    deviceId: [hostName(), "default"],
    queue: [DEFAULT_QUEUE, "default"],
  }, {
    host: ["127.0.0.1", "default"],
    port: [6379, "default"],
    db: [0, "default"],
  });
}

function hostName(): string {
  const { state } = Deno.permissions.querySync({
    name: "sys",
    kind: "hostname",
  });
  return state === "granted" ? Deno.hostname() : "the host's name";
}
