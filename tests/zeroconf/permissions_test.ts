import assert from "node:assert/strict";
import { runProgram } from "../programs.ts";

for (const missing of ["--allow-net", "--allow-sys"]) {
  Deno.test(`discover() says in one line that ${missing} is missing`, async () => {
    const permissions = ["--allow-net", "--allow-sys", "--allow-env"]
      .filter((flag) => flag !== missing);
    const ended = await runProgram(["cli.ts", "discover"], { permissions });
    assert.deepEqual([ended.code, ended.stdout], [2, ""]);
    assert.match(
      ended.stderr,
      new RegExp(`^error: [^\\n]*${missing}[^\\n]*\\n$`),
    );
  });
}
