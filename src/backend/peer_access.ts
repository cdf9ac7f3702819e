import {
  checkValue,
  type Kind,
  problemIn,
  type Row,
  row,
  type Rows,
} from "../options.ts";
import { OBJECT, oneOf } from "../kinds.ts";
import { type RedisArgs, RedisError } from "../redis/mod.ts";
import { parseRedisArgs } from "../redis/settings.ts";
import { expandUrl } from "../redis/redis_args.ts";
import { isSameDevice } from "./identity.ts";
import { isLinkLocal } from "../zeroconf/interfaces.ts";
import type { ServiceInfo } from "../zeroconf/mod.ts";
import { propertyOf } from "../zeroconf/txt.ts";

/** Tells {@linkcode peerRedisArgs} what is known of a peer beforehand. */
export interface PeerOptions {
  /**
   * Who we are on its Redis. With a `url`, `host` or the like it also says where
   * that is, and what the peer advertises of it does not count.
   */
  redisArgs?: RedisArgs;
  /**
   * `"unproved"` lets messages, and the user and password of `redisArgs`, go to
   * whoever advertises itself under the peer's device id, in clear where it says
   * so.
   */
  trust?: "unproved";
  /**
   * The fingerprint of the peer's key, as it advertises it: `SHA256:...`. Default:
   * the one that is remembered of it, see {@linkcode BackendOptions.identity}.
   */
  key?: string;
  /** {@linkcode PeerOptions.redisArgs}. */
  redis_args?: RedisArgs;
}

/** The fingerprint of a key. */
const FINGERPRINT: Kind = {
  expected: "the fingerprint of a key, SHA256: and 43 letters and digits",
  accepts: (value) =>
    typeof value === "string" && /^SHA256:[A-Za-z\d+/]{43}$/.test(value),
};

const PEER_OPTIONS: Rows<Omit<PeerOptions, "redis_args">> = {
  redisArgs: row(OBJECT, { aliases: ["redis_args"] }),
  trust: oneOf("unproved"),
  key: FINGERPRINT,
};

/** The peers that are known beforehand, by their device ids. */
export const PEERS: Kind = {
  expected:
    'an object such as { "kitchen": { redisArgs: { password } } }, by device id',
  accepts: (value) =>
    OBJECT.accepts(value) && peersProblem(value) === undefined,
  explain: (value) => OBJECT.accepts(value) ? peersProblem(value) : undefined,
};

function peersProblem(peers: unknown): string | undefined {
  for (const [deviceId, peer] of Object.entries(peers as object)) {
    if (!OBJECT.accepts(peer)) {
      return `"${deviceId}" is no object such as { redisArgs: { password } }`;
    }
    const problem = problemIn(peer, PEER_OPTIONS);
    if (problem !== undefined) return `"${deviceId}": ${problem.text}`;
  }
  return undefined;
}

/** Finds what the option `peers` says of a device. */
export function peerOptions(
  peers: Readonly<Record<string, PeerOptions>> | undefined,
  deviceId: string,
): PeerOptions {
  const [, options = {}] =
    Object.entries(peers ?? {}).find(([id]) => isSameDevice(id, deviceId)) ??
      [];
  return options;
}

/** The subject of an argument: how to speak to any server, who we are, or which server it is. */
type Subject = "speech" | "identity" | "place";

/** The arguments that are taken from one server to another, or kept from it. */
const SUBJECTS: Readonly<Partial<Record<keyof RedisArgs, Subject>>> = {
  ssl: "speech",
  ssl_ca_certs: "speech",
  ssl_ca_path: "speech",
  ssl_ca_data: "speech",
  ssl_cert_reqs: "speech",
  ssl_check_hostname: "speech",
  socket_timeout: "speech",
  socket_connect_timeout: "speech",
  socket_keepalive: "speech",
  health_check_interval: "speech",
  client_name: "speech",
  protocol: "speech",
  username: "identity",
  password: "identity",
  ssl_certfile: "identity",
  ssl_keyfile: "identity",
  ssl_password: "identity",
  url: "place",
  host: "place",
  port: "place",
  unix_socket_path: "place",
  sentinels: "place",
  cluster: "place",
};

const REQUIRED: Row = { ...OBJECT, isRequired: true };

