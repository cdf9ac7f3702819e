import type { Command } from "./command.ts";
import { configCommand } from "./config.ts";
import { deadCommand } from "./dead.ts";
import { discoverCommand } from "./discover.ts";
import { doctorCommand } from "./doctor.ts";
import { listenCommand } from "./listen.ts";
import { parseCommandLine } from "./parse_command_line.ts";
import { program } from "./program.ts";
import { sendCommand } from "./send.ts";
import { statusCommand } from "./status.ts";

/** The commands that there are. */
export const COMMANDS: readonly Command[] = [
  listenCommand,
  sendCommand,
  discoverCommand,
  statusCommand,
  deadCommand,
  doctorCommand,
  configCommand,
];

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
  await program((signal) => {
    const given = args.length === 0 ? ["--help"] : args;
    return parseCommandLine(given, COMMANDS)(signal);
  });
}
