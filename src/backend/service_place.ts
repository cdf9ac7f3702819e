import { formatAddress } from "../redis/address.ts";
import type { Settings } from "../redis/redis_args.ts";

/** Says where a Redis server is, as peers on the network are told. */
export interface ServicePlace {
  /** The port to announce; 0 where the network does not reach the server. */
  readonly port: number;
  /** The properties that the TXT record has besides. */
  readonly properties: Readonly<Record<string, string>>;
  /** Why peers may not reach it. */
  readonly warning?: string;
}

/**
 * Says what to announce of a Redis server: the announcement itself carries this
 * host's addresses, which are not the server's where that runs elsewhere.
 *
 * @param settings Where and how the backend reaches the server.
 * @returns What to announce, and what to warn of.
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

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function isOwn(host: string): boolean {
  const name = Deno.hostname();
  return host === name || host === `${name}.local` ||
    Deno.networkInterfaces().some(({ address }) => address === host);
}
