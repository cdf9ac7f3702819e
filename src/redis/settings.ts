import { LONGEST_TIMER } from "../waiting.ts";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import {
  checkRedisArgs,
  type Credentials,
  expandUrl,
  REDIS_ARGUMENTS,
  type RedisArgs,
} from "./redis_args.ts";

/** {@link RedisArgs}, checked, with every default filled in. */
export interface Settings {
  address: Address;
  db: number;
  username: string | undefined;
  password: string | undefined;
  passwordFile: string | undefined;
  provide: (() => Credentials | Promise<Credentials>) | undefined;
  tls: TlsSettings | undefined;
  connectTimeout: number;
  replyTimeout: number | undefined;
  keepAlive: boolean;
  healthCheckInterval: number;
  clientName: string | undefined;
  protocol: 2 | 3;
  sentinel: SentinelSettings | undefined;
  cluster: readonly { host: string; port: number }[] | undefined;
  /** The addresses to use, by those that are named. */
  addressMap: ReadonlyMap<string, Address>;
}

/**
 * Says how to speak TLS. File names are read on each connect, so that
 * certificates can be renewed.
 */
export interface TlsSettings {
  caFile: string | undefined;
  caPath: string | undefined;
  ca: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
  passphrase: string | undefined;
  verify: boolean;
  checkHostname: boolean;
}

/** The sentinels, the service that they are asked for, and who asks. */
export interface SentinelSettings {
  addresses: readonly { host: string; port: number }[];
  serviceName: string;
  username: string | undefined;
  password: string | undefined;
  tls: TlsSettings | undefined;
}

/**
 * Checks {@link RedisArgs} and fills in the defaults.
 *
 * @returns Every setting.
 * @throws {TypeError} An argument is unknown (the message names the nearest
 * known one), has a wrong type, or contradicts another. No value of an argument
 * is ever shown.
 */
export function parseRedisArgs(args: RedisArgs = {}): Settings {
  checkRedisArgs(args);
  const all = expandUrl(args);
  const contradiction = contradictionIn(all);
  if (contradiction !== undefined) {
    throw new TypeError(`Cannot connect to Redis: ${contradiction.text}`);
  }
  const {
    host,
    port,
    db,
    protocol,
    socket_connect_timeout,
    socket_keepalive,
    health_check_interval,
  } = REDIS_ARGUMENTS;
  const healthCheckInterval = inTimer(
    all.health_check_interval ?? health_check_interval.default,
  );
  return {
    address: all.unix_socket_path
      ? { path: all.unix_socket_path }
      : { host: all.host ?? host.default, port: all.port ?? port.default },
    db: all.db ?? db.default,
    username: all.username || undefined,
    password: all.password || undefined,
    passwordFile: all.password_file ?? undefined,
    provide: all.credential_provider ?? undefined,
    tls: all.ssl ? tlsSettings(all) : undefined,
    connectTimeout: inTimer(
      all.socket_connect_timeout || socket_connect_timeout.default,
    ),
    replyTimeout: all.socket_timeout
      ? inTimer(all.socket_timeout)
      : healthCheckInterval > 0
      ? healthCheckInterval / 2
      : undefined,
    keepAlive: all.socket_keepalive ?? socket_keepalive.default,
    healthCheckInterval,
    clientName: all.client_name ?? undefined,
    protocol: all.protocol ?? protocol.default,
    sentinel: sentinelSettings(all),
    addressMap: new Map(
      all.addressMap?.map((text) => {
        const [from, to] = text.split("=");
        const address = parseAddress(to!, 6379);
        return [formatAddress(parseAddress(from!, 6379)), address];
      }),
    ),
    cluster: all.cluster?.map((text) => parseAddress(text, 6379)),
  };
}

/**
 * Finds arguments that do not go together, with the one to blame.
 *
 * @param args Arguments without a URL, each right by itself.
 */
export function contradictionIn(
  args: RedisArgs,
): { name: keyof RedisArgs; text: string } | undefined {
  const { sentinels, serviceName, cluster, db } = args;
  if (sentinels && cluster) {
    return {
      name: "sentinels",
      text:
        "`sentinels` and `cluster` exclude each other; a cluster elects its own masters",
    };
  }
  if (!sentinels !== !serviceName) {
    return {
      name: sentinels ? "sentinels" : "serviceName",
      text:
        "`sentinels` and `serviceName` belong together; set both or neither",
    };
  }
  const given = ["password", "password_file", "credential_provider"] as const;
  const [first, second] = given.filter((name) => args[name]);
  if (second !== undefined) {
    return {
      name: second,
      text:
        `\`${first}\` and \`${second}\` exclude each other; set one of them`,
    };
  }
  if (args.ssl_keyfile && !args.ssl_certfile) {
    return {
      name: "ssl_keyfile",
      text:
        "`ssl_keyfile` is the key of `ssl_certfile`, which is missing; set both",
    };
  }
  if (cluster && (db ?? 0) !== 0) {
    return {
      name: "db",
      text: "a cluster only has database 0; leave out `db`",
    };
  }
  return undefined;
}

/** At most so many seconds as a timer takes, 24 days. */
function inTimer(seconds: number): number {
  return Math.min(seconds, LONGEST_TIMER / 1000);
}

function sentinelSettings(args: RedisArgs): SentinelSettings | undefined {
  if (!args.sentinels) return undefined;
  return {
    addresses: args.sentinels.map((text) => parseAddress(text, 26379)),
    serviceName: args.serviceName!,
    username: args.sentinelUsername || undefined,
    password: args.sentinelPassword || undefined,
    tls: args.sentinelSsl ?? args.ssl ? tlsSettings(args) : undefined,
  };
}

function tlsSettings(args: RedisArgs): TlsSettings {
  return {
    caFile: args.ssl_ca_certs ?? undefined,
    caPath: args.ssl_ca_path ?? undefined,
    ca: args.ssl_ca_data ?? undefined,
    certFile: args.ssl_certfile ?? undefined,
    keyFile: args.ssl_keyfile ?? undefined,
    passphrase: args.ssl_password ?? undefined,
    verify: args.ssl_cert_reqs !== "none",
    checkHostname: args.ssl_check_hostname ??
      REDIS_ARGUMENTS.ssl_check_hostname.default,
  };
}
