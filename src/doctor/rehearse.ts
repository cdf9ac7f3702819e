import type { BriefConnection } from "../redis/brief_connection.ts";
import type { RedisError } from "../redis/redis_error.ts";

/** The words of a command. */
export type Words = readonly string[];

/**
 * Finds out whether the server would refuse commands, without running any. They
 * are queued in a transaction that is then discarded (`MULTI`, `DISCARD`): the
 * server checks permissions, its role, its memory and its disk when a command is
 * queued, and whatever breaks on the way, nothing was done.
 *
 * @returns For each of them the error, or `undefined`.
 * @throws {RedisError} The connection was lost, or transactions are not
 * permitted either (`permission`).
 */
export async function rehearse(
  connection: BriefConnection,
  commands: readonly Words[],
): Promise<(RedisError | undefined)[]> {
  const errors: (RedisError | undefined)[] = [];
  // Outside of a transaction it only tells whether it is permitted.
  await connection.command(["DISCARD"]).catch((error) => {
    if (error.code !== "reply") throw error;
  });
  await connection.command(["MULTI"]);
  for (const command of commands) {
    errors.push(
      await connection.command(command).then(() => undefined, (error) => {
        if (error.code === "connection") throw error;
        return error as RedisError;
      }),
    );
  }
  await connection.command(["DISCARD"]);
  return errors;
}
