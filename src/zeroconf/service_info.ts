import { isLinkLocal } from "./interfaces.ts";
import { decodeTxt, propertyOf } from "./txt.ts";

/**
 * A service on the network, in the shape of Platypush's `service_info`, plus
 * what a peer needs to reach its queue. {@linkcode discover} finds some, and
 * {@linkcode browse} follows them.
 */
export interface ServiceInfo {
  /** The service type, such as `_platypush-redis._tcp.local.`. */
  type: string;
  /** The full name: the instance and the type. */
  name: string;
  /** The port that the service listens on; 0 where the network does not reach it. */
  port: number;
  /**
   * The addresses of the host, the most promising first: IPv4 before IPv6, and
   * what is on the network on which it was heard before what is not.
   */
  addresses: string[];
  /** The host's name, such as `livingroom.local.`. */
  server: string;
  /**
   * The time that the records of the host stay valid, in seconds (RFC 6762,
   * section 10).
   */
  host_ttl: number;
  /** The time that the other records stay valid, in seconds. */
  other_ttl: number;
  /** The priority in the SRV record; lower comes first. */
  priority: number;
  /** The weight in the SRV record among services of one priority. */
  weight: number;
  /**
   * The TXT record, with its keys as they were written; values that are not UTF-8
   * are decoded with replacement characters, and a key without `=` has `null`.
   */
  properties: Record<string, string | null>;
  /**
   * The values of the TXT record as they came, of a service that was found. It is
   * not enumerable, since it is no JSON, so that a copy does not have it.
   */
  propertyBytes?: Record<string, Uint8Array | null>;
  /** The Platypush device: the property `device_id`, or else the instance name. */
  deviceId: string;
  /** The Redis list of the device, when the service tells it. */
  queue: string | undefined;
  /**
   * The address of the Redis server: at the property `host`, or else the best
   * of the addresses; by TLS (`rediss://`) where the property `ssl` is `true`,
   * and with the database of the property `db`. Missing where the network does
   * not reach the server, or what is advertised makes no address.
   */
  redisUrl: string | undefined;
}

/** Tells what has become of a service, as {@linkcode browse} gives it. */
export interface ServiceChange {
  /** `added` once everything is known about it, `updated` when something differs. */
  kind: "added" | "updated" | "removed";
  /** The service as it is now, or as it was last when it is gone. */
  service: ServiceInfo;
}

/** The parts from which {@linkcode makeServiceInfo} completes a {@linkcode ServiceInfo}. */
type ServiceParts =
  & Pick<
    ServiceInfo,
    | "type"
    | "name"
    | "port"
    | "addresses"
    | "server"
    | "priority"
    | "weight"
  >
  & { txt: readonly Uint8Array[] };

/** Completes what the records say about a service with what follows from it. */
export function makeServiceInfo(parts: ServiceParts): ServiceInfo {
  const { txt, ...rest } = parts;
  const { name, type } = parts;
  const { properties, propertyBytes } = decodeTxt(txt);
  const info: ServiceInfo = {
    ...rest,
    properties,
    host_ttl: 120,
    other_ttl: 4500,
    deviceId: propertyOf(properties, "device_id") ||
      name.slice(0, -type.length - 1),
    queue: propertyOf(properties, "queue") || undefined,
    redisUrl: redisUrl(parts, properties),
  };
  return Object.defineProperty(info, "propertyBytes", { value: propertyBytes });
}

/**
 * Whoever likes may advertise a service, so nothing goes into the URL that could
 * be read as more than a host and a database.
 */
function redisUrl(
  { addresses, port }: ServiceParts,
  properties: ServiceInfo["properties"],
): string | undefined {
  const host = propertyOf(properties, "host") || bestAddress(addresses);
  const db = propertyOf(properties, "db") ?? "0";
  if (port === 0 || host === undefined) return undefined;
  if (!/^\[?[\w.:%-]+\]?$/.test(host) || !/^\d+$/.test(db)) return undefined;
  const scheme = propertyOf(properties, "ssl") === "true" ? "rediss" : "redis";
  const path = db === "0" ? "" : `/${db}`;
  return `${scheme}://${bracketed(host)}:${port}${path}`;
}

/** IPv4 before IPv6, and link-local IPv6 last: it needs a zone to be of use. */
export function compareAddresses(a: string, b: string): number {
  return rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0);
}

function rank(address: string): number {
  if (!address.includes(":")) return 0;
  return isLinkLocal(address) ? 2 : 1;
}

/** The first of a kind; never a link-local one of IPv6: a URL has no place for the zone that it needs. */
function bestAddress(addresses: readonly string[]): string | undefined {
  return addresses.filter((address) => !isLinkLocal(address))
    .sort((a, b) => rank(a) - rank(b))[0];
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
