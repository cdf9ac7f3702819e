import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { testAlone } from "../test_alone.ts";
import { until } from "../until.ts";
import { at, QUEUE } from "./helpers.ts";

for (
  const command of [
    ["status"],
    ["doctor", "--json", "--no-multicast"],
    ["dead", "list"],
    ["dead", "show", "0"],
    ["dead", "requeue", "--all"],
    ["dead", "purge", "--all"],
  ]
) {
  Deno.test(`${command.join(" ")} tells that it was interrupted`, async () => {
    // A server that does not answer.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    await using program = new Program(
      ["cli.ts", ...command, "--url", `redis://127.0.0.1:${port}`],
    );
    using _connection = await inTime(listener.accept(), "a connection");
    const { code, stdout, stderr } = await program.end("SIGINT");
    assert.equal(code, 1);
    assert.match(stderr, /^error: Interrupted: Cannot [^\n]+ was closed.*\n$/);
    assert.doesNotMatch(stdout, /failure/);
  });
}

for (
  const [command, message] of [
    ["discover --timeout 60", "nobody was found until then"],
    ["send request a --to nobody --wait 60", "not everything was done"],
  ] as const
) {
  testAlone(`${command} tells that it was interrupted`, async (namespace) => {
    await using program = new Program(["cli.ts", ...command.split(" ")], {
      namespace,
    });
    // It listens on the port of mDNS, 5353.
    await until(async () =>
      (await namespace.run("cat", "/proc/net/udp")).stdout
        .includes(":14E9 ")
    );
    const { code, stderr } = await program.end("SIGINT");
    assert.equal(code, 1);
    assert.equal(stderr, `error: Interrupted: ${message}\n`);
  });
}

for (const command of ["send request a --wait 60", "actions --wait 60"]) {
  Deno.test(`${command} takes back what nobody has taken when it is interrupted`, async () => {
    await using server = await TestServer.start();
    await using program = new Program(
      ["cli.ts", ...command.split(" "), "--target", "x", ...at(server)],
    );
    // It looks for the response.
    await until(async () =>
      (await server.run<string>("CLIENT", "LIST")).includes("cmd=lrange")
    );
    const { code, stderr } = await program.end("SIGINT");
    assert.deepEqual([code, stderr], [
      1,
      `error: Interrupted before the response came. Nobody has taken it from "${QUEUE}", and it was taken back\n`,
    ]);
    assert.equal(await server.run("EXISTS", QUEUE), 0);
  });
}
