import assert from "node:assert/strict";
import { RedisBackend, type Response } from "../../mod.ts";
import { QUEUE } from "../listener.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";

/** A process that answers requests, see `action_server.ts`. */
async function startAnswering(server: TestServer): Promise<Program> {
  const program = new Program([
    "tests/backend/action_server.ts",
    JSON.stringify(server.args),
  ]);
  assert.equal(await program.line(), "ready");
  return program;
}

function client(server: TestServer): RedisBackend {
  return new RedisBackend({ redisArgs: server.args, deviceId: "kitchen" });
}

function ask(
  backend: RedisBackend,
  action: string,
  args: Record<string, unknown> = {},
): Promise<Response> {
  return backend.sendRequest(
    { target: "livingroom", action, args },
    { responseTimeout: 60 },
  );
}

Deno.test("Backend answers requests of another process", async () => {
  await using server = await TestServer.start();
  await using answering = await startAnswering(server);
  await using asking = client(server);
  const many = await Promise.all(
    Array.from(
      { length: 100 },
      (_, n) => ask(asking, "math.sum", { numbers: [n, 0.5] }),
    ),
  );
  assert.deepEqual(
    many.map(({ output }) => output),
    Array.from({ length: 100 }, (_, n) => ({ sum: n + 0.5 })),
  );
  assert.ok(many.every(({ origin }) => origin === "livingroom"));
  const wrong = await ask(asking, "math.sum");
  assert.deepEqual(wrong.errors, ["no numbers"]);
  const unknown = await ask(asking, "math.sun");
  assert.deepEqual(unknown.errors, [
    'There is no action "math.sun"; the nearest one is "math.sum"',
  ]);
  const last = ask(asking, "finish");
  assert.equal(await answering.line(), "waits");
  const { code, stderr } = await answering.end("SIGTERM");
  assert.equal(code, 0);
  const warnings = stderr.trimEnd().split("\n");
  assert.equal(warnings.length, 2, stderr);
  assert.match(warnings[0]!, /"math\.sum" .* with an error: no numbers\.$/);
  assert.match(warnings[1]!, /"math\.sun" .* There is no action "math\.sun"/);
  assert.equal((await last).output, "while it stops");
  assert.deepEqual(await server.run("KEYS", "*platypush/backend*"), []);
});

Deno.test("Backend executes again what a process had begun that was killed", async () => {
  await using server = await TestServer.start();
  await using asking = client(server);
  await using killed = await startAnswering(server);
  const asked = ask(asking, "hang");
  assert.equal(await killed.line(), "hangs");
  await killed.end("SIGKILL");
  await using next = await startAnswering(server);
  // It takes as long as a consumer has to be silent to be taken for dead.
  assert.deepEqual((await asked).output, { redelivered: 1, pid: next.pid });
  await next.end("SIGTERM");
  assert.equal(await server.run("LLEN", QUEUE), 0);
});
