import { LONGEST_TIMER } from "../waiting.ts";
import { type Address, parseAddress } from "./address.ts";
import { expandUrl } from "./expand_url.ts";
import { checkRedisArgs, type RedisArgs } from "./redis_args.ts";

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
      "Cannot connect to Redis: `sentinels` and `cluster` exclude each other; a cluster elects its own masters",
    );
  }
  if ((all.sentinels === undefined) !== (all.serviceName === undefined)) {
    throw new TypeError(
      "Cannot connect to Redis: `sentinels` and `serviceName` belong together; set both or neither",
    );
  }
  if (all.cluster !== undefined && (all.db ?? 0) !== 0) {
    throw new TypeError(
      "Cannot connect to Redis: a cluster only has database 0; leave out `db`",
    );
  }
  const healthCheckInterval = inTimer(all.health_check_interval ?? 10);
  return {
    address: all.unix_socket_path
      ? { path: all.unix_socket_path }
      : { host: all.host ?? "127.0.0.1", port: all.port ?? 6379 },
    db: all.db ?? 0,
    username: all.username || undefined,
    password: all.password || undefined,
    tls: all.ssl ? tlsSettings(all) : undefined,
    connectTimeout: inTimer(all.socket_connect_timeout || 5),
    replyTimeout: all.socket_timeout
      ? inTimer(all.socket_timeout)
      : healthCheckInterval > 0
      ? healthCheckInterval / 2
      : undefined,
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

/** At most so many seconds as a timer takes, 24 days. */
function inTimer(seconds: number): number {
  return Math.min(seconds, LONGEST_TIMER / 1000);
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
