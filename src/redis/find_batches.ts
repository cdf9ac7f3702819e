import type { QueueKeys } from "./queue_keys.ts";
import type { RedisError } from "./redis_error.ts";

/** A consumer's name, and the number of one of its batches. */
const BATCH_KEY = /^(.*\.[0-9a-f]{8})(?::(\d+))?$/s;

/** The text between the name of a queue and that of a consumer. */
const INFIX = ":processing:";

/** Sends one command, as a {@link Connection} or a {@link BriefConnection} does. */
interface Sender {
  command<Reply>(args: readonly (string | Uint8Array)[]): Promise<Reply>;
}

/**
 * Goes through the names of all keys (`SCAN`) for batches that consumers of
 * queues have in hand, whether or not the index of consumers knows them.
 *
 * @returns For each queue, in turns: a consumer, and the number of one of its
 * batches, or `""` for its hash of batches. Nothing where the user may not scan.
 * @throws {RedisError} The connection was lost.
 */
export async function findBatches(
  connection: Sender,
  queues: readonly QueueKeys[],
  isWanted: () => boolean = () => true,
): Promise<readonly (readonly string[])[]> {
  const starts = queues.map(({ allProcessing }) => allProcessing);
  const found = new Map(starts.map((start) => [start, [] as string[]]));
  const pattern = starts.length === 1
    ? `${starts[0]!.replace(/[*?[\]\\]/g, "\\$&")}*`
    : "*:processing:*";
  let cursor = "0";
  do {
    const scan = ["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"];
    const page = await connection.command<[string, string[]]>(scan).catch(
      (error: RedisError) => {
        // It is done without where it is not permitted.
        if (error.code !== "permission") throw error;
        return ["0", []] as [string, string[]];
      },
    );
    cursor = page[0];
    for (const key of page[1]) {
      for (let at = 0; (at = key.indexOf(INFIX, at) + 1) > 0;) {
        const start = key.slice(0, at - 1 + INFIX.length);
        const match = BATCH_KEY.exec(key.slice(start.length));
        if (match !== null) {
          found.get(start)?.push(match[1]!, match[2] ?? "");
        }
      }
    }
  } while (cursor !== "0" && isWanted());
  return starts.map((start) => found.get(start)!);
}
