import assert from "node:assert/strict";
import { runProgram } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { at } from "./helpers.ts";

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
      [["send", "request"], /Expected an `ACTION`.*arguments\. See --help$/m],
    ] as const
  ) {
    const place = args[0] === "discover" ? [] : at(server);
    assert.match(await refused([...args, ...place]), expected);
  }
  const fine = 'b={"a":1,"b":{"a":"a:a"},"c":[{"a":1},{"a":"}"}]}';
  const command = ["cli.ts", "send", "event", "custom.A", fine, ...at(server)];
  assert.equal((await runProgram(command)).code, 0);
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
  assert.match((await run("status")).stderr, /give the user \+eval(sha)? with/);
  await server.run("ACL", "SETUSER", "default", "-type");
  const { code, stdout } = await run("doctor");
  assert.equal(code, 1);
  assert.match(stdout, /failure +queue .*\+type/);
});
