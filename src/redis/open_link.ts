import { formatAddress } from "./address.ts";
import { findServer } from "./find_server.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Settings } from "./parse_redis_args.ts";
import { RedisError } from "./redis_error.ts";

/**
 * Finds the server, and opens a link to it.
 *
 * @param key The key that matters, in a cluster.
 * @throws {RedisError} Nobody knows the server at the moment, it cannot be
 * reached or refuses, or it is no master, although the sentinels say so.
 */
export async function openLink(
  settings: Settings,
  key: string | undefined,
  options: LinkOptions,
): Promise<Link> {
  const { onLost: _, ...asking } = options;
  const address = await findServer(settings, key, asking);
  const link = await Link.open(address, settings, options);
  if (settings.sentinel !== undefined && link.role === "replica") {
    link.close();
    throw new RedisError({
      attempted: "use Redis",
      place: formatAddress(address),
      reason: "the sentinels name it as the master, but it is a replica still",
    }, "connection");
  }
  return link;
}
