import type { Address } from "../redis/mod.ts";
import { formatAddress } from "../redis/options.ts";

/** Where a Redis server is, as peers on the network are told. */
export interface ServicePlace {
  /** The port to announce. */
  readonly port: number;
  /** What the TXT record says besides. */
  readonly properties: Readonly<Record<string, string>>;
  /** Why peers may not reach it. */
  readonly warning?: string;
}

/** Announced where the server has no port; nobody else reaches it then anyway. */
const REDIS_PORT = 6379;

/**
 * Says what to announce of a Redis server: the announcement itself carries this
 * host's addresses, which are not the server's where that runs elsewhere.
 *
 * @param address Where the backend reaches the server.
 * @returns What to announce, and what to warn of.
 */
export function servicePlace(address: Address): ServicePlace {
  if ("path" in address) {
    return {
      port: REDIS_PORT,
      properties: {},
      warning:
        "Redis listens on a Unix socket: peers will see the service, but only programs on this host reach its queue.",
    };
  }
  const { host, port } = address;
  if (isLoopback(host)) {
    return {
      port,
      properties: {},
      warning: `Redis is reached at ${
        formatAddress(address)
      }: if it listens there only, peers will see the service, but not reach its queue.`,
    };
  }
  return { port, properties: isOwn(host) ? {} : { host } };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function isOwn(host: string): boolean {
  const name = Deno.hostname();
  return host === name || host === `${name}.local` ||
    Deno.networkInterfaces().some(({ address }) => address === host);
}
