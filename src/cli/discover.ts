import { discover } from "../../mod.ts";
import { readCommandLine, readNumber } from "./options.ts";
import { printLine } from "./print_line.ts";
import { ExitCode } from "./program.ts";

/** `discover`: prints the backends on the local network, one JSON object a line. */
export async function runDiscover(
  args: string[],
  signal: AbortSignal,
): Promise<void> {
  const line = await readCommandLine(args, { timeout: { type: "string" } });
  const timeout = readNumber(line, "timeout") ?? 2;
  const peers = await discover({ timeout, signal });
  for (const peer of peers) await printLine(JSON.stringify(peer));
  if (peers.length === 0) Deno.exitCode = ExitCode.No;
}
