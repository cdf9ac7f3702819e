import { findLack } from "../doctor/check_access.ts";
import type { Deed } from "../doctor/deeds.ts";
import { BriefConnection } from "../redis/brief_connection.ts";
import { RedisError, restate } from "../redis/redis_error.ts";
import { type RedisOptions, resolvePlace } from "./redis_options.ts";

/** Says what a command does in our own Redis. */
export interface Needs {
  /** The way to that Redis, and the queues. */
  readonly redis: RedisOptions;
  /** The work that it has to permit. */
  readonly deeds: readonly Deed[];
  /** The queues, where the command names others. */
  readonly queues?: readonly string[];
}

/**
 * Tells an error about one right that is missing as one about all of them, with
 * what grants them: else people would have to try again after each.
 *
 * @param needs What the command does; `undefined` where it is done elsewhere.
 * @returns That error, or the same one where it is about something else, or no
 * more can be found out.
 */
export async function explainRefusal(
  error: unknown,
  needs: Needs | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  const isRefusal = error instanceof RedisError && error.code === "permission";
  if (!isRefusal || needs === undefined) return error;
  // What the server has not said, a consumer has found out, and names everything.
  if (error.reply === undefined) return error;
  try {
    const { redisArgs, queues } = await resolvePlace(needs.redis);
    for (const queue of needs.queues ?? queues) {
      using connection = await BriefConnection.open(redisArgs, {
        key: queue,
        signal,
      });
      const lack = await findLack(connection, queue, needs.deeds, error);
      if (lack === undefined) continue;
      const { user, text, rules } = lack;
      return restate(error, {
        reason: `the user "${user}" ${text}`,
        advice: `ACL SETUSER ${user} ${rules.join(" ")}`,
      });
    }
  } catch {
    // What is known is told.
  }
  return error;
}
