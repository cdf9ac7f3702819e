import type { BriefConnection } from "../redis/brief_connection.ts";
import { keySlot, queueKeys } from "../redis/queue_keys.ts";
import { readQueueStatus } from "../redis/queue_status.ts";
import { RedisError } from "../redis/redis_error.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";

/**
 * Looks at the queue's keys, and at how it stands.
 *
 * @param connection A connection to the server.
 * @param isCluster Whether its keys have to be in one hash slot.
 */
export async function* checkQueue(
  connection: BriefConnection,
  queue: string,
  isCluster: boolean,
): AsyncGenerator<Finding> {
  const keys = queueKeys(queue, "");
  if (isCluster && keySlot(keys.dead) !== keySlot(queue)) {
    yield failure(
      "queue",
      `The keys of "${queue}" are on different nodes of the cluster.`,
      'Give the queue a name without "}", or with a whole hash tag, as in "{jobs}:high".',
    );
    return;
  }
  const expected: [key: string, type: string][] = [
    [queue, "list"],
    [keys.dead, "list"],
    [keys.consumers, "hash"],
    [keys.deliveries, "hash"],
    [keys.retry, "zset"],
  ];
  let isSound = true;
  for (const [key, type] of expected) {
    const found = await connection.command<string>(["TYPE", key]);
    if (found === type || found === "none") continue;
    isSound = false;
    yield failure(
      "queue",
      `The key "${key}" is a ${found}, but has to be a ${type}.`,
      "Use another queue, or remove the key where nobody needs it.",
    );
  }
  if (isSound) yield* checkStanding(connection, queue);
}

async function* checkStanding(
  connection: BriefConnection,
  queue: string,
): AsyncGenerator<Finding> {
  const { length, consumers, deadLetters } = await readQueueStatus(
    connection,
    queue,
  ).catch((error) => {
    if (error instanceof RedisError && error.code === "permission") {
      return { length: 0, consumers: [], deadLetters: { count: 0 } };
    }
    throw error;
  });
  const alive = consumers.filter(({ heartbeat }) => heartbeat !== undefined);
  yield length > 0 && alive.length === 0
    ? warning(
      "queue",
      `${length} ${
        length === 1 ? "message waits" : "messages wait"
      } in "${queue}", and no consumer that takes them at least once is there.`,
      "Start a listener, or look whether it listens to another queue.",
    )
    : ok("queue", `"${queue}" is ${length === 0 ? "empty" : "a list"}.`);
  const left = consumers.filter(({ heartbeat, inFlight }) =>
    heartbeat === undefined && inFlight > 0
  );
  if (left.length > 0) {
    yield warning(
      "queue",
      `A consumer of "${queue}" has died with messages in hand.`,
      "Start a listener: it puts them back into the queue.",
    );
  }
  if (deadLetters.count > 0) {
    yield warning(
      "queue",
      `${deadLetters.count} ${
        deadLetters.count === 1 ? "message" : "messages"
      } of "${queue}" could not be handled.`,
      "Look at them (dead list), then requeue or purge them.",
    );
  }
}
