import type { BriefConnection } from "../redis/brief_connection.ts";
import { readRefusal, RedisError } from "../redis/redis_error.ts";
import { commandsFor, keyPatterns } from "./commands.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";
import { rehearse, type Words } from "./rehearse.ts";

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
