import type { BriefConnection } from "../redis/brief_connection.ts";
import { readRefusal, RedisError } from "../redis/redis_error.ts";
import { queueKeys } from "../redis/queue_keys.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";

/** The words of a command. */
type Words = readonly string[];

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
async function rehearse(
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

/** Explains what a server says that does not do its work, and what to do. */
const REPLIES: Readonly<
  Record<string, readonly [message: string, advice: string]>
> = {
  READONLY: [
    "The server is a replica, and takes nothing that is written.",
    "Connect to its master; with Sentinel or Cluster, let `sentinels` or `cluster` find it.",
  ],
  MISCONF: [
    "The server cannot save its data to disk, and takes nothing that is written.",
    "Make room on its disk and look into its log; INFO persistence tells when it works again.",
  ],
  OOM: [
    "The server is out of memory, and takes nothing that is written.",
    "Raise its `maxmemory`, or remove what is no longer needed.",
  ],
  NOREPLICAS: [
    "Too few replicas are connected, and the server takes nothing that is written.",
    "Bring the replicas back, or lower `min-replicas-to-write`.",
  ],
  CLUSTERDOWN: [
    "The cluster is down.",
    "Bring its nodes back: CLUSTER INFO tells which slots are served.",
  ],
  LOADING: [
    "The server is loading its data, and answers nothing else meanwhile.",
    "Wait until it has finished: its log tells how far it is.",
  ],
  BUSY: [
    "A script keeps the server busy, and it answers nothing else meanwhile.",
    "Wait, or end the script: SCRIPT KILL",
  ],
};

/**
 * Says what an answer of the server means.
 *
 * @returns What it means, and what to do; `undefined` where that is not known.
 */
export function explainReply(
  error: RedisError,
): readonly [message: string, advice: string] | undefined {
  return error.reply === undefined ? undefined : REPLIES[error.reply];
}

/** Names something that people want to do, and the commands that it takes. */
interface Purpose {
  /** To do what, as in "may …". */
  readonly name: string;
  /** True if nearly everybody wants it. */
  readonly isCommon: boolean;
  /** Commands with arguments as the module sends them. */
  readonly commands: readonly Words[];
}

/**
 * All commands that the module sends about a queue, scripts included.
 */
export function commandsFor(queue: string): readonly Purpose[] {
  const keys = queueKeys(queue, "doctor");
  const { processing, heartbeat, consumers, deliveries } = keys;
  const { retry, delayed, dead } = keys;
  const batch = `${keys.batch}1`;
  const response = "platypush/responses/doctor";
  return [
    {
      name: "take messages",
      isCommon: true,
      commands: [
        ["EVAL", "return 1", "1", queue],
        ["EVALSHA", "0".repeat(40), "1", queue],
        ["TYPE", queue],
        ["LLEN", queue],
        ["LPUSH", queue, ""],
        ["LPOS", queue, ""],
        ["LREM", queue, "1", ""],
        ["BLMOVE", queue, batch, "LEFT", "RIGHT", "1"],
        ["RPUSH", batch, ""],
        ["LRANGE", batch, "0", "-1"],
        ["DEL", batch],
        ["SET", heartbeat, "1", "PX", "1"],
        ["GET", heartbeat],
        ["PTTL", heartbeat],
        ["EXISTS", heartbeat],
        ["PEXPIRE", heartbeat, "1"],
        ["HSET", processing, "1", ""],
        ["HSETNX", processing, "1", ""],
        ["HKEYS", processing],
        ["HGET", consumers, "doctor"],
        ["HGETALL", consumers],
        ["HDEL", consumers, "doctor"],
        ["EXPIRE", deliveries, "1"],
        ["ZADD", retry, "0", ""],
        ["ZRANGE", retry, "0", "0"],
        ["ZRANGEBYSCORE", retry, "0", "0"],
        ["ZREMRANGEBYRANK", retry, "0", "0"],
        ["RPUSH", dead, ""],
        ["LTRIM", dead, "0", "-1"],
        ["SORT", queue, "BY", "nosort", "STORE", batch],
        ["MEMORY", "USAGE", dead],
        ["TIME"],
      ],
    },
    {
      name: "take messages at most once",
      isCommon: false,
      commands: [
        ["LPOP", queue, "1"],
        ["BLPOP", queue, "1"],
        ["BLMPOP", "1", "1", queue, "LEFT"],
      ],
    },
    {
      name: "send messages",
      isCommon: true,
      commands: [["RPUSH", queue, ""]],
    },
    {
      name: "cancel delayed messages",
      isCommon: false,
      commands: [["ZREM", delayed, ""]],
    },
    {
      name: "send requests and responses",
      isCommon: true,
      commands: [
        ["RPUSH", response, ""],
        ["EXPIRE", response, "1"],
        ["LRANGE", response, "0", "0"],
        ["LTRIM", response, "1", "0"],
        ["UNLINK", response],
      ],
    },
    {
      name: "look after dead letters",
      isCommon: false,
      commands: [
        ["LLEN", dead],
        ["LRANGE", dead, "0", "0"],
        ["LSET", dead, "0", ""],
        ["LREM", dead, "1", ""],
        ["RPUSH", queue, ""],
      ],
    },
    {
      name: "see how the queue stands",
      isCommon: false,
      commands: [
        ["PTTL", heartbeat],
        ["ZCARD", retry],
        ["HGETALL", consumers],
        ["INFO", "server"],
      ],
    },
  ];
}

/** The patterns of the keys that these commands touch, as in an ACL. */
function keyPatterns(queue: string): string {
  const { dead } = queueKeys(queue, "");
  const escape = (key: string): string => key.replace(/[*?[\]\\]/g, "\\$&");
  const others = escape(dead.slice(0, -"dead".length));
  return `~${escape(queue)} ~${others}* ~platypush/responses/*`;
}

/**
 * Looks at what the user may do, command by command. None of them is run.
 *
 * @param connection A connection to the server.
 */
export async function* checkAccess(
  connection: BriefConnection,
  queue: string,
): AsyncGenerator<Finding> {
  const user = await whoAmI(connection);
  const purposes = commandsFor(queue);
  const commands = purposes.flatMap((purpose) => purpose.commands);
  const refusals = await refusalsOf(connection, user, commands);
  if (refusals === undefined) {
    yield warning(
      "access",
      `What the user "${user}" may do could not be found out.`,
      `Let the user run MULTI and DISCARD, and look again: ACL SETUSER ${user} +multi +discard`,
    );
    return;
  }
  const permitted: string[] = [];
  for (const { name, isCommon, commands } of purposes) {
    const refused = commands.flatMap((command) => refusals.get(command) ?? []);
    if (refused.length === 0) {
      permitted.push(name);
      continue;
    }
    const missing = new Set(
      refused.flatMap(({ command }) => command ? [`+${command}`] : []),
    );
    const isKeyMissing = refused.some(({ command }) => command === undefined);
    const parts = [
      ...(missing.size > 0 ? [`run ${[...missing].join(" ")}`] : []),
      ...(isKeyMissing ? ["touch all the keys"] : []),
    ];
    yield (isCommon ? failure : warning)(
      "access",
      `The user "${user}" may not ${name}: it may not ${
        parts.join(", nor ").replaceAll("+", "")
      }.`,
      `ACL SETUSER ${user} ${
        [...missing, ...(isKeyMissing ? [keyPatterns(queue)] : [])].join(" ")
      }`,
    );
  }
  if (permitted.length > 0) {
    yield ok("access", `The user "${user}" may ${permitted.join(", ")}.`);
  }
}

/** Names what a command lacks, if anything. */
type Denial = RedisError["refused"];

/** A command that the user may not run, or keys that it may not touch. */
interface Refusal {
  readonly command: string | undefined;
}

/** Finds out which commands would be refused, by one way or the other. */
async function refusalsOf(
  connection: BriefConnection,
  user: string,
  commands: readonly Words[],
): Promise<ReadonlyMap<Words, Refusal> | undefined> {
  try {
    const errors = await rehearse(connection, commands);
    return collect(
      commands,
      errors.map((error, index) => {
        if (error?.refused !== "unknown-command") return error?.refused;
        // It came with Redis 7, and is done without on 6.2.
        return commands[index]![0] === "BLMPOP" ? undefined : "command";
      }),
    );
  } catch (error) {
    if (!isPermission(error)) throw error;
  }
  try {
    const missing: Denial[] = [];
    for (const command of commands) {
      const answer = await connection.command<string>(
        ["ACL", "DRYRUN", user, ...command],
      );
      missing.push(answer === "OK" ? undefined : readRefusal(answer));
    }
    return collect(commands, missing);
  } catch (error) {
    if (isPermission(error) || isUnknown(error)) return undefined;
    throw error;
  }
}

function collect(
  commands: readonly Words[],
  missing: readonly Denial[],
): ReadonlyMap<Words, Refusal> {
  const refusals = new Map<Words, Refusal>();
  for (const [index, refused] of missing.entries()) {
    if (refused === undefined) continue;
    const [name] = commands[index]!;
    refusals.set(commands[index]!, {
      command: refused === "key" ? undefined : name!.toLowerCase(),
    });
  }
  return refusals;
}

async function whoAmI(connection: BriefConnection): Promise<string> {
  try {
    return await connection.command<string>(["ACL", "WHOAMI"]);
  } catch (error) {
    if (isPermission(error) || isUnknown(error)) return connection.user;
    throw error;
  }
}

function isPermission(error: unknown): boolean {
  return error instanceof RedisError && error.code === "permission";
}

/** A command that the server's configuration has renamed, or that is newer than it. */
function isUnknown(error: unknown): boolean {
  return error instanceof RedisError && error.refused === "unknown-command";
}

/**
 * Looks at whether the server takes what is written. Nothing is.
 */
export async function* checkWriting(
  connection: BriefConnection,
  queue: string,
): AsyncGenerator<Finding> {
  const [error] = await rehearse(connection, [["RPUSH", queue, ""]]);
  if (error === undefined) {
    yield ok("writing", "The server takes what is written.");
    return;
  }
  // Whether the user may write is looked at elsewhere.
  if (error.code === "permission") return;
  const [message, advice] = explainReply(error) ??
    [`${error.message}.`, "Look into the server's log."];
  yield failure("writing", message, advice);
}
