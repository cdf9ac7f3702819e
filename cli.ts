/**
 * The command line: `listen`, `send` and `discover`, as
 * `deno run -A cli.ts --help` describes them. Imported, it runs nothing, and
 * gives what its commands are made of.
 *
 * @module
 */

import { main } from "./src/cli/mod.ts";

export * from "./src/cli/mod.ts";

if (import.meta.main) await main(Deno.args);
