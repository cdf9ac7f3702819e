/**
 * Prints the backends on the local network, one JSON object a line, with
 * nothing but the part that finds them.
 *
 * ```sh
 * deno run -A examples/discover.ts
 * ```
 *
 * @module
 */

import { discover } from "@platypush/redis/zeroconf";
import { logToStderr, printLine, program } from "@platypush/redis/cli";

await program(async (signal) => {
  await logToStderr("warning");
  const peers = await discover({ timeout: 2, signal });
  for (const peer of peers) await printLine(JSON.stringify(peer));
  if (peers.length === 0) {
    throw new Error("Nobody was found on the local network within 2 s");
  }
});
