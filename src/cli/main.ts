import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";
import { printLine } from "./print.ts";
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
};

/**
 * Loads the commands that some arguments may be about: one where they name it,
 * also where they are to be completed, else all.
 *
 * @param args The arguments, as in `Deno.args`.
 */
export function loadCommands(args: readonly string[]): Promise<Command[]> {
  const [name = "", ...rest] = args[0] === "completions" ? args.slice(2) : args;
  const isNamed = Object.hasOwn(COMMANDS, name) &&
    (args[0] !== "completions" || rest.length > 0);
  const loaders = isNamed ? [COMMANDS[name]!] : Object.values(COMMANDS);
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
    const given = args.length === 0 ? ["--help"] : args;
    const { parseCommandLine } = await import("./parse_command_line.ts");
    return await parseCommandLine(given, await loadCommands(given))(signal);
  });
}
