import assert from "node:assert/strict";
import { Program } from "../programs.ts";
import { testAlone } from "../test_alone.ts";

testAlone(
  "Connections follow a name that moves while the old server still answers",
  async (namespace) => {
    await using stack = new AsyncDisposableStack();
    // `ip netns exec` shows these files in the place of the host's own.
    const files = `/etc/netns/${namespace.name}`;
    await Deno.mkdir(files, { recursive: true });
    stack.defer(() => Deno.remove(files, { recursive: true }));
    await Deno.writeTextFile(`${files}/resolv.conf`, "nameserver 127.0.0.1\n");
    await using program = new Program(["tests/redis/moving_name.ts"], {
      namespace,
    });
    assert.equal(await program.line(), "reconnects: 0");
    assert.equal(await program.line(), "moves: true");
    assert.equal(await program.line(), "sent: true");
    assert.equal(await program.line(), "lost: 0");
    assert.match(
      await program.line(),
      /^warn: Cannot stay connected to Redis at redis\.test:7400: the name stands for another address by now \(127\.0\.0\.3\)\. Connecting again\.$/,
    );
  },
);
