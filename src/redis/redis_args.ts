import { FLAG, FUNCTION, INDEX, oneOf, TEXT } from "../kinds.ts";
import {
  checkOptions,
  hidden,
  type Kind,
  problemIn,
  type Row,
  type Rows,
} from "../options.ts";
import { isAddress, isPort, parseAddress } from "./address.ts";

/**
 * The name and password of a user, as `credential_provider` gives them.
 *
 * @example
 * ```ts
 * import type { Credentials, RedisArgs } from "@platypush/redis";
 *
 * async function fetchToken(): Promise<Credentials> {
 *   const password = await Promise.resolve("valid for an hour");
 *   return { username: "listener", password };
 * }
 * const redisArgs: RedisArgs = { credential_provider: fetchToken };
 * ```
 */
export interface Credentials {
  /** The ACL user. Default: the server's `default` user. */
  readonly username?: string | undefined;
  /** The user's password. Default: none. */
  readonly password?: string | undefined;
}

/**
 * Says how to reach Redis: the constructor arguments of redis-py under their own
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
  url?: string | undefined;
  /** The server's name or address. Default: `127.0.0.1`. */
  host?: string | undefined;
  /** The server's TCP port. Default: 6379. */
  port?: number | undefined;
  /** The number of the database. Default: 0. */
  db?: number | undefined;
  /** The ACL user. Default: the server's `default` user. */
  username?: string | null | undefined;
  /** The user's password. */
  password?: string | null | undefined;
  /**
   * The file with the user's password, in place of `password`. It is read at
   * each connection, so the password can be changed meanwhile.
   */
  password_file?: string | null | undefined;
  /**
   * Gives the user's name and password, in place of the other arguments. It is
   * called at each connection.
   */
  credential_provider?:
    | (() => Credentials | Promise<Credentials>)
    | null
    | undefined;
  /** The path of a Unix socket, in place of `host` and `port`. */
  unix_socket_path?: string | null | undefined;
  /** True to speak TLS. Default: `false`. */
  ssl?: boolean | undefined;
  /** The file with the certificates of trusted authorities (PEM). */
  ssl_ca_certs?: string | null | undefined;
  /** The folder with files of certificates of trusted authorities (PEM). */
  ssl_ca_path?: string | null | undefined;
  /** The certificates of trusted authorities themselves (PEM). */
  ssl_ca_data?: string | null | undefined;
  /** The file with this client's certificate (PEM). */
  ssl_certfile?: string | null | undefined;
  /** The file with the key of this client's certificate (PEM). */
  ssl_keyfile?: string | null | undefined;
  /** The password of the key. */
  ssl_password?: string | null | undefined;
  /** Says whether the server's certificate is checked. Default: `required`. */
  ssl_cert_reqs?: "none" | "optional" | "required" | undefined;
  /** True if the certificate must name the host. Default: `true`. */
  ssl_check_hostname?: boolean | undefined;
  /**
   * The time to wait for an answer, in seconds. Default: half the health
   * check's interval.
   */
  socket_timeout?: number | null | undefined;
  /** The time to wait for a connection, in seconds. Default: 5. */
  socket_connect_timeout?: number | null | undefined;
  /** True if the operating system probes an idle connection. Default: `true`. */
  socket_keepalive?: boolean | undefined;
  /**
   * Within how many seconds a dead connection is noticed; the server is pinged
   * when it has nothing to say for a while. 0 switches that off. Default: 10.
   */
  health_check_interval?: number | undefined;
  /** The name of the connection in `CLIENT LIST`. */
  client_name?: string | null | undefined;
  /** The version of the Redis protocol. Default: 3. */
  protocol?: 2 | 3 | undefined;
  /** Sentinels that know the master, as `host:port`. Default port: 26379. */
  sentinels?: readonly string[] | undefined;
  /** The name under which the sentinels know the master. */
  serviceName?: string | undefined;
  /** The ACL user on the sentinels. */
  sentinelUsername?: string | undefined;
  /** The password on the sentinels. */
  sentinelPassword?: string | undefined;
  /** True if TLS is spoken to the sentinels. Default: as to the master. */
  sentinelSsl?: boolean | undefined;
  /** Some nodes of a cluster, as `host:port`; the others are found through them. */
  cluster?: readonly string[] | undefined;
  /**
   * Addresses to use in place of those that sentinels or nodes of a cluster
   * name, as `172.17.0.2:6379=nas.local:7001`: behind Docker or NAT they only
   * know their own.
   */
  addressMap?: readonly string[] | undefined;
  /** Taken as by redis-py, without effect. */
  socket_keepalive_options?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  connection_pool?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  encoding?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  encoding_errors?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  charset?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  errors?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  decode_responses?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  retry?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  retry_on_timeout?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  retry_on_error?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  max_connections?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  single_connection_client?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  auto_close_connection_pool?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  redis_connect_func?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  lib_name?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  lib_version?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  cache?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  cache_config?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  event_dispatcher?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  maint_notifications_config?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_ciphers?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_min_version?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_include_verify_flags?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_exclude_verify_flags?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_validate_ocsp?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_validate_ocsp_stapled?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_ocsp_context?: unknown | undefined;
  /** Taken as by redis-py, without effect. */
  ssl_ocsp_expected_cert?: unknown | undefined;
}

