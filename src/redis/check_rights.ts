import type { Connection } from "./connection.ts";
import { escapePattern, QueueKeys } from "./queue_keys.ts";
import { RedisError, toRedisError, UNKNOWN_ADVICE } from "./redis_error.ts";
import { isNumber, isText } from "./reply_shape.ts";
import { defineScript } from "./script.ts";

/** Runs commands, passes over what they answer, and collects the errors. */
const TRY = defineScript(`
-- It declares no keys, since the user may not be permitted to touch them.
-- ARGV     in turns: of how many words a command consists, and the words
-- Returns in turns: the number of a command that failed, and its error.
local errors, position, number = {}, 1, 0
while position <= #ARGV do
  local count = tonumber(ARGV[position])
  local reply = redis.pcall(unpack(ARGV, position + 1, position + count))
  if type(reply) == 'table' and reply.err then
    errors[#errors + 1] = number
    errors[#errors + 1] = reply.err
  end
  position, number = position + count + 1, number + 1
end
return errors
`);

/** A command with its arguments. */
export type Words = readonly string[];

/**
 * Commands without which a server serves: they are needed where a settled batch
 * is put back, memory is short, or a text is kept apart. Whoever is not permitted
 * to use them is told, since that can be granted.
 */
const RARE: ReadonlySet<string> = new Set(
  ["LPOS", "LREM", "RENAME", "EXPIRE", "PEXPIRE", "HSETNX"],
);

/** Says how messages are to be taken, or the command that takes them at most once. */
type Taking = "at-least-once" | "BLPOP" | "BLMPOP";

/**
 * Checks that the user may do all that consuming a queue can need: taking,
 * settling, failing, burying and stopping. It runs each command on a key that is
 * gone afterwards, or so that it changes nothing.
 *
 * @param connection A connection to the queue's server.
 * @param taking The way in which messages are to be taken.
 * @param user The user's name, as it was given.
 * @param extent Says which rights count: also those for commands that block, or
 * only those for the keys, where the commands were checked with another queue.
 * @throws {RedisError} `permission`: something is missing; the advice is the one
 * `ACL SETUSER` line that grants all of it. `reply`: the server does not have a
 * command without which nothing can be consumed, or not under its name.
 */
export async function checkRights(
  connection: Connection,
  queue: string,
  taking: Taking,
  user: string,
  extent: "all" | "without blocking" | "keys" = "all",
): Promise<void> {
  const keys = new QueueKeys(queue);
  const probe = keys.dead.replace(/dead$/, "probe");
  const refusals = await refusalsOf(
    connection,
    extent === "keys"
      ? [["LTRIM", queue, "0", "-1"], ["HDEL", keys.consumers, ""]]
      : taking === "at-least-once"
      ? atLeastOnce(keys, probe)
      : atMostOnce(keys, probe),
  );
  if (extent === "all") {
    // Scripts may run no command that blocks.
    const command = blocking(taking, probe);
    await tryWithOne(connection, probe, command).catch(
      ({ message, cause }: RedisError) =>
        refusals.push([
          command,
          (cause as Error | undefined)?.message ?? message,
        ]),
    );
  }
  const missing = new Set<string>();
  const unknown = new Set<string>();
  let isKeyMissing = false;
  for (const [command, answer] of refusals) {
    const { code, refused } = toRedisError(new Error(answer), {});
    const [name] = command as [string];
    const isRare = RARE.has(name) ||
      // Only at least once has a heartbeat.
      taking !== "at-least-once" && name === "SET";
    if (refused === "unknown-command" && !isRare) unknown.add(name);
    if (code !== "permission") continue;
    if (refused === "key") isKeyMissing = true;
    else missing.add(`+${nameOf(command)}`);
  }
  const attempted = `read "${queue}"`;
  if (unknown.size > 0) {
    const names = [...unknown].join(", ");
    throw new RedisError(
      {
        attempted,
        reason:
          `the server does not have the commands ${names}, or not under these names`,
        advice: UNKNOWN_ADVICE,
      },
      "reply",
      { refused: "unknown-command" },
    );
  }
  if (missing.size === 0 && !isKeyMissing) return;
  const reasons = [
    ...(missing.size > 0
      ? [`run ${[...missing].map((name) => name.slice(1)).join(", ")}`]
      : []),
    ...(isKeyMissing ? ["touch all keys of the queue"] : []),
  ];
  const rules = [...(isKeyMissing ? patterns(queue) : []), ...missing];
  throw new RedisError({
    attempted,
    reason: `the user "${user}" may not ${reasons.join(", nor ")}`,
    advice: `ACL SETUSER ${user} ${rules.join(" ")}`,
  }, "permission");
}

