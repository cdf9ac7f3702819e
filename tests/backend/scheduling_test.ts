import assert from "node:assert/strict";
import { Event, queueStatus, RedisBackend } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const BELL = { args: { type: "custom.Bell" } };

function make(server: TestServer): RedisBackend {
  return new RedisBackend({
    redisArgs: server.args,
    deviceId: "hall",
    queue: "queue",
    logger: new LineLogger(),
  });
}

Deno.test("An event with a delay has the time when it is due, from which its age counts", async () => {
  await using server = await TestServer.start();
  await using backend = make(server);
  const times: number[] = [];
  backend.bus.registerHandler(Event, (event) => {
    times.push(event.timestamp);
  });
  await backend.start();
  const before = Date.now() / 1000;
  const event = await backend.sendEvent(BELL, { delay: 2 });
  assert.ok(event.timestamp >= before + 2);
  await until(() => times.length === 1);
  assert.equal(times[0], event.timestamp);
  assert.ok(Date.now() / 1000 >= before + 2);
});

Deno.test("An event with a delay is cancelled by its id, in whichever queue", async () => {
  await using server = await TestServer.start();
  await using backend = make(server);
  const { id } = await backend.sendEvent(BELL, {
    at: new Date(Date.now() + 3_600_000),
    queueName: "other",
  });
  const { delayed } = await queueStatus(server.args, { queue: "other" });
  assert.equal(delayed, 1);
  assert.ok(!await backend.cancelMessage(id));
  assert.ok(await backend.cancelMessage(id, "other"));
});

Deno.test("Who sends a duplicate is told that it was not sent", async () => {
  await using server = await TestServer.start();
  await using backend = make(server);
  const options = { deduplicate: "bell" } as const;
  assert.ok(await backend.sendEvent(BELL, options) instanceof Event);
  assert.equal(await backend.sendEvent(BELL, options), undefined);
  assert.equal(
    await backend.sendMessage({ type: "event", ...BELL }, options),
    false,
  );
  assert.equal(await backend.sendMessage({ type: "event", ...BELL }), true);
  assert.equal(await server.run("LLEN", "queue"), 2);
});

Deno.test("A request with a delay is answered after it, and taken back where nobody takes it", async () => {
  await using server = await TestServer.start();
  await using backend = make(server);
  backend.registerAction("light.on", () => "lit");
  const start = performance.now();
  await assert.rejects(
    backend.sendRequest(
      { action: "light.on" },
      { delay: 0.1, responseTimeout: 0.2 },
    ),
    /was taken back/,
  );
  assert.ok(performance.now() - start >= 300);
  assert.deepEqual(await server.run("KEYS", "*"), []);
  await backend.start();
  const { output } = await backend.sendRequest(
    { action: "light.on" },
    { delay: 0.5, responseTimeout: 60 },
  );
  assert.equal(output, "lit");
});

Deno.test("Options of sending are checked, and a name alone is a queue", async () => {
  await using server = await TestServer.start();
  await using backend = make(server);
  const wrong = { dealy: 5 } as object;
  await assert.rejects(
    backend.sendEvent(BELL, wrong),
    /nearest one is `delay`/,
  );
  await backend.sendEvent(BELL, "named");
  await backend.sendEvent(BELL, { queue_name: "snake" });
  await backend.sendEvent(BELL, null);
  for (const queue of ["named", "snake", "queue"]) {
    assert.equal(await server.run("LLEN", queue), 1);
  }
});
