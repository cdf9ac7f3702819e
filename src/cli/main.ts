import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";
import { printLine, printText } from "./print.ts";
import { program } from "./program.ts";

/** Loads each command, which is only done for the one that is asked for. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  listen: async () => (await import("./listen.ts")).listenCommand,
  send: async () => (await import("./send.ts")).sendCommand,
  actions: async () => (await import("./actions.ts")).actionsCommand,
  discover: async () => (await import("./discover.ts")).discoverCommand,
  status: async () => (await import("./status.ts")).statusCommand,
  pause: async () => (await import("./pause.ts")).pauseCommand,
  resume: async () => (await import("./pause.ts")).resumeCommand,
  dead: async () => (await import("./dead.ts")).deadCommand,
  doctor: async () => (await import("./doctor.ts")).doctorCommand,
  dashboard: async () => (await import("./dashboard.ts")).dashboardCommand,
  config: async () => (await import("./config.ts")).configCommand,
  completions: async () =>
    (await import("./completions.ts")).completionsCommand,
};

/**
 * Loads the commands that some arguments may be about: one where they name it,
 * else all.
 *
 * @param args The arguments, as in `Deno.args`.
 */
export function loadCommands(args: readonly string[]): Promise<Command[]> {
  const [name = ""] = args;
  const loaders = Object.hasOwn(COMMANDS, name)
    ? [COMMANDS[name]!]
    : Object.values(COMMANDS);
  return Promise.all(loaders.map((load) => load()));
}

/**
 * Runs the command line, and sets the exit code.
 *
 * @param args The arguments, as in `Deno.args`.
 *
 * @example
 * ```ts
 * import { main } from "@platypush/redis/cli";
 *
 * await main(["--version"]);
 * ```
 */
export async function main(args: readonly string[]): Promise<void> {
  await program(async (signal) => {
    if (args.length === 1 && ["--version", "-V"].includes(args[0]!)) {
      return await printLine(VERSION);
    }
    const [name, shell = "", ...words] = args;
    if (name === "completions" && words.length > 0) {
      const { complete } = await import("./complete.ts");
      const answer = complete(shell, words);
      if (answer !== undefined) return await printText(answer);
    }
    const given = args.length === 0 ? ["--help"] : args;
    const { parseCommandLine } = await import("./parse_command_line.ts");
    return await parseCommandLine(given, await loadCommands(given))(signal);
  });
}