/** Runs commands by one script; gives those that failed, with what was answered. */
async function refusalsOf(
  connection: Connection,
  commands: readonly Words[],
): Promise<[command: Words, answer: string][]> {
  const errors = await connection.script<(number | string)[]>(
    TRY,
    [],
    commands.flatMap((words) => [String(words.length), ...words]),
    {
      isReply: (reply) =>
        Array.isArray(reply) &&
        reply.every((item, at) => at % 2 === 0 ? isNumber(item) : isText(item)),
    },
  );
  const refusals: [Words, string][] = [];
  for (let at = 0; at < errors.length; at += 2) {
    refusals.push([commands[Number(errors[at])]!, String(errors[at + 1])]);
  }
  return refusals;
}

/** Lists what a consumer sends that keeps messages until they are handled. */
function atLeastOnce(
  { queue, consumers, deliveries, retry, dead }: QueueKeys,
  probe: string,
): readonly Words[] {
  return [
    ["DEL", probe],
    ["TYPE", queue],
    ["LRANGE", queue, "1", "0"],
    ["LTRIM", queue, "0", "-1"],
    ["LRANGE", dead, "1", "0"],
    ["LTRIM", dead, "0", "-1"],
    ["MEMORY", "USAGE", dead],
    ["ZREMRANGEBYRANK", retry, "1", "0"],
    ["HDEL", deliveries, ""],
    ["HDEL", consumers, ""],
    ["HGET", consumers, ""],
    ["LLEN", probe],
    ["RPUSH", probe, ""],
    ["LPUSH", probe, ""],
    ["LPOS", probe, ""],
    ["LREM", probe, "1", "0"],
    ["SORT", probe, "BY", "nosort", "STORE", probe],
    ["RPUSH", probe, ""],
    ["RENAME", probe, probe],
    ["LMOVE", probe, probe, "LEFT", "RIGHT"],
    ["DEL", probe],
    ["HSET", probe, "", ""],
    ["HSETNX", probe, "", ""],
    ["HKEYS", probe],
    ["HGETALL", probe],
    ["DEL", probe],
    ["ZADD", probe, "0", ""],
    ["ZRANGE", probe, "0", "0"],
    ["DEL", probe],
    ["SET", probe, "", "PX", "1000"],
    ["GET", probe],
    ["EXISTS", probe],
    ["EXPIRE", probe, "1"],
    ["PEXPIRE", probe, "1000"],
    ["DEL", probe],
    ["TIME"],
  ];
}

/** Lists what a consumer sends that removes messages as it takes them. */
function atMostOnce(
  { queue, dead }: QueueKeys,
  probe: string,
): readonly Words[] {
  return [
    ["LLEN", queue],
    ["LPOP", probe, "1"],
    ["RPUSH", probe, ""],
    ["LTRIM", probe, "1", "0"],
    ["LPUSH", probe, ""],
    ["LTRIM", probe, "1", "0"],
    ["LTRIM", queue, "0", "-1"],
    ["LTRIM", dead, "0", "-1"],
    ["MEMORY", "USAGE", dead],
    ["LREM", probe, "1", "0"],
    ["LPOS", probe, ""],
    ["SET", probe, "", "PX", "1000"],
    ["GET", probe],
    ["EXPIRE", probe, "1"],
    ["DEL", probe],
  ];
}

/** Gives the command that waits for a message, for a moment. */
function blocking(taking: Taking, probe: string): Words {
  switch (taking) {
    case "at-least-once":
      return ["BLMOVE", probe, probe, "LEFT", "RIGHT", "0.001"];
    case "BLPOP":
      return ["BLPOP", probe, "0.001"];
    case "BLMPOP":
      return ["BLMPOP", "0.001", "1", probe, "LEFT"];
  }
}

/**
 * Runs a command that blocks on a key that has one item meanwhile: where there is
 * nothing, Redis looks only ten times a second whether a wait is over.
 */
async function tryWithOne(
  connection: Connection,
  key: string,
  command: Words,
): Promise<void> {
  const [, tried] = await Promise.allSettled([
    connection.command(["RPUSH", key, ""]),
    connection.command(command),
    connection.command(["DEL", key]),
  ]);
  if (tried.status === "rejected") throw tried.reason;
}

/** Names a command as a rule of an ACL does. */
function nameOf([name, part]: Words): string {
  return (name === "MEMORY" ? `${name}|${part}` : name!).toLowerCase();
}

/** Lists the patterns of a queue's keys, as in an ACL. */
function patterns(queue: string): readonly string[] {
  const { dead } = new QueueKeys(queue);
  return [
    `~${escapePattern(queue)}`,
    `~${escapePattern(dead.slice(0, -"dead".length))}*`,
  ];
}
