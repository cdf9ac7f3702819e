import assert from "node:assert/strict";
import { Event, RedisBackend } from "../../mod.ts";
import { type Dashboard, dashboard } from "../../src/dashboard/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { ask } from "./ask.ts";

const KEY = "{jobs}:passed";

/** The numbers of the messages on the page, the newest first. */
async function shown(page: Dashboard): Promise<number[]> {
  const text = await (await ask(page, "/messages")).text();
  return [...text.matchAll(/&quot;n&quot;:(\d+)/g)].map(([, n]) => Number(n));
}

Deno.test("What has passed is there again after the page was opened anew", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "jobs",
    deviceId: "hall",
  });
  backend.bus.registerHandler(Event, () => {});
  await backend.start();
  {
    await using page = dashboard({ backend, history: true });
    for (const n of [1, 2, 3]) {
      await backend.sendEvent({ args: { type: "custom.N", n } });
    }
    await until(async () => (await shown(page)).length === 3, "they pass");
  }
  assert.equal(await server.run("XLEN", KEY), 3);
  const left = await server.run<number>("TTL", KEY);
  assert.ok(left > 3500 && left <= 3600, `${left}`);

  await using page = dashboard({ backend, history: true });
  await until(async () => (await shown(page)).length === 3, "it is restored");
  await backend.sendEvent({ args: { type: "custom.N", n: 4 } });
  await until(async () => (await shown(page)).length === 4, "another passes");
  assert.deepEqual(await shown(page), [4, 3, 2, 1]);
});

Deno.test("Where the history cannot be kept, the page goes on without", async () => {
  await using server = await TestServer.start();
  await server.run("SET", KEY, "of another type");
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "jobs",
    deviceId: "hall",
  });
  backend.bus.registerHandler(Event, () => {});
  await backend.start();
  const logger = new LineLogger();
  await using page = dashboard({ backend, history: true, logger });
  await backend.sendEvent({ args: { type: "custom.N", n: 1 } });
  await until(async () => (await shown(page)).length === 1, "it passes");
  await logger.line(/history of messages/);
});
