import { BriefConnection } from "../redis/brief_connection.ts";
import type { RedisArgs } from "../redis/redis_args.ts";
import {
  type QueueStatus,
  readQueueStatus,
  serverStatus,
} from "../redis/queue_status.ts";
import { RedisError } from "../redis/redis_error.ts";
import { explainReply } from "./check_access.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";
import { keySlot } from "../redis/key_slot.ts";
import {
  escapePattern,
  KEY_TYPES,
  keyType,
  QueueKeys,
} from "../redis/queue_keys.ts";
import { scanKeys } from "../redis/find_keys.ts";
import { amount, size } from "../units.ts";
import { type Limits, nearLimit } from "./near_limit.ts";

/** Says what to do when a server does not let us in. */
const ADVICE: Partial<Record<RedisError["code"], string>> = {
  connection:
    "Start the server (systemctl start redis-server), or say where it is: its address, port and whether it speaks TLS.",
  auth: "Set the user's name and password as they are in the server's ACL.",
  tls:
    "Use rediss:// only where the server speaks TLS, and name the authority that has signed its certificate (ssl_ca_certs).",
  unsupported: "Upgrade the server: Redis 6.2 or newer, or Valkey.",
  permission: "Let the user run HELLO and PING: +hello +ping",
};

const NO_NETWORK =
  "Connect to the network that the server is in; on this host itself, switch the loopback interface on: ip link set lo up";
const SILENCE =
  "See whether something between swallows the packets: a firewall, or on this host itself a loopback interface that is down (ip link set lo up); or whether the server hangs.";
const NO_NAME =
  "Correct the host's name, or see whether a name server knows it: getent hosts NAME";

/** Says what to do where no server is to blame, by the error of the system. */
const SYSTEM_ADVICE: Readonly<Record<string, string>> = {
  ENETUNREACH: NO_NETWORK,
  ENETDOWN: NO_NETWORK,
  EHOSTUNREACH:
    "See whether the server's host is on and in this network, and whether its address is right.",
  ENOTFOUND: NO_NAME,
  EAI_AGAIN: NO_NAME,
  TimeoutError: SILENCE,
};

/** Says what to do about an error of connecting. */
function adviceFor(error: RedisError): string {
  for (let cause: unknown = error; cause instanceof Error;) {
    const { code, name } = cause as { code?: unknown; name: string };
    const advice = SYSTEM_ADVICE[String(code)] ?? SYSTEM_ADVICE[name];
    if (advice !== undefined) return advice;
    cause = cause.cause;
  }
  const { advice, code } = error;
  // A refusal names the rule that grants what is missing.
  if (code === "permission" && advice !== undefined) return advice;
  return ADVICE[code] ?? "Look into the server's log.";
}

/**
 * Connects to the server.
 *
 * @param key A key that it has to serve, in a cluster.
 * @returns What was found, and the connection if there is one.
 * @throws {TypeError} An argument is unknown or wrong.
 * @throws {RedisError} Aborted, with the code `closed`.
 */
export async function checkServer(
  args: RedisArgs,
  key: string,
  signal: AbortSignal,
): Promise<[Finding, BriefConnection?]> {
  let connection: BriefConnection | undefined;
  try {
    connection = await BriefConnection.open(args, { key, signal });
    const { name, version, address } = await serverStatus(connection);
    return [
      ok("server", `${name} ${version || "of some version"} at ${address}.`),
      connection,
    ];
  } catch (error) {
    connection?.[Symbol.dispose]();
    if (!(error instanceof RedisError) || error.code === "closed") throw error;
    // A server that takes nothing that is written refuses PING, too.
    const [message, advice] = explainReply(error) ??
      [`${error.message}.`, adviceFor(error)];
    return [failure("server", message, advice)];
  }
}

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
      `When its memory is full, the server throws away responses, heartbeats, without which messages are handled twice, and what named subscribers have missed (maxmemory-policy ${policy}).`,
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

