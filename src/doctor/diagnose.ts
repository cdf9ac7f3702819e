import { DEFAULT_QUEUE } from "../redis/queue_keys.ts";
import { DELIVERY_OPTIONS } from "../redis/inbox_options.ts";
import { checkOptions, type Rows } from "../options.ts";
import { FLAG, NAMES, OBJECT, SIGNAL } from "../kinds.ts";
import type { RedisArgs } from "../redis/redis_args.ts";
import { parseRedisArgs } from "../redis/settings.ts";
import { RedisError } from "../redis/redis_error.ts";
import { checkAccess, checkWriting } from "./check_access.ts";
import {
  checkDeno,
  checkMulticast,
  checkPermissions,
} from "./check_surroundings.ts";
import {
  checkMemory,
  checkPersistence,
  checkQueue,
  checkServer,
} from "./check_server.ts";
import { type Limits, limitsIn } from "./near_limit.ts";
import { failure, type Finding, warning } from "./finding.ts";

/** Says which parts {@linkcode diagnose} looks at, and when it gives up. */
export interface DiagnoseOptions {
  /** The way to reach Redis. Default: 127.0.0.1:6379. */
  redisArgs?: RedisArgs;
  /** The queue, or several. Default: `platypush/backend/redis`. */
  queue?: string | readonly string[];
  /** True to look at the network, too. Default: `true`. */
  multicast?: boolean;
  /** The option of those who consume, to say when little is left of it. Default: 10,000. */
  maxDeadLetters?: number;
  /** The option of those who consume, likewise. Default: 16 MiB. */
  maxDeadLetterBytes?: number;
  /** The option of those who consume, likewise. Default: 10,000. */
  maxMissed?: number;
  /** The option of those who consume, likewise. Default: 8 MiB. */
  maxMissedBytes?: number;
  /** Gives up when aborted. Default: never. */
  signal?: AbortSignal;
}

const OPTIONS: Rows<DiagnoseOptions> = {
  redisArgs: OBJECT,
  queue: NAMES,
  multicast: FLAG,
  maxDeadLetters: DELIVERY_OPTIONS.maxDeadLetters,
  maxDeadLetterBytes: DELIVERY_OPTIONS.maxDeadLetterBytes,
  maxMissed: DELIVERY_OPTIONS.maxMissed,
  maxMissedBytes: DELIVERY_OPTIONS.maxMissedBytes,
  signal: SIGNAL,
};

/**
 * Looks for what usually goes wrong, and says what to do about it. It looks at
 * Deno and its permissions, at the server, what this user may do there and
 * whether it keeps what it is given, at the queue, and at multicast. Nothing is
 * changed: neither in Redis, where no command that writes is run, nor on the
 * network, where one question is asked on each interface.
 *
 * @param options What to look at; everything has a default.
 * @returns What was found, one after the other.
 * @throws {TypeError} There is no such option or it is of another kind, or an
 * argument for Redis is unknown or wrong.
 * @throws {RedisError} Aborted while it talks to Redis, with the code `closed`;
 * at another time, what was aborted with is thrown.
 *
 * @example
 * ```ts
 * import { diagnose, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * const { redisArgs } = server;
 * for await (const finding of diagnose({ redisArgs, multicast: false })) {
 *   console.log(finding.status, finding.check, finding.message);
 *   if (finding.advice) console.log("  ", finding.advice);
 * }
 * ```
 */
export async function* diagnose(
  options: DiagnoseOptions = {},
): AsyncGenerator<Finding> {
  checkOptions("diagnose", options, OPTIONS);
  const {
    redisArgs = {},
    multicast = true,
    signal = new AbortController().signal,
  } = options;
  yield checkDeno();
  let mayConnect = true;
  for await (const finding of checkPermissions(parseRedisArgs(redisArgs))) {
    mayConnect &&= finding.status !== "failure";
    yield finding;
  }
  const queues = [options.queue ?? DEFAULT_QUEUE].flat();
  const told = new Set<string>();
  for (const queue of mayConnect ? new Set(queues) : []) {
    signal.throwIfAborted();
    for await (
      const finding of diagnoseRedis(
        redisArgs,
        queue,
        limitsIn(options),
        signal,
      )
    ) {
      // What is the same for every queue is told once.
      const text = JSON.stringify(finding);
      if (!told.has(text)) yield finding;
      told.add(text);
    }
  }
  signal.throwIfAborted();
  if (multicast && await mayUseNetwork()) {
    yield* checkMulticast();
  }
}

async function* diagnoseRedis(
  redisArgs: RedisArgs,
  queue: string,
  limits: Limits,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const [finding, opened] = await checkServer(redisArgs, queue, signal);
  yield finding;
  if (opened === undefined) return;
  using connection = opened;
  const isCluster = redisArgs.cluster !== undefined;
  const checks: Record<string, AsyncGenerator<Finding>> = {
    access: checkAccess(connection, queue),
    writing: checkWriting(connection, queue),
    memory: checkMemory(connection),
    persistence: checkPersistence(connection),
    queue: checkQueue(connection, queue, isCluster, limits),
  };
  for (const [name, check] of Object.entries(checks)) {
    try {
      yield* check;
    } catch (error) {
      if (!(error instanceof RedisError) || error.code === "closed") {
        throw error;
      }
      // Whoever may not even look at the queue can do nothing with it.
      const isFatal = name === "queue" && error.code === "permission";
      yield (isFatal ? failure : warning)(
        name,
        `This could not be looked at: ${error.message}.`,
        error.code === "permission"
          ? "Let the user run that command, and look again."
          : "Look again when the server answers.",
      );
    }
  }
}

/** Without it the system would be asked, and a person perhaps. */
async function mayUseNetwork(): Promise<boolean> {
  const descriptors = [{ name: "net" }, { name: "sys" }] as const;
  const states = await Promise.all(
    descriptors.map((descriptor) => Deno.permissions.query(descriptor)),
  );
  return states.every(({ state }) => state === "granted");
}
