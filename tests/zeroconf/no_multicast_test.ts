import assert from "node:assert/strict";
import { Namespace, whyNoNamespaces } from "../namespaces.ts";
import { runProgram } from "../programs.ts";

const reason = await whyNoNamespaces();

Deno.test({
  name: `discover says that nothing can be sent, once${
    reason ? ` (skipped: ${reason})` : ""
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    await using namespace = await Namespace.make();
    await namespace.ip("link", "set", "lo", "down");
    const { code, stdout, stderr } = await runProgram(
      ["cli.ts", "discover"],
      { namespace },
    );
    assert.deepEqual([code, stdout], [1, ""]);
    const [warning, error, rest] = stderr.split("\n");
    assert.match(warning!, /Cannot send on lo, .* firewall .* 5353/);
    assert.match(error!, /^error: No listener .*; `doctor` tells whether/);
    assert.equal(rest, "");
  },
});
