import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { discover } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { printLine } from "./print_line.ts";
import { ExitCode } from "./program.ts";
import { seconds } from "./values.ts";

/** `discover`: prints the backends on the local network, one JSON object a line. */
export const discoverCommand: Command = defineCommand("discover", {
  brief: "Find the listeners on the local network",
  usage: "[OPTION]…",
  examples: ["platypush-redis discover --timeout 5"],
  options: object({
    timeout: withDefault(
      option("--timeout", seconds(), {
        description: message`How long to look. Default: 2`,
      }),
      2,
    ),
  }),
  run: async ({ timeout }, { signal }) => {
    const peers = await discover({ timeout, signal });
    for (const peer of peers) await printLine(JSON.stringify(peer));
    if (peers.length === 0) Deno.exitCode = ExitCode.No;
  },
});
