import assert from "node:assert/strict";
import { RedisBackend } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";
import { runProgram } from "../programs.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";

Deno.test("pause lets nobody take anything, status and doctor say so, and resume lets them go on", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "jobs",
    logger,
  });
  let handled = 0;
  backend.bus.on({ type: "custom.Job" }, () => void handled++);
  await backend.start();
  const run = (...args: string[]) =>
    runProgram(["cli.ts", ...args, "--url", server.url]);

  const paused = await run("pause", "jobs", "--device-id", "attic");
  assert.equal(paused.code, 0, paused.stderr);
  assert.equal(paused.stdout, "jobs is paused\n");
  await logger.line(/"jobs" was paused by attic/);
  await backend.sendEvent({ args: { type: "custom.Job" } });
  const [again, status, doctor] = await Promise.all([
    run("pause", "--queue", "jobs"),
    run("status", "--queue", "jobs"),
    run("doctor", "--queue", "jobs"),
  ]);
  assert.equal(again.code, 1);
  assert.equal(again.stdout, "jobs was paused before\n");
  assert.match(status.stdout, /^paused +for \d+ s, by attic$/m);
  assert.match(status.stdout, /^waiting +1$/m);
  assert.match(doctor.stdout, /"jobs" is paused since .*, by attic/);
  assert.equal(handled, 0);

  const resumed = await run("resume", "jobs");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.equal(resumed.stdout, "jobs goes on\n");
  await until(() => handled === 1);
  const idle = await run("resume", "jobs");
  assert.equal(idle.code, 1);
  assert.equal(idle.stdout, "jobs was not paused\n");
});

Deno.test("pause ends with 3 where there is no server", async () => {
  const url = `redis://127.0.0.1:${freePort()}`;
  const { code, stderr } = await runProgram(["cli.ts", "pause", "--url", url]);
  assert.equal(code, 3);
  assert.match(stderr, /^error: Cannot connect to Redis at [^\n]+\n$/);
});
