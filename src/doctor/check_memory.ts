import type { BriefConnection } from "../redis/brief_connection.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";

/** The share of the memory that may be full before it is mentioned. */
const NEARLY_FULL = 0.9;

/** Looks at whether the server may throw messages away, or runs out of memory. */
export async function* checkMemory(
  connection: BriefConnection,
): AsyncGenerator<Finding> {
  const info = await connection.info("memory");
  const policy = info?.get("maxmemory_policy");
  if (info === undefined || policy === undefined) {
    yield warning(
      "memory",
      "The server does not tell whether it may throw messages away.",
      "Let the user run INFO (+info), and look again.",
    );
    return;
  }
  const limit = Number(info.get("maxmemory"));
  const used = Number(info.get("used_memory"));
  const advice =
    "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
  if (policy.startsWith("allkeys-")) {
    const message =
      `When its memory is full, the server throws whole queues away (maxmemory-policy ${policy}`;
    yield limit > 0
      ? failure("memory", `${message}).`, advice)
      : warning("memory", `${message}, without a limit so far).`, advice);
  } else if (policy.startsWith("volatile-")) {
    yield warning(
      "memory",
      `When its memory is full, the server throws away responses and heartbeats, without which messages are handled twice (maxmemory-policy ${policy}).`,
      advice,
    );
  } else {
    yield ok("memory", "The server throws nothing away (noeviction).");
  }
  if (limit > 0 && used > limit * NEARLY_FULL) {
    yield warning(
      "memory",
      `${Math.round(100 * used / limit)} % of the server's memory is in use.`,
      "Raise its `maxmemory`, let consumers catch up, or purge dead letters.",
    );
  }
}
