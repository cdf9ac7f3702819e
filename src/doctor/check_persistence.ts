import type { BriefConnection } from "../redis/brief_connection.ts";
import { RedisError } from "../redis/redis_error.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";

const ADVICE = "CONFIG SET appendonly yes, and the same in redis.conf";

/** Looks at what is left of the messages when the server is restarted. */
export async function* checkPersistence(
  connection: BriefConnection,
): AsyncGenerator<Finding> {
  const info = await connection.info("persistence");
  if (info === undefined) {
    yield warning(
      "persistence",
      "The server does not tell whether it keeps messages on disk.",
      "Let the user run INFO (+info), and look again.",
    );
    return;
  }
  const failed = [
    ["aof_last_write_status", "append-only file"],
    ["aof_last_bgrewrite_status", "append-only file"],
    ["rdb_last_bgsave_status", "snapshot"],
  ].find(([field]) => info.get(field!) === "err");
  if (failed !== undefined) {
    yield failure(
      "persistence",
      `The server could not write its ${failed[1]} the last time.`,
      "Make room on its disk and look into its log.",
    );
  }
  if (info.get("aof_enabled") === "1") {
    yield await checkAppendOnlyFile(connection);
    return;
  }
  const save = await setting(connection, "save");
  yield save === ""
    ? warning(
      "persistence",
      "The server keeps messages in memory only: a restart loses all of them.",
      ADVICE,
    )
    : warning(
      "persistence",
      "The server writes snapshots only: a crash loses what came since the last one.",
      ADVICE,
    );
}

async function checkAppendOnlyFile(
  connection: BriefConnection,
): Promise<Finding> {
  const fsync = await setting(connection, "appendfsync");
  if (fsync === "no") {
    return warning(
      "persistence",
      "The server leaves it to the system when messages get to the disk: a power failure loses half a minute.",
      "CONFIG SET appendfsync everysec, and the same in redis.conf",
    );
  }
  return ok(
    "persistence",
    fsync === "always"
      ? "Every message is on disk before the server answers."
      : "Messages are in an append-only file; a power failure loses a second.",
  );
}

/** `CONFIG GET`, where that is permitted. */
async function setting(
  connection: BriefConnection,
  name: string,
): Promise<string | undefined> {
  try {
    const reply = await connection.command<
      Record<string, string> | string[]
    >(["CONFIG", "GET", name]);
    return Array.isArray(reply) ? reply[1] : reply[name];
  } catch (error) {
    // Hosted servers often do not have it at all.
    if (error instanceof RedisError && error.code !== "connection") {
      return undefined;
    }
    throw error;
  }
}
