import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";
import { runProgram } from "../programs.ts";
import { testAlone } from "../test_alone.ts";

testAlone("discover says that nothing can be sent, once", async (namespace) => {
  await namespace.ip("link", "set", "lo", "down");
  const { code, stdout, stderr } = await runProgram(
    ["cli.ts", "discover"],
    { namespace },
  );
  assert.deepEqual([code, stdout], [1, ""]);
  const [warning, error, rest] = stderr.split("\n");
  assert.match(warning!, /Cannot send on lo, .* firewall .* 5353/);
  assert.match(error!, /^error: No peer .*; `doctor` tells whether/);
  assert.equal(rest, "");
});

for (
  const [what, ...change] of [
    ["lost its address", "addr", "flush", "dev", "one"],
    ["gone down", "link", "set", "one", "down"],
  ]
) {
  testAlone(
    `nobody is asked for a firewall on an interface that has just ${what}`,
    async (namespace) => {
      await namespace.ip(..."link add one type veth peer name two".split(" "));
      await namespace.ip("addr", "add", "192.0.2.1/24", "dev", "one");
      await namespace.ip("link", "set", "two", "up");
      await namespace.ip("link", "set", "one", "up");
      const program = new URL("sending_once.ts", import.meta.url).pathname;
      await using sending = namespace.start(
        Deno.execPath(),
        ["run", "-A", program],
      );
      assert.equal(await inTime(sending.line(), "the sockets"), "open");
      await namespace.ip(...change);
      await sending.write("send");
      assert.equal(await inTime(sending.line(), "the end"), "closed");
    },
  );
}
