/**
 * The address that a server listens on: a TCP address, or the path of a Unix socket.
 *
 * @example
 * ```ts
 * import { type Address, Connection, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using connection = await Connection.connect(server.redisArgs);
 * const address: Address = connection.address;
 * console.assert("path" in address && address.path.endsWith(".sock"));
 * ```
 */
export type Address = { host: string; port: number } | { path: string };

/**
 * Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
 *
 * @throws {TypeError} It is none of these.
 */
export function parseAddress(
  text: string,
  defaultPort: number,
): { host: string; port: number } {
  const match = ADDRESS.exec(text);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (match === null || !isPort(port)) {
    throw new TypeError(
      'Cannot connect to Redis: an address has to be "host:port", or "[address]:port" for IPv6',
    );
  }
  return { host: (match[1] ?? match[2])!, port };
}

const ADDRESS = /^(?:\[([0-9a-f:.]+)\]|([^:%[\]]+))(?::(\d+))?$/i;

export function isAddress(value: unknown): boolean {
  const match = typeof value === "string" ? ADDRESS.exec(value) : null;
  return match !== null && isPort(Number(match[3] ?? 1));
}

/** Writes an address for people. */
export function formatAddress(address: Address): string {
  if ("path" in address) return address.path;
  const { host, port } = address;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

export function isPort(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65536;
}
