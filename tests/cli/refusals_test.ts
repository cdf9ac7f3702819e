import assert from "node:assert/strict";
import { runProgram } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { at, QUEUE } from "./helpers.ts";

/** Runs a command that is used wrongly, and gives its one line on stderr. */
async function refused(args: string[], input = ""): Promise<string> {
  const { code, stdout, stderr } = await runProgram(["cli.ts", ...args], {
    input,
  });
  assert.deepEqual([code, stdout], [2, ""], stderr);
  return stderr;
}

Deno.test("the command line refuses what contradicts itself, or would be altered or do nothing", async () => {
  await using server = await TestServer.start();
  for (
    const [args, expected] of [
      [["listen", "--bus", "--queue", "a"], /--bus .* --queue/],
      [["discover", "--watch", "--timeout", "1"], /--watch .* --timeout/],
      [["send", "event", "custom.A", 'b={"a":1,"a":2}'], /"a" is there twice/],
      [["send", "event", "custom.A", 'b=[{"c":{},"c":[]}]'], /"c" is there/],
      [["send", "message"], /the standard input is empty/],
      [["send", "event", ""], /the type of an event.* got ""/],
      [["send", "event", "custom.A", "a=1", "a=2"], /"a" is there twice/],
      [["send", "event", "custom.A", "type=b"], /"type" is what stands in/],
      [["send", "event", "custom.A", "a=1e400"], /a: the number 1e400 would/],
      [["send", "event", "custom.A", 'a={"b":[-1e-400]}'], /number -1e-400/],
      [["send", "request", "b.c", "a=9007199254740993.0"], /993\.0 would not/],
      [[
        "send",
        "message",
        `{"type":"event","args":{"type":"custom.A",` +
        `"a":0.12345678901234567890}}`,
      ], /argument: the number 0\.1234/],
      [["listen", "--embedded"], /--embedded .* --url/],
      [["send", "request"], /Expected an `ACTION`.*arguments\. See --help$/m],
    ] as const
  ) {
    const place = args[0] === "discover" ? [] : at(server);
    assert.match(await refused([...args, ...place]), expected);
  }
  const fine = [
    'b={"a":1,"b":{"a":"a:a"},"c":[{"a":1},{"a":"}"}]}',
    'c=[12345678901234567890, -0.30000000000000004, 1.50, "1e400"]',
    "d=1e400 of them",
  ];
  const command = ["cli.ts", "send", "event", "custom.A", ...fine];
  assert.equal((await runProgram([...command, ...at(server)])).code, 0);
  const [text] = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  assert.match(
    text!,
    /"c":\[12345678901234567890,-0\.30000000000000004,1\.5,"1e400"\],"d":"1e400 of them"/,
  );
});

Deno.test("dead, status and doctor say what there is not, and what is missing", async () => {
  await using server = await TestServer.start();
  const run = async (
    ...args: string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> =>
    await runProgram(["cli.ts", ...args, ...at(server)]);
  assert.match((await run("dead", "list")).stderr, /There are no dead letters/);
  assert.match(
    (await run("dead", "list", "--reason", "failed")).stderr,
    /There are no such dead letters/,
  );
  assert.equal((await run("dead", "requeue", "--all")).code, 0);
  await server.run("SET", "{platypush/backend/redis}:dead", "x");
  assert.match((await run("status")).stderr, /redis}:dead" is a string/);
  await server.run("DEL", "{platypush/backend/redis}:dead");
  await server.run("ACL", "SETUSER", "default", "-eval", "-evalsha");
  assert.match(
    (await run("status")).stderr,
    /may not run eval; ACL SETUSER default \+eval$/m,
  );
  await server.run("ACL", "SETUSER", "default", "-type");
  const { code, stdout } = await run("doctor");
  assert.equal(code, 1);
  assert.match(stdout, /failure +queue .*\+type/);
});
