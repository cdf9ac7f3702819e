import { nearest } from "./nearest.ts";

/** Where a server listens: a TCP address, or the path of a Unix socket. */
export type Address = { host: string; port: number } | { path: string };

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

/** {@link RedisArgs}, checked, with every default filled in. */
export interface Settings {
  address: Address;
  db: number;
  username: string | undefined;
  password: string | undefined;
  tls: TlsSettings | undefined;
  connectTimeout: number;
  replyTimeout: number | undefined;
  keepAlive: boolean;
  healthCheckInterval: number;
  clientName: string | undefined;
  protocol: 2 | 3;
  sentinel: SentinelSettings | undefined;
  cluster: readonly { host: string; port: number }[] | undefined;
}

/** How to speak TLS. File names are read on each connect, so that certificates can be renewed. */
export interface TlsSettings {
  caFile: string | undefined;
  ca: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
  passphrase: string | undefined;
  verify: boolean;
  checkHostname: boolean;
}

/** How to ask the sentinels. */
export interface SentinelSettings {
  addresses: readonly { host: string; port: number }[];
  serviceName: string;
  username: string | undefined;
  password: string | undefined;
}

type Check = (value: unknown) => boolean;
const isString: Check = (value) => typeof value === "string";
const isText: Check = (value) => typeof value === "string" && value !== "";
const isBoolean: Check = (value) => typeof value === "boolean";
const isSeconds: Check = (value) =>
  typeof value === "number" && value >= 0 && Number.isFinite(value);
const isPort: Check = (value) =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) < 65536;
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

/**
 * Checks {@link RedisArgs} and fills in the defaults.
 *
 * @param args What the application passed.
 * @returns Every setting.
 * @throws {TypeError} An argument is unknown (the message names the nearest
 * known one), has a wrong type, or contradicts another. No value of an argument
 * is ever shown.
 */
export function parseRedisArgs(args: RedisArgs = {}): Settings {
  checkRedisArgs(args);
  const all = expandUrl(args);
  if (all.sentinels !== undefined && all.cluster !== undefined) {
    throw new TypeError(
      "Cannot connect to Redis: `sentinels` and `cluster` exclude each other; a cluster elects its own masters.",
    );
  }
  if ((all.sentinels === undefined) !== (all.serviceName === undefined)) {
    throw new TypeError(
      "Cannot connect to Redis: `sentinels` and `serviceName` belong together; set both or neither.",
    );
  }
  if (all.cluster !== undefined && (all.db ?? 0) !== 0) {
    throw new TypeError(
      "Cannot connect to Redis: a cluster only has database 0; leave out `db`.",
    );
  }
  const healthCheckInterval = all.health_check_interval ?? 10;
  return {
    address: all.unix_socket_path
      ? { path: all.unix_socket_path }
      : { host: all.host ?? "127.0.0.1", port: all.port ?? 6379 },
    db: all.db ?? 0,
    username: all.username || undefined,
    password: all.password || undefined,
    tls: all.ssl ? tlsSettings(all) : undefined,
    connectTimeout: all.socket_connect_timeout || 5,
    replyTimeout: all.socket_timeout ||
      (healthCheckInterval > 0 ? healthCheckInterval / 2 : undefined),
    keepAlive: all.socket_keepalive ?? true,
    healthCheckInterval,
    clientName: all.client_name ?? undefined,
    protocol: all.protocol ?? 3,
    sentinel: all.sentinels === undefined ? undefined : {
      addresses: all.sentinels.map((text) => parseAddress(text, 26379)),
      serviceName: all.serviceName!,
      username: all.sentinelUsername || undefined,
      password: all.sentinelPassword || undefined,
    },
    cluster: all.cluster?.map((text) => parseAddress(text, 6379)),
  };
}

/** Replaces `url` by the arguments that it stands for. */
export function expandUrl(args: RedisArgs): RedisArgs {
  const { url, ...rest } = args;
  return url === undefined ? rest : { ...rest, ...parseUrl(url) };
}

function tlsSettings(args: RedisArgs): TlsSettings {
  return {
    caFile: args.ssl_ca_certs ?? undefined,
    ca: args.ssl_ca_data ?? undefined,
    certFile: args.ssl_certfile ?? undefined,
    keyFile: args.ssl_keyfile ?? undefined,
    passphrase: args.ssl_password ?? undefined,
    verify: args.ssl_cert_reqs !== "none",
    checkHostname: args.ssl_check_hostname ?? true,
  };
}

/** Checks each argument for itself, as {@linkcode parseRedisArgs} does. */
export function checkRedisArgs(args: RedisArgs): void {
  for (const [name, value] of Object.entries(args)) {
    if (!Object.hasOwn(ARGUMENTS, name)) {
      throw new TypeError(
        `Cannot connect to Redis: there is no argument \`${name}\`; the nearest one is \`${
          nearest(name, Object.keys(ARGUMENTS))
        }\`.`,
      );
    }
    const [isValid, expected] = ARGUMENTS[name as keyof RedisArgs];
    if (value !== undefined && value !== null && !isValid(value)) {
      throw new TypeError(
        `Cannot connect to Redis: \`${name}\` has to be ${expected}.`,
      );
    }
  }
}

const URL_PATTERN =
  /^(redis|rediss|unix):\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?$/;
const URL_HELP =
  "Cannot connect to Redis: `url` has to be redis://[user:password@]host[:port][/db], " +
  "rediss://… for TLS, or unix://[user:password@]/path[?db=0]; other signs in a password are encoded, as %40 for @.";

/** Reads a URL by hand, because `URL` refuses a user without a host (`unix://`). */
function parseUrl(url: string): RedisArgs {
  const match = URL_PATTERN.exec(url);
  const [, scheme, user, password, authority = "", path = "", query] = match ??
    [];
  // Behind a `?` that should be encoded is the rest of a password.
  if (match === null || query?.includes("@")) throw new TypeError(URL_HELP);
  const found: RedisArgs = {};
  try {
    if (user) found.username = decodeURIComponent(user);
    if (password) found.password = decodeURIComponent(password);
    if (scheme === "unix") {
      found.unix_socket_path = decodeURIComponent(authority + path);
    } else {
      Object.assign(found, parseAddress(authority || "127.0.0.1", 6379));
      if (scheme === "rediss") found.ssl = true;
      if (path.length > 1) found.db = Number(path.slice(1));
    }
  } catch {
    throw new TypeError(URL_HELP);
  }
  for (const [name, value] of new URLSearchParams(query)) {
    Object.assign(found, { [name]: fromQuery(value) });
  }
  checkRedisArgs(found);
  return found;
}

function fromQuery(value: string): string | number | boolean {
  if (value === "true" || value === "True") return true;
  if (value === "false" || value === "False") return false;
  return /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

/** Reads `host`, `host:port`, `[v6]` or `[v6]:port`. */
function parseAddress(
  text: string,
  defaultPort: number,
): { host: string; port: number } {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]]+))(?::(\d+))?$/i.exec(text);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (match === null || !isPort(port)) {
    throw new TypeError(
      'Cannot connect to Redis: an address has to be "host:port", or "[address]:port" for IPv6.',
    );
  }
  return { host: (match[1] ?? match[2])!, port };
}

/** Writes an address for people. */
export function formatAddress(address: Address): string {
  if ("path" in address) return address.path;
  const { host, port } = address;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
