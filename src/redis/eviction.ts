import type { Logger } from "../logger.ts";
import { formatAddress } from "./address.ts";
import type { Connection } from "./connection.ts";
import { Trouble } from "./trouble.ts";

/**
 * Warns, once for each server, that it throws away what consumers keep there. Who
 * may not ask for that learns nothing.
 *
 * @param isFelt Whether something is missing. Only then it warns of a policy that
 * throws away nothing but keys with an expiry, as hosts often set it.
 */
export async function warnOfEviction(
  connection: Connection,
  logger: Logger,
  isFelt: boolean,
): Promise<void> {
  const facts = await connection.command(["INFO", "memory"]).then(
    String,
    () => "",
  );
  const [, policy = ""] = /^maxmemory_policy:(\S+)/m.exec(facts) ?? [];
  const isLimited = /^maxmemory:[1-9]/m.test(facts);
  const takesAll = policy.startsWith("allkeys-");
  if (!isLimited || !takesAll && !(isFelt && policy.startsWith("volatile-"))) {
    return;
  }
  const place = formatAddress(connection.address);
  Trouble.with(place, logger).warnOnce(
    `When the memory of Redis at ${place} is full, it throws ${
      takesAll
        ? "whole queues away"
        : "heartbeats away, so that messages come twice, and what named subscribers have missed"
    } (maxmemory-policy ${policy}): set that to noeviction.`,
  );
}