const KEEP_ADVICE = "CONFIG SET appendonly yes, and the same in redis.conf";

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
      KEEP_ADVICE,
    )
    : warning(
      "persistence",
      "The server writes snapshots only: a crash loses what came since the last one.",
      KEEP_ADVICE,
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

/**
 * Looks at the queue's keys, and at how it stands.
 *
 * @param isCluster Whether its keys have to be in one hash slot.
 */
export async function* checkQueue(
  connection: BriefConnection,
  queue: string,
  isCluster: boolean,
  limits: Limits,
): AsyncGenerator<Finding> {
  const keys = new QueueKeys(queue);
  if (isCluster && keySlot(keys.dead) !== keySlot(queue)) {
    yield failure(
      "queue",
      `The keys of "${queue}" are on different nodes of the cluster.`,
      'Give the queue a name without "}", or with a whole hash tag, as in "{jobs}:high".',
    );
    return;
  }
  let isSound = true;
  for await (const [key, found, type] of wrongKeys(connection, keys)) {
    isSound = false;
    yield failure(
      "queue",
      `The key "${key}" is a ${found}, but has to be a ${type}.`,
      "Use another queue, or remove the key where nobody needs it.",
    );
  }
  if (isSound) yield* checkStanding(connection, queue, limits);
}

/**
 * Finds the keys that are of another type than the module needs: those that each
 * queue has, and what else is there, where this user may look for it (`SCAN`).
 */
async function* wrongKeys(
  connection: BriefConnection,
  { queue, start }: QueueKeys,
): AsyncGenerator<readonly [key: string, found: string, type: string]> {
  const looked = new Set<string>();
  const always = Object.keys(KEY_TYPES).map((end) => start + end);
  async function* pages(): AsyncGenerator<readonly string[]> {
    yield [queue, ...always];
    yield* scanKeys(connection, `${escapePattern(start)}*`);
  }
  for await (const page of pages()) {
    const typed = page.flatMap((key) => {
      const type = key === queue ? "list" : keyType(key.slice(start.length));
      return type === undefined || looked.has(key) ? [] : [{ key, type }];
    });
    const found = await Promise.all(
      typed.map(({ key }) => connection.command<string>(["TYPE", key])),
    );
    for (const [at, { key, type }] of typed.entries()) {
      looked.add(key);
      if ([type, "none"].includes(found[at]!)) continue;
      yield [key, found[at]!, type];
    }
  }
}

/** Tells how a queue stands. */
type Standing = Omit<QueueStatus, "server">;

async function* checkStanding(
  connection: BriefConnection,
  queue: string,
  limits: Limits,
): AsyncGenerator<Finding> {
  const status = await readQueueStatus(connection, queue).catch(
    (error): undefined => {
      // Which right is missing, the check of the access says.
      if (error instanceof RedisError && error.code === "permission") {
        return undefined;
      }
      throw error;
    },
  );
  if (status === undefined) return;
  const { pause } = status;
  if (pause !== undefined) {
    yield warning(
      "queue",
      `"${queue}" is paused since ${
        new Date(pause.since * 1000).toISOString()
      }, by ${pause.by}: nothing is taken from it.`,
      "platypush-redis resume, when it may go on.",
    );
  }
  yield* checkConsumers(status);
  yield* checkMissed(status, limits);
  yield* checkDeadLetters(status, limits);
}

/** Looks whether somebody takes what waits, and what the dead have left. */
function* checkConsumers(
  { queue, length, consumers }: Standing,
): Generator<Finding> {
  const alive = consumers.filter(({ heartbeat }) => heartbeat !== undefined);
  yield length > 0 && alive.length === 0
    ? warning(
      "queue",
      `${
        amount(length, "message waits", "messages wait")
      } in "${queue}", and no consumer that takes them at least once is there.`,
      "Start a consumer, or look whether yours consumes another queue.",
    )
    : ok("queue", `"${queue}" is ${length === 0 ? "empty" : "a list"}.`);
  const left = consumers.filter(({ heartbeat, inFlight, isIndexed }) =>
    heartbeat === undefined && inFlight > 0 && isIndexed
  );
  if (left.length > 0) {
    yield warning(
      "queue",
      `A consumer of "${queue}" has died with messages in hand.`,
      "Start a consumer: it puts them back into the queue.",
    );
  }
  const astray = consumers.filter(({ isIndexed }) => !isIndexed)
    .reduce((sum, { inFlight }) => sum + inFlight, 0);
  if (astray > 0) {
    yield warning(
      "queue",
      `Somebody has removed consumers that have ${
        amount(astray, "message")
      } of "${queue}" in hand from ${new QueueKeys(queue).consumers}.`,
      "Start a consumer: it puts them back into the queue (one that runs already does so within ten minutes). Let cleaning jobs and evictions spare the queue's keys.",
    );
  }
}

/** Looks what waits for subscribers that are away. */
function* checkMissed(
  { queue, missed }: Standing,
  limits: Limits,
): Generator<Finding> {
  if (missed.some(({ isIndexed }) => !isIndexed)) {
    yield warning(
      "queue",
      `Somebody has removed subscribers for which messages of "${queue}" wait from ${
        new QueueKeys(queue).subscribers
      }.`,
      "Start a consumer: it enters them again (one that runs already does so within ten minutes). Let cleaning jobs and evictions spare the queue's keys.",
    );
  }
  for (const { subscriber, count, bytes } of missed) {
    yield warning(
      "queue",
      `${amount(count, "message")} of "${queue}" ${
        count === 1 ? "waits" : "wait"
      } for the subscriber "${subscriber}", which is away.`,
      "Start it. When missedAge is over, they go.",
    );
    const near = nearLimit("missed", { count, bytes }, limits);
    if (near !== undefined) {
      yield warning(
        "queue",
        `The messages of "${queue}" that wait for "${subscriber}" ${near}.`,
        "Start it before the oldest make room, or raise maxMissed and maxMissedBytes.",
      );
    }
  }
}

/** Looks at what could not be handled, and how much room is left for it. */
function* checkDeadLetters(
  { queue, deadLetters }: Standing,
  limits: Limits,
): Generator<Finding> {
  if (deadLetters.count > 0) {
    yield warning(
      "queue",
      `${
        amount(deadLetters.count, "message")
      } of "${queue}" could not be handled.`,
      "Look at them (dead list), then requeue or purge them.",
    );
  }
  const { textBytes = 0 } = deadLetters;
  if (textBytes > 0) {
    yield warning(
      "queue",
      `The text of a dead letter of "${queue}" alone takes ${
        size(textBytes)
      }, beside the others.`,
      "Requeue or purge it; otherwise it makes room for the next one of that kind.",
    );
  }
  const near = nearLimit("deadLetters", deadLetters, limits);
  if (near !== undefined) {
    yield warning(
      "queue",
      `The dead letters of "${queue}" ${near}.`,
      "Requeue or purge them before the oldest make room, or raise maxDeadLetters and maxDeadLetterBytes.",
    );
  }
}
