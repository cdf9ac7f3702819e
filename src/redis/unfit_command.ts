import type { Script } from "./script.ts";

/** Says why a command cannot be sent. */
export function unfitCommand(args: unknown, block: unknown): TypeError {
  if (!Array.isArray(args) || args.length === 0) {
    return new TypeError(
      'Cannot run a command: expected a list of its name and arguments, such as ["PING"]',
    );
  }
  for (const [at, part] of args.entries()) {
    if (typeof part === "string" || part instanceof Uint8Array) continue;
    const type = part === null ? "null" : `of the type ${typeof part}`;
    return new TypeError(
      `Cannot run a command: its part ${
        at + 1
      } is ${type}, expected a text or bytes; a number is written as String(number)`,
    );
  }
  return new TypeError(
    `Cannot run a command: \`block\` is ${
      typeof block === "number" ? block : `of the type ${typeof block}`
    }, expected a number of seconds, 0 or more`,
  );
}

/**
 * Makes sure that a script can be sent.
 *
 * @returns The script.
 * @throws {TypeError} If it is no script, or its keys or arguments are no lists.
 */
export function checkScript(
  script: Script,
  keys: unknown,
  args: unknown,
): Script {
  const isScript = typeof script?.sha1 === "string";
  if (isScript && Array.isArray(keys) && Array.isArray(args)) return script;
  throw new TypeError(
    "Cannot run a script: expected { lua, sha1 }, a list of its keys, and a list of its arguments",
  );
}

/**
 * Makes sure that somebody can listen to a channel.
 *
 * @throws {TypeError} If the channel is no text, or the listener no function.
 */
export function checkListener(channel: unknown, listener: unknown): void {
  if (typeof channel === "string" && typeof listener === "function") return;
  throw new TypeError(
    "Cannot listen: expected the name of a channel, a text, and a function that gets each message",
  );
}
