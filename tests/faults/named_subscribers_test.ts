import assert from "node:assert/strict";
import { QUEUE } from "../listener.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

function message(n: number): string {
  return JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom.Count", n },
  });
}

function start(server: TestServer, how: string): Program {
  return new Program([
    "tests/faults/named_process.ts",
    JSON.stringify(server.args),
    how,
  ]);
}

/** Waits until a program has said all this, in whatever order; returns what it has said. */
async function said(program: Program, ...lines: string[]): Promise<string[]> {
  const seen: string[] = [];
  while (!lines.every((line) => seen.includes(line))) {
    seen.push(await program.line());
  }
  return seen;
}

Deno.test("A named subscriber gets what it had in hand and what came while it was away, whenever its process is killed", async () => {
  await using server = await TestServer.start();
  const push = (n: number) => server.run("RPUSH", QUEUE, message(n));
  {
    await using program = start(server, "with lights");
    await said(program, "ready");
    await push(-1);
    await said(program, "others -1", "lights -1");
    await program.end("SIGKILL");
  }
  await push(2);
  {
    // The process is there again, and its lights are not yet.
    await using program = start(server, "without lights");
    await said(program, "others -1", "others 2");
    await push(3);
    await said(program, "others 3");
    await until(async () =>
      await server.run("LLEN", `{${QUEUE}}:missed:lights`) === 3
    );
    await program.end("SIGKILL");
  }
  await using program = start(server, "with lights");
  await said(program, "lights -1", "lights 2", "lights 3");
  await push(4);
  const seen = await said(program, "others 4", "lights 4");
  // What the others have handled did not come to them again.
  assert.deepEqual(seen.filter((line) => line.startsWith("others")), [
    "others 4",
  ]);
});
