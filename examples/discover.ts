/**
 * Prints the backends on the local network, one JSON object a line.
 *
 * ```sh
 * deno run -A examples/discover.ts
 * ```
 *
 * @module
 */

import { discover } from "@platypush/redis";
import { logToStderr, printLine, program } from "@platypush/redis/cli";

await program(async () => {
  await logToStderr("warning");
  for (const peer of await discover({ timeout: 2 })) {
    await printLine(JSON.stringify(peer));
  }
});
