import type { Words } from "../redis/check_rights.ts";
import type { BriefConnection } from "../redis/brief_connection.ts";
import { readRefusal, RedisError } from "../redis/redis_error.ts";
import { QueueKeys } from "../redis/queue_keys.ts";
import { commandsFor, type Deed } from "./deeds.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";

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
      await connection.command(command).then(
        (): undefined => undefined,
        (error) => {
          if (error.code === "connection") throw error;
          return error as RedisError;
        },
      ),
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
  DENIED: [
    "The server is in protected mode: without a password it only serves its own host.",
    "Give it a password (`requirepass` in redis.conf), and set `password` here.",
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

/** Names something that people want to do. */
interface Purpose {
  /** To do what, as in "may ...". */
  readonly name: string;
  /** True if nearly everybody wants it. */
  readonly isCommon: boolean;
  /** The work that belongs to it. */
  readonly deeds: readonly Deed[];
}

const PURPOSES: readonly Purpose[] = [
  { name: "take messages", isCommon: true, deeds: ["consume"] },
  {
    name: "take messages at most once",
    isCommon: false,
    deeds: ["consume at most once"],
  },
  { name: "send messages", isCommon: true, deeds: ["send"] },
  {
    name: "delay and cancel messages",
    isCommon: false,
    deeds: ["schedule", "cancel"],
  },
  {
    name: "send requests and responses",
    isCommon: true,
    deeds: ["ask", "answer"],
  },
  {
    name: "look after dead letters",
    isCommon: false,
    deeds: [
      "list dead letters",
      "purge dead letters",
      "requeue dead letters",
    ],
  },
  {
    name: "requeue dead letters that are larger than maxDeadLetterBytes",
    isCommon: false,
    deeds: ["requeue large dead letters"],
  },
  {
    name: "see how the queue stands",
    isCommon: false,
    deeds: ["survey"],
  },
  {
    name: "pause and resume the queue",
    isCommon: false,
    deeds: ["pause", "resume"],
  },
];

/** Names what is missing, and the rule that grants it. */
interface Lack {
  /** Continues `The user "..." `. */
  readonly text: string;
  /** The rules to give to `ACL SETUSER`. */
  readonly rules: readonly string[];
}

/** Puts together what some commands lack; `undefined` where that is nothing. */
function lackOf(
  commands: readonly Words[],
  refusals: ReadonlyMap<Words, Denial>,
  queue: string,
): Lack | undefined {
  const names = new Set<string>();
  const patterns = new Set<string>();
  for (const command of commands) {
    const refused = refusals.get(command);
    if (refused === "key") {
      const touched = keyPatterns(command, queue);
      // Another command tells which one of several it is.
      if (touched.length === 1) patterns.add(touched[0]!);
    } else if (refused !== undefined) names.add(command[0]!.toLowerCase());
  }
  if (names.size + patterns.size === 0) return undefined;
  const parts = [
    ...(names.size > 0 ? [`run ${[...names].join(", ")}`] : []),
    ...(patterns.size > 0
      ? [`touch ${[...patterns].map((text) => text.slice(1)).join(" and ")}`]
      : []),
  ];
  return {
    text: `may not ${parts.join(", nor ")}`,
    rules: [...patterns, ...[...names].map((name) => `+${name}`)],
  };
}

/** The patterns of the keys that a command touches, as in an ACL. */
function keyPatterns(command: Words, queue: string): readonly string[] {
  const escape = (key: string): string => key.replace(/[*?[\]\\]/g, "\\$&");
  const start = new QueueKeys(queue).dead.slice(0, -"dead".length);
  const responses = "platypush/responses/";
  const patterns = command.slice(1).flatMap((word) =>
    word === queue
      ? [`~${escape(queue)}`]
      : word.startsWith(start)
      ? [`~${escape(start)}*`]
      : word.startsWith(responses)
      ? [`~${responses}*`]
      : []
  );
  return [...new Set(patterns)];
}

/**
 * Looks at what the user may do, command by command. None of them is run.
 */
export async function* checkAccess(
  connection: BriefConnection,
  queue: string,
): AsyncGenerator<Finding> {
  const user = await whoAmI(connection);
  const commands = commandsFor(queue);
  const refusals = await refusalsOf(
    connection,
    user,
    Object.values(commands).flat(),
  );
  if (refusals === undefined) {
    yield warning(
      "access",
      `What the user "${user}" may do could not be found out.`,
      `Let the user run MULTI and DISCARD, and look again: ACL SETUSER ${user} +multi +discard`,
    );
    return;
  }
  const permitted: string[] = [];
  for (const { name, isCommon, deeds } of PURPOSES) {
    const needed = deeds.flatMap((deed) => commands[deed]);
    const lack = lackOf(needed, refusals, queue);
    if (lack === undefined) {
      permitted.push(name);
      continue;
    }
    yield (isCommon ? failure : warning)(
      "access",
      `The user "${user}" may not ${name}: it ${lack.text}.`,
      `ACL SETUSER ${user} ${lack.rules.join(" ")}`,
    );
  }
  if (permitted.length > 0) {
    yield ok("access", `The user "${user}" may ${permitted.join(", ")}.`);
  }
}

/**
 * Says what the user lacks for some work.
 *
 * @param connection A connection to the server of the queue.
 * @param error The server's refusal, which is all that is known where the user may
 * not even ask.
 * @returns The user's name and what is missing; `undefined` where that is nothing.
 */
export async function findLack(
  connection: BriefConnection,
  queue: string,
  deeds: readonly Deed[],
  error: RedisError,
): Promise<Lack & { readonly user: string } | undefined> {
  const user = await whoAmI(connection);
  const commands = deeds.flatMap((deed) => commandsFor(queue)[deed]);
  const refusals = await refusalsOf(connection, user, commands) ??
    collect(commands, commands.map((command) => refusalBy(error, command)));
  const lack = lackOf(commands, refusals, queue);
  return lack && { user, ...lack };
}

/** Tells whether an error refuses a command; it may be any where none is named. */
function refusalBy(error: RedisError, [name]: Words): Denial {
  const named = error.subject?.split("|", 1)[0];
  return named === undefined || named.toUpperCase() === name
    ? error.refused
    : undefined;
}

/** Names what a command lacks, if anything. */
type Denial = RedisError["refused"];

/** Finds out which commands would be refused, by one way or the other. */
async function refusalsOf(
  connection: BriefConnection,
  user: string,
  commands: readonly Words[],
): Promise<ReadonlyMap<Words, Denial> | undefined> {
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
): ReadonlyMap<Words, Denial> {
  return new Map(commands.map((command, at) => [command, missing[at]]));
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