const FILLED = (expected: string): Kind => ({
  expected,
  accepts: (value) => typeof value === "string" && value !== "",
});
/** Says what is wrong with an address that has a zone: Deno's node:net refuses it. */
function explainZone(value: unknown): string | undefined {
  const hasZone = [value].flat().some((text) => /:.*%/.test(String(text)));
  return hasZone
    ? "Deno cannot connect to an address with a zone, such as fe80::1%eth0; give the server a name or another address"
    : undefined;
}
const HOST: Kind = {
  ...FILLED("a name or an address"),
  accepts: (value) =>
    typeof value === "string" && value !== "" && !value.includes("%"),
  explain: explainZone,
};
const SECONDS: Kind = {
  expected: "a number of seconds from 0 on",
  accepts: (value) => Number.isFinite(value) && Number(value) >= 0,
};
const PORT: Kind = { expected: "a number from 1 to 65535", accepts: isPort };
const PEM_FILE = FILLED("the path of a PEM file");
export const PEM_CERTIFICATE: RegExp = /^-----BEGIN CERTIFICATE-----/m;
const CERTIFICATES: Kind = {
  expected: "certificates in PEM format",
  accepts: (value) => PEM_CERTIFICATE.test(String(value)),
};
const ADDRESSES: Kind = {
  expected: 'a list of "host:port", with "[address]:port" for IPv6',
  accepts: (value) =>
    Array.isArray(value) && value.length > 0 && value.every(isAddress),
  explain: explainZone,
};
const ADDRESS_MAP: Kind = {
  expected: 'a list of "host:port=host:port"',
  accepts: (value) =>
    Array.isArray(value) &&
    value.every((text) =>
      typeof text === "string" && text.split("=").length === 2 &&
      text.split("=").every(isAddress)
    ),
};
const CLIENT_NAME: Kind = {
  expected: "a name without spaces",
  accepts: (value) => typeof value === "string" && /^[!-~]+$/.test(value),
};
const PROTOCOL: Kind = {
  expected: "2 or 3",
  accepts: (value) => value === 2 || value === 3,
};
const URL_KIND: Kind = {
  expected:
    "redis://[user:password@]host[:port][/db], rediss://... for TLS, or unix://[user:password@]/path[?db=0]; " +
    "other signs in a password are encoded, as %40 for @",
  accepts: (value) =>
    typeof value === "string" && typeof readUrl(value) === "object",
  explain: (value) => {
    const found = typeof value === "string" ? readUrl(value) : undefined;
    return typeof found === "string" ? found : undefined;
  },
};

/** Makes the row of an argument: any may be null, and no value is ever shown. */
function argument<Facts extends Omit<Row, keyof Kind>>(
  kind: Kind,
  facts: Facts,
): Row & Facts {
  return { ...hidden(kind), isNullable: true, ...facts };
}

/** An argument of redis-py that has no meaning here. */
const IGNORED = argument({ expected: "anything", accepts: () => true }, {
  isIgnored: true,
});

