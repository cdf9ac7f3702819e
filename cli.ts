/**
 * The command line, as `deno run -A cli.ts --help` describes it. Imported, it
 * runs nothing, and gives what its commands are made of: {@linkcode program}
 * above all.
 *
 * @module
 */

import { main } from "./src/cli/mod.ts";

export * from "./src/cli/mod.ts";

if (import.meta.main) await main(Deno.args);
