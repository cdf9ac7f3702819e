// deno-lint-ignore-file no-console -- this is a program

/** Prints what `resolveConfig` finds, or why it fails. */

import { resolveConfig } from "../../src/config/mod.ts";

const [path] = Deno.args;
try {
  const { options, file } = await resolveConfig({
    ...(path !== undefined && { path }),
  });
  console.log(JSON.stringify({ options, file }));
} catch (error) {
  console.log((error as Error).message);
}