/** Every argument. A file calls them as they are called here. */
export const REDIS_ARGUMENTS: Rows<RedisArgs, FilledArgument> = {
  url: argument(URL_KIND, {
    description: "The server in one piece; what it says wins over the others",
    defaultText: "127.0.0.1:6379",
    variable: "REDIS_URL",
    flag: {
      name: "--url",
      metavar: "URL",
      example: "redis://127.0.0.1:6379",
      help: "The server: redis://, rediss:// or unix://",
    },
  }),
  host: argument(HOST, {
    description: "The server's name or address",
    default: "127.0.0.1",
    variable: "PLATYPUSH_REDIS_HOST",
  }),
  port: argument(PORT, {
    description: "The server's TCP port",
    default: 6379,
    defaultText: "6379",
    variable: "PLATYPUSH_REDIS_PORT",
  }),
  db: argument(INDEX, { description: "The database's number", default: 0 }),
  username: argument(TEXT, { description: "The ACL user" }),
  password: argument(TEXT, {
    description: "The user's password",
    isSecret: true,
  }),
  password_file: argument(FILLED("the path of a file"), {
    description: "The file with the password, read at each connection",
  }),
  credential_provider: argument(FUNCTION, {
    description: "Gives user and password, at each connection",
    isCodeOnly: true,
  }),
  unix_socket_path: argument(FILLED("a path"), {
    description: "A Unix socket, in place of `host` and `port`",
  }),
  ssl: argument(FLAG, {
    description: "Speak TLS",
    default: false,
    isProtection: true,
  }),
  ssl_ca_certs: argument(PEM_FILE, {
    description: "The file with the trusted authorities",
  }),
  ssl_ca_path: argument(FILLED("the path of a folder"), {
    description: "The folder with files of trusted authorities",
  }),
  ssl_ca_data: argument(CERTIFICATES, {
    description: "The trusted authorities themselves",
  }),
  ssl_certfile: argument(PEM_FILE, {
    description: "The file with the client's certificate",
  }),
  ssl_keyfile: argument(PEM_FILE, {
    description: "The file with the certificate's key",
  }),
  ssl_password: argument(TEXT, {
    description: "The password of the key",
    isSecret: true,
  }),
  ssl_cert_reqs: argument(oneOf("none", "optional", "required"), {
    description: "How the server's certificate is checked",
    default: "required",
  }),
  ssl_check_hostname: argument(FLAG, {
    description: "The certificate has to name the host",
    default: true,
  }),
  socket_timeout: argument(SECONDS, {
    description: "How long an answer may take",
    defaultText: "half of `health_check_interval`",
  }),
  socket_connect_timeout: argument(SECONDS, {
    description: "How long connecting may take",
    default: 5,
  }),
  socket_keepalive: argument(FLAG, {
    description: "The system probes an idle connection",
    default: true,
  }),
  health_check_interval: argument(SECONDS, {
    description: "Within what time a dead connection is noticed; 0 for never",
    default: 10,
  }),
  client_name: argument(CLIENT_NAME, {
    description: "The connection's name in `CLIENT LIST`",
  }),
  protocol: argument(PROTOCOL, {
    description: "The version of the Redis protocol",
    default: 3,
  }),
  sentinels: argument(ADDRESSES, {
    description: "Sentinels that know the master",
  }),
  serviceName: argument(FILLED("the name of a master"), {
    description: "The master's name, as the sentinels know it",
  }),
  sentinelUsername: argument(TEXT, {
    description: "The ACL user on the sentinels",
  }),
  sentinelPassword: argument(TEXT, {
    description: "The password on the sentinels",
    isSecret: true,
  }),
  sentinelSsl: argument(FLAG, {
    description: "Speak TLS to the sentinels",
    defaultText: "as `ssl`",
  }),
  cluster: argument(ADDRESSES, { description: "Some nodes of a cluster" }),
  addressMap: argument(ADDRESS_MAP, {
    description: "Addresses in place of those that servers name",
  }),
  socket_keepalive_options: IGNORED,
  connection_pool: IGNORED,
  encoding: IGNORED,
  encoding_errors: IGNORED,
  charset: IGNORED,
  errors: IGNORED,
  decode_responses: IGNORED,
  retry: IGNORED,
  retry_on_timeout: IGNORED,
  retry_on_error: IGNORED,
  max_connections: IGNORED,
  single_connection_client: IGNORED,
  auto_close_connection_pool: IGNORED,
  redis_connect_func: IGNORED,
  lib_name: IGNORED,
  lib_version: IGNORED,
  cache: IGNORED,
  cache_config: IGNORED,
  event_dispatcher: IGNORED,
  maint_notifications_config: IGNORED,
  ssl_ciphers: IGNORED,
  ssl_min_version: IGNORED,
  ssl_include_verify_flags: IGNORED,
  ssl_exclude_verify_flags: IGNORED,
  ssl_validate_ocsp: IGNORED,
  ssl_validate_ocsp_stapled: IGNORED,
  ssl_ocsp_context: IGNORED,
  ssl_ocsp_expected_cert: IGNORED,
};

