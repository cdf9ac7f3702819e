import assert from "node:assert/strict";
import { Namespace, whyNoNamespaces } from "../namespaces.ts";
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

const reason = await whyNoNamespaces();

Deno.test({
  name: `discover() is content with the addresses of mDNS${
    reason ? ` (skipped: ${reason})` : ""
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    await using namespace = await Namespace.make();
    const { code, stderr } = await runProgram(
      ["cli.ts", "discover", "--timeout", "1"],
      {
        namespace,
        permissions: [
          "--allow-net=0.0.0.0:5353,224.0.0.251:5353,[ff02::fb]:5353",
          "--allow-sys",
          "--allow-env",
        ],
      },
    );
    assert.equal(code, 1);
    // Nothing is said before about what cannot be sent.
    assert.match(stderr, /^error: No peer was found/);
  },
});
