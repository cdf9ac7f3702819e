import { readHostName } from "../permission.ts";
import { checkOptions, type Rows } from "../options.ts";
import { NAME, SIGNAL } from "../kinds.ts";
import { BriefConnection } from "./brief_connection.ts";
import { DEFAULT_QUEUE, QueueKeys } from "./queue_keys.ts";
import type { QueuePause } from "./queue_gate.ts";
import type { RedisArgs } from "./redis_args.ts";
import { isWithheld, type RedisError } from "./redis_error.ts";

/** Which queue {@linkcode pauseQueue} and {@linkcode resumeQueue} are about. */
export interface PauseQueueOptions {
  /** The queue. Default: `platypush/backend/redis`. */
  queue?: string;
  /** Names who pauses it, for whoever wonders. Default: the host's name. */
  by?: string;
  /** Gives up when aborted. Default: never. */
  signal?: AbortSignal;
}

const OPTIONS: Rows<PauseQueueOptions> = {
  queue: NAME,
  by: NAME,
  signal: SIGNAL,
};

/**
 * Pauses a queue for all its consumers, wherever they run: what they have in hand
 * is finished, and nothing more is taken. Whoever pushes to it is not concerned.
 * The pause is kept in Redis until {@linkcode resumeQueue}, whoever is restarted
 * meanwhile.
 *
 * Consumers at least once hand out nothing more that was still in the queue when
 * this resolves. A consumer that knows nothing of this module, such as a
 * Platypush, goes on.
 *
 * @param args redis-py's arguments, see {@linkcode RedisArgs}.
 * @param options The queue, who pauses it, and what interrupts it; see
 * {@linkcode PauseQueueOptions}.
 * @returns Whether it is paused now and was not before; who has paused it first is
 * kept.
 * @throws {TypeError} There is no such option or it is of another kind, or an
 * argument is unknown or wrong.
 * @throws {RedisError} The server could not be reached or refused, or the key of the
 * pause is of another type.
 *
 * @example
 * ```ts
 * import {
 *   pauseQueue,
 *   queueStatus,
 *   resumeQueue,
 *   startRedis,
 * } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * const { redisArgs } = server;
 * await pauseQueue(redisArgs, { queue: "jobs", by: "backup" });
 * const { pause } = await queueStatus(redisArgs, { queue: "jobs" });
 * console.assert(pause?.by === "backup");
 * console.assert(await resumeQueue(redisArgs, { queue: "jobs" }));
 * ```
 */
export async function pauseQueue(
  args: RedisArgs,
  options: PauseQueueOptions = {},
): Promise<boolean> {
  checkOptions("pause a queue", options, OPTIONS);
  const {
    queue = DEFAULT_QUEUE,
    by = readHostName(
      "pause the queue",
      "give the name of who pauses it (`by`, --device-id or PLATYPUSH_DEVICE_ID)",
    ),
    signal,
  } = options;
  using connection = await open(args, queue, signal);
  const since = Math.round(Date.now()) / 1000;
  const pause: QueuePause = { since, by };
  const { paused } = new QueueKeys(queue);
  const isPausedNow = await connection.command<string | null>(
    ["SET", paused, JSON.stringify(pause), "NX"],
  ) !== null;
  if (isPausedNow) return true;
  // A key of another type is no pause, and is named in the error.
  await connection.command(["GET", paused]).catch((error: RedisError) => {
    if (!isWithheld(error)) throw error;
  });
  return false;
}

/**
 * Lets the consumers of a queue go on that {@linkcode pauseQueue} has paused.
 *
 * @param args redis-py's arguments, see {@linkcode RedisArgs}.
 * @param options The queue, and what interrupts it; see
 * {@linkcode PauseQueueOptions}.
 * @returns Whether it was paused.
 * @throws {TypeError} There is no such option or it is of another kind, or an
 * argument is unknown or wrong.
 * @throws {RedisError} The server could not be reached or refused.
 *
 * @example
 * ```ts
 * import { resumeQueue, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * console.assert(!await resumeQueue(server.redisArgs)); // nobody has paused it
 * ```
 */
export async function resumeQueue(
  args: RedisArgs,
  options: Omit<PauseQueueOptions, "by"> = {},
): Promise<boolean> {
  checkOptions("resume a queue", options, RESUME_OPTIONS);
  const { queue = DEFAULT_QUEUE, signal } = options;
  using connection = await open(args, queue, signal);
  const { paused } = new QueueKeys(queue);
  return await connection.command<number>(["DEL", paused]) > 0;
}

const RESUME_OPTIONS: Rows<Omit<PauseQueueOptions, "by">> = {
  queue: NAME,
  signal: SIGNAL,
};

function open(
  args: RedisArgs,
  queue: string,
  signal: AbortSignal | undefined,
): Promise<BriefConnection> {
  return BriefConnection.open(args, { key: queue, ...(signal && { signal }) });
}