/** Arguments that have the same default for everybody. */
type FilledArgument =
  | "host"
  | "port"
  | "db"
  | "ssl"
  | "ssl_cert_reqs"
  | "ssl_check_hostname"
  | "socket_connect_timeout"
  | "socket_keepalive"
  | "health_check_interval"
  | "protocol";

/** The arguments of which one says where the server is. */
const PLACES = [
  "url",
  "host",
  "unix_socket_path",
  "sentinels",
  "cluster",
] as const;

/**
 * Finds an argument for the server's place that is there and undefined, as a
 * variable that is not set, where nothing else says the place.
 */
export function unsetPlace(args: RedisArgs = {}): string | undefined {
  const isKnown = PLACES.some((name) =>
    (args[name] ?? undefined) !== undefined
  );
  return isKnown ? undefined : PLACES.find((name) => Object.hasOwn(args, name));
}

/** Lists the arguments that are given and have no effect. */
export function ignoredArguments(args: RedisArgs): string[] {
  return Object.entries<Row>(REDIS_ARGUMENTS)
    .filter(([name, { isIgnored }]) =>
      isIgnored && (args[name as keyof RedisArgs] ?? undefined) !== undefined
    ).map(([name]) => name);
}

/** Checks each argument for itself, as `parseRedisArgs` does. */
export function checkRedisArgs(args: RedisArgs): void {
  checkOptions("connect to Redis", args, REDIS_ARGUMENTS);
}

/** Replaces `url`, if it is right, by the arguments that it stands for. */
export function expandUrl(args: RedisArgs): RedisArgs {
  const { url, ...rest } = args;
  const found = url === undefined || url === null ? undefined : readUrl(url);
  return typeof found === "object" ? { ...rest, ...found } : rest;
}

/** Tells whether a text is a URL for `url`. */
export function isUrl(text: string): boolean {
  return typeof readUrl(text) === "object";
}

const URL_PATTERN =
  /^(redis|rediss|unix):\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?$/;

/**
 * Reads a URL by hand, because `URL` refuses a user without a host (`unix://`).
 *
 * @returns What it says, else what is wrong with one of its parameters, if that
 * is known.
 */
function readUrl(url: string): RedisArgs | string | undefined {
  const match = URL_PATTERN.exec(url);
  const [, scheme, user, password, authority = "", path = "", query] = match ??
    [];
  const host = /\[.*?\]/.exec(authority)?.[0];
  if (host?.includes("%")) return explainZone(host);
  // Before a further `@` is the rest of a password, which has to be encoded.
  const rest = scheme === "unix" ? authority : authority + path;
  if (match === null || `${rest}${query}`.includes("@")) return undefined;
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
    return undefined;
  }
  for (const [name, value] of new URLSearchParams(query)) {
    Object.assign(found, { [name]: fromQuery(name, value) });
  }
  return problemIn(found, REDIS_ARGUMENTS)?.text ?? found;
}

/** Reads a parameter as what its argument has to be: `0123` may be a password. */
function fromQuery(name: string, value: string): string | number | boolean {
  const kinds: Readonly<Record<string, Kind>> = REDIS_ARGUMENTS;
  if (Object.hasOwn(kinds, name) && kinds[name]!.accepts(value)) return value;
  if (value === "true" || value === "True") return true;
  if (value === "false" || value === "False") return false;
  return /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}