/**
 * Says how to reach the Redis of a peer. Whoever likes can advertise a service
 * under any name, so what the peer says of itself is no reason to trust it:
 *
 * - our own user and password go to nobody but a server with a certificate of a
 *   CA that is named in `ssl_ca_certs` or `ssl_ca_data`;
 * - those that were given for the peer go where it was said that it is, or to
 *   such a server, or where `trust` allows it, to whoever has the name;
 * - TLS is spoken where either side asks for it;
 * - a server elsewhere than at the peer's own addresses is not taken.
 *
 * @param peer The peer, as it was found.
 * @param own How we reach our own Redis.
 * @param known What is known of the peer beforehand.
 * @returns The arguments, with the first of the addresses where there are several.
 * @throws {RedisError} The peer does not say where its Redis is, says that it is
 * elsewhere, or may not be shown the credentials that were given for it.
 *
 * @example
 * ```ts
 * import { discover, peerRedisArgs } from "@platypush/redis";
 *
 * const own = { url: "redis://:secret@127.0.0.1:6379" };
 * for (const peer of await discover({ timeout: 0.2, interfaces: ["127.0.0.1"] })) {
 *   if (peer.redisUrl === undefined) continue;
 *   const args = peerRedisArgs(peer, own);
 *   console.assert(args.password === undefined);
 * }
 * ```
 */
export function peerRedisArgs(
  peer: ServiceInfo,
  own: RedisArgs,
  known: PeerOptions = {},
): RedisArgs {
  checkValue("reach the Redis of a peer", "peer", peer, REQUIRED);
  checkValue("reach the Redis of a peer", "own", own, REQUIRED);
  checkValue("reach the Redis of a peer", "known", known, OBJECT);
  return peerAccess(peer, own, known).args;
}

/** Says how to reach the Redis of a peer, and whether it is known to be the peer's. */
export interface PeerAccess {
  readonly args: RedisArgs;
  /** True if we were told where it is: what the peer advertises does not count then. */
  readonly isTold: boolean;
  /** True if we were told where it is, or its certificate will prove it. */
  readonly isProved: boolean;
}

/** Does the work of {@linkcode peerRedisArgs}. */
export function peerAccess(
  peer: ServiceInfo,
  own: RedisArgs,
  known: PeerOptions = {},
): PeerAccess {
  const given = known.redisArgs ?? known.redis_args ?? {};
  parseRedisArgs(own);
  parseRedisArgs(given);
  const [ours, theirs] = [expandUrl(own), expandUrl(given)];
  const common = pick(ours, "speech");
  if (Object.keys(pick(theirs, "place")).length > 0) {
    return { args: { ...common, ...theirs }, isTold: true, isProved: true };
  }
  const { host, port, db, tls } = advertisedPlace(peer);
  const args: RedisArgs = { ...common, ...theirs, host, port, db };
  args.ssl = tls || ours.ssl === true || theirs.ssl === true;
  const isProved = args.ssl && args.ssl_cert_reqs !== "none" &&
    Boolean(args.ssl_ca_certs || args.ssl_ca_path || args.ssl_ca_data);
  const isGiven = Object.keys(pick(theirs, "identity")).length > 0;
  if (!isProved && isGiven && known.trust !== "unproved") {
    throw new RedisError({
      attempted: `send to "${peer.deviceId}"`,
      reason:
        `the credentials for it would go to whoever advertises itself as "${peer.deviceId}"`,
      advice:
        'add to its `redisArgs` where its Redis is (`url`), have it speak TLS with a CA that you name (`ssl_ca_certs`), or allow it with `trust: "unproved"`',
    }, "auth");
  }
  if (isProved && !isGiven) Object.assign(args, pick(ours, "identity"));
  return { args, isTold: false, isProved };
}

function advertisedPlace(
  { deviceId, redisUrl, port: advertised, properties, addresses }: ServiceInfo,
): { host: string; port: number; db: number; tls: boolean } {
  const attempted = `send to "${deviceId}"`;
  if (redisUrl === undefined) {
    if (
      advertised > 0 && addresses.length > 0 && addresses.every(isLinkLocal)
    ) {
      throw new RedisError({
        attempted,
        reason: `its only address is ${
          addresses[0]
        }, which is valid on one link only`,
        advice:
          "give its host another address, or name one in the `redisArgs` for this peer, by `host` or `url`",
      }, "connection");
    }
    throw new RedisError({
      attempted,
      reason:
        "it does not say where the network reaches its Redis, perhaps because that listens on a Unix socket only",
    }, "connection");
  }
  const { host, port, db, ssl } = expandUrl({ url: redisUrl });
  if (propertyOf(properties, "host") && !addresses.includes(host!)) {
    throw new RedisError({
      attempted,
      reason:
        `it says that its Redis is at ${host}, which is not its own address`,
      advice:
        "if that is right, say so in the `redisArgs` for this peer, by `host` or `url`",
    }, "connection");
  }
  return { host: host!, port: port ?? 6379, db: db ?? 0, tls: ssl === true };
}

/** Picks the arguments about a subject that are given. */
function pick(args: RedisArgs, subject: Subject): RedisArgs {
  return Object.fromEntries(
    Object.entries(args).filter(([name, value]) =>
      SUBJECTS[name as keyof RedisArgs] === subject &&
      value !== undefined && value !== null
    ),
  );
}
