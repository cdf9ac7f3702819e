import { escapePattern, type QueueKeys } from "./queue_keys.ts";
import { isWithheld, type RedisError } from "./redis_error.ts";

/** A consumer's name, and the number of one of its batches. */
const BATCH_KEY = /^(.*\.[0-9a-f]{8})(?::(\d+))?$/s;

/** The texts between the name of a queue and that of what belongs to it. */
const INFIXES = [":processing:", ":missed:", ":dead:text:"] as const;

/** Sends one command, as a {@link Connection} or a {@link BriefConnection} does. */
interface CommandSender {
  command<Reply>(args: readonly (string | Uint8Array)[]): Promise<Reply>;
}

/** Names what belongs to a queue, each once, whether or not an index knows it. */
export interface FoundKeys {
  /** In turns: a consumer, and the number of one of its batches, or `""` for its hash of batches. */
  readonly batches: string[];
  /** The named subscribers that have missed something. */
  readonly subscribers: string[];
  /** The ids of the dead letters whose text is kept apart. */
  readonly texts: string[];
}

/**
 * Goes through the names of all keys (`SCAN`) for what belongs to queues: an
 * index may have been removed by somebody.
 *
 * @returns What was found, by the start of the queue's keys. Nothing where the
 * user may not scan.
 * @throws {RedisError} The connection was lost.
 */
export async function findKeys(
  connection: CommandSender,
  queues: readonly QueueKeys[],
  isWanted: () => boolean = () => true,
): Promise<ReadonlyMap<string, FoundKeys>> {
  const starts = new Set(queues.map(({ start }) => start));
  const found = new Map<string, FoundKeys>();
  const known = new Set<string>();
  // A pattern has no "or": these are the first letters of what is looked for.
  const start = queues.length === 1 ? escapePattern(queues[0]!.start) : "*:";
  for await (const page of scanKeys(connection, `${start}[dmp]*`)) {
    for (const key of page) {
      if (known.has(key)) continue;
      for (const infix of INFIXES) {
        for (let at = 0; (at = key.indexOf(infix, at) + 1) > 0;) {
          const start = key.slice(0, at);
          if (!starts.has(start)) continue;
          known.add(key);
          const all = found.get(start) ??
            { batches: [], subscribers: [], texts: [] };
          found.set(start, all);
          const rest = key.slice(at - 1 + infix.length);
          const batch = BATCH_KEY.exec(rest);
          if (infix === ":missed:") all.subscribers.push(rest);
          else if (infix === ":dead:text:") all.texts.push(rest);
          else if (batch !== null) all.batches.push(batch[1]!, batch[2] ?? "");
        }
      }
    }
    if (!isWanted()) break;
  }
  return found;
}

/**
 * Gives the names of the keys that match a pattern, page by page (`SCAN`); a key
 * may come twice. None where the user may not scan.
 *
 * @throws {RedisError} The connection was lost.
 */
export async function* scanKeys(
  connection: CommandSender,
  pattern: string,
): AsyncGenerator<readonly string[]> {
  let cursor = "0";
  do {
    const scan = ["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"];
    const [next, page] = await connection.command<[string, string[]]>(scan)
      .catch((error: RedisError) => {
        // It is done without where it is not permitted.
        if (!isWithheld(error)) throw error;
        return ["0", []] as [string, string[]];
      });
    yield page;
    cursor = next;
  } while (cursor !== "0");
}
