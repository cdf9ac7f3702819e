import { isPort } from "./address.ts";
import { nearest } from "../nearest.ts";

/**
 * How to reach Redis: the constructor arguments of redis-py under their own
 * names, as in Platypush's `redis_args`, and beyond them `url`, Sentinel and
 * Cluster. Times are seconds.
 *
 * @example
 * ```ts
 * import type { RedisArgs } from "@platypush/redis";
 *
 * const plain: RedisArgs = { host: "127.0.0.1", port: 6379, db: 1 };
 * const secure: RedisArgs = { url: "rediss://user:secret@redis.example:6380" };
 * const guarded: RedisArgs = {
 *   sentinels: ["10.0.0.1:26379", "10.0.0.2:26379"],
 *   serviceName: "mymaster",
 * };
 * ```
 */
export interface RedisArgs {
  /**
   * `redis://`, `rediss://` (TLS) or `unix://`, with an optional user, password
   * and database. What it says wins over the other arguments.
   */
  url?: string;
  /** The server's name or address. Default: `127.0.0.1`. */
  host?: string;
  /** The server's TCP port. Default: 6379. */
  port?: number;
  /** The number of the database. Default: 0. */
  db?: number;
  /** The ACL user. Default: the server's `default` user. */
  username?: string | null;
  /** The user's password. */
  password?: string | null;
  /** The path of a Unix socket, in place of `host` and `port`. */
  unix_socket_path?: string | null;
  /** Whether to speak TLS. Default: `false`. */
  ssl?: boolean;
  /** The file with the certificates of trusted authorities (PEM). */
  ssl_ca_certs?: string | null;
  /** The certificates of trusted authorities themselves (PEM). */
  ssl_ca_data?: string | null;
  /** The file with this client's certificate (PEM). */
  ssl_certfile?: string | null;
  /** The file with the key of this client's certificate (PEM). */
  ssl_keyfile?: string | null;
  /** The password of the key. */
  ssl_password?: string | null;
  /** Whether the server's certificate is checked. Default: `required`. */
  ssl_cert_reqs?: "none" | "optional" | "required";
  /** Whether the certificate must name the host. Default: `true`. */
  ssl_check_hostname?: boolean;
  /** How long to wait for an answer, in seconds. Default: half the health check's interval. */
  socket_timeout?: number | null;
  /** How long to wait for a connection, in seconds. Default: 5. */
  socket_connect_timeout?: number | null;
  /** Whether the operating system probes an idle connection. Default: `true`. */
  socket_keepalive?: boolean;
  /**
   * Within how many seconds a dead connection is noticed; the server is pinged
   * when it has nothing to say for a while. 0 switches that off. Default: 10.
   */
  health_check_interval?: number;
  /** The name of the connection in `CLIENT LIST`. */
  client_name?: string | null;
  /** The version of the Redis protocol. Default: 3. */
  protocol?: 2 | 3;
  /** Sentinels that know the master, as `host:port`. Default port: 26379. */
  sentinels?: readonly string[];
  /** The name under which the sentinels know the master. */
  serviceName?: string;
  /** The ACL user on the sentinels. */
  sentinelUsername?: string;
  /** The password on the sentinels. */
  sentinelPassword?: string;
  /** Some nodes of a cluster, as `host:port`; the others are found through them. */
  cluster?: readonly string[];
}

type Check = (value: unknown) => boolean;
const isString: Check = (value) => typeof value === "string";
const isText: Check = (value) => typeof value === "string" && value !== "";
const isBoolean: Check = (value) => typeof value === "boolean";
const isSeconds: Check = (value) =>
  typeof value === "number" && value >= 0 && Number.isFinite(value);
const isAddressList: Check = (value) =>
  Array.isArray(value) && value.length > 0 && value.every(isText);

/** What each argument must be, for the check and for its message. */
export const ARGUMENTS: Readonly<Record<keyof RedisArgs, [Check, string]>> = {
  url: [isText, "a URL"],
  host: [isText, "a name or an address"],
  port: [isPort, "a number from 1 to 65535"],
  db: [
    (value) => Number.isInteger(value) && Number(value) >= 0,
    "a whole number from 0 on",
  ],
  username: [isString, "a string"],
  password: [isString, "a string"],
  unix_socket_path: [isText, "a path"],
  ssl: [isBoolean, "true or false"],
  ssl_ca_certs: [isText, "the path of a PEM file"],
  ssl_ca_data: [isText, "certificates in PEM format"],
  ssl_certfile: [isText, "the path of a PEM file"],
  ssl_keyfile: [isText, "the path of a PEM file"],
  ssl_password: [isString, "a string"],
  ssl_cert_reqs: [
    (value) => ["none", "optional", "required"].includes(String(value)),
    '"none", "optional" or "required"',
  ],
  ssl_check_hostname: [isBoolean, "true or false"],
  socket_timeout: [isSeconds, "a number of seconds"],
  socket_connect_timeout: [isSeconds, "a number of seconds"],
  socket_keepalive: [isBoolean, "true or false"],
  health_check_interval: [isSeconds, "a number of seconds"],
  client_name: [
    (value) => isText(value) && /^[!-~]+$/.test(String(value)),
    "a name without spaces",
  ],
  protocol: [(value) => value === 2 || value === 3, "2 or 3"],
  sentinels: [isAddressList, 'a list of "host:port"'],
  serviceName: [isText, "the name of a master"],
  sentinelUsername: [isString, "a string"],
  sentinelPassword: [isString, "a string"],
  cluster: [isAddressList, 'a list of "host:port"'],
};

/** Checks each argument for itself, as `parseRedisArgs` does. */
export function checkRedisArgs(args: RedisArgs): void {
  if (typeof args !== "object" || args === null || Array.isArray(args)) {
    throw new TypeError(
      "Cannot connect to Redis: the arguments have to be an object, such as { url }",
    );
  }
  for (const [name, value] of Object.entries(args)) {
    if (!Object.hasOwn(ARGUMENTS, name)) {
      throw new TypeError(
        `Cannot connect to Redis: there is no argument \`${name}\`; the nearest one is \`${
          nearest(name, Object.keys(ARGUMENTS))
        }\``,
      );
    }
    const [isValid, expected] = ARGUMENTS[name as keyof RedisArgs];
    if (value !== undefined && value !== null && !isValid(value)) {
      throw new TypeError(
        `Cannot connect to Redis: \`${name}\` has to be ${expected}`,
      );
    }
  }
}
