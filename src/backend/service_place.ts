import { readHostName } from "../permission.ts";
import { formatAddress } from "../redis/address.ts";
import type { Settings } from "../redis/settings.ts";
import { allInterfaces } from "../zeroconf/interfaces.ts";

/** Says what a backend can do where it may not read what a service needs. */
export const WITHOUT_SERVICE = "do without `registerService()` (--advertise)";

/** Tells peers on the network where a Redis server is. */
interface ServicePlace {
  /** The port to advertise; 0 where the network does not reach the server. */
  readonly port: number;
  /** The rest of the TXT record. */
  readonly properties: Readonly<Record<string, string>>;
  /** The reason why peers may not reach it. */
  readonly warning?: string;
}

/**
 * Says what to advertise of a Redis server: the records themselves carry this
 * host's addresses, which are not the server's where that runs elsewhere.
 *
 * @param settings Where and how the backend reaches the server.
 * @returns The port and the properties to advertise, and a warning where peers
 * may not reach it.
 */
export function servicePlace(
  { address, db, tls }: Pick<Settings, "address" | "db" | "tls">,
): ServicePlace {
  if ("path" in address) {
    return {
      port: 0,
      properties: {},
      warning:
        "Redis is reached through a Unix socket: peers will see the service, with port 0, since only programs on this host reach its queue. If the server listens on a port too, pass it as `port`.",
    };
  }
  const { host, port } = address;
  const reached = {
    ...(tls && { ssl: "true" }),
    ...(db !== 0 && { db: String(db) }),
  };
  if (isLoopback(host)) {
    return {
      port,
      properties: reached,
      warning: `Redis is reached at ${
        formatAddress(address)
      }: if it listens there only, peers will see the service, but not reach its queue.`,
    };
  }
  return { port, properties: isOwn(host) ? reached : { ...reached, host } };
}

/** Tells whether a name or an address leads nowhere but to this host. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function isOwn(host: string): boolean {
  const name = readHostName("advertise the service", WITHOUT_SERVICE);
  return host === name || host === `${name}.local` ||
    allInterfaces().some(({ ipv4, ipv6 }) =>
      ipv6.includes(host) || ipv4.some(({ address }) => address === host)
    );
}
