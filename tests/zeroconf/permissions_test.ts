import assert from "node:assert/strict";
import { runProgram } from "../programs.ts";
import { testAlone } from "../test_alone.ts";

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

for (
  const [what, ...net] of [
    ["only a part of multicast is permitted", "--allow-net=0.0.0.0:5353"],
    [
      "multicast alone is denied",
      "--allow-net",
      "--deny-net=224.0.0.251,[ff02::fb]",
    ],
  ] as const
) {
  Deno.test(`discover() says in one line that ${what}`, async () => {
    const permissions = [...net, "--allow-sys", "--allow-env"];
    const ended = await runProgram(["cli.ts", "discover"], { permissions });
    assert.deepEqual([ended.code, ended.stdout], [2, ""]);
    assert.match(
      ended.stderr,
      /^error: Cannot use multicast[^\n]*--allow-net\n$/,
    );
  });
}

testAlone(
  "discover() is content with the addresses of mDNS",
  async (namespace) => {
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
);

testAlone(
  "discover() does without an address that is denied",
  async (namespace) => {
    const { code, stderr } = await runProgram(
      ["cli.ts", "discover", "--timeout", "1"],
      {
        namespace,
        permissions: [
          "--allow-net",
          "--deny-net=127.0.0.1",
          "--allow-sys",
          "--allow-env",
        ],
      },
    );
    assert.equal(code, 1);
    assert.match(stderr, /^error: No peer was found/);
  },
);
