import assert from "node:assert/strict";
import { Connection, Inbox, type RedisError } from "../../src/redis/mod.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { nextBatch } from "./next_batch.ts";
import { open, texts } from "./inboxes.ts";

Deno.test("Inbox survives FLUSHALL and SCRIPT FLUSH", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  await server.run("RPUSH", "queue", "one");
  await (await nextBatch(inbox))!.settle();
  await server.run("FLUSHALL");
  await server.run("SCRIPT", "FLUSH");
  await server.run("RPUSH", "queue", "two");
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), ["two"]);
  await batch!.settle();
  await inbox.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Inbox waits with BLPOP where the server has no BLMPOP", async () => {
  await using server = await TestServer.start({
    config: ['rename-command BLMPOP ""'],
  });
  await using inbox = await open(server, { delivery: "at-most-once" });
  const waiting = nextBatch(inbox);
  await until(async () =>
    / cmd=blpop /.test(await server.run("CLIENT", "LIST"))
  );
  await server.run("RPUSH", "queue", "one");
  const batch = await waiting;
  assert.deepEqual(texts(batch), ["one"]);
  await batch!.settle();
});

Deno.test("Inbox can be paused while the server is gone", async () => {
  // Which of its connections is back first is a matter of luck.
  for (let round = 0; round < 12; round++) {
    const options = { port: freePort() };
    const server = await TestServer.start(options);
    await using inbox = await open(server);
    await server[Symbol.asyncDispose]();
    await inbox.pause();
    const waiting = nextBatch(inbox);
    await using again = await TestServer.start(options);
    await again.run("RPUSH", "queue", "one");
    inbox.resume();
    const batch = await waiting;
    assert.deepEqual(texts(batch), ["one"]);
    await batch!.settle();
  }
});

Deno.test("Inbox does not start with wrong credentials", async () => {
  await using server = await TestServer.start({
    port: freePort(),
    config: ["requirepass hunter2"],
    redisArgs: { password: "hunter2" },
  });
  await assert.rejects(
    Inbox.open({ ...server.args, password: "hunter3" }, { queue: "queue" }),
    (error: RedisError) => error.code === "auth",
  );
});

Deno.test("Inbox finds out whether it may wait without waiting, in each way of delivery", async () => {
  await using server = await TestServer.start();
  await server.run("CONFIG", "SET", "notify-keyspace-events", "Klg");
  await using listener = await Connection.connect(server.args);
  const happened: string[] = [];
  const channel = "__keyspace@0__:{queue}:probe";
  await listener.subscribe(
    channel,
    (event) => happened.push(new TextDecoder().decode(event)),
  );
  for (const delivery of ["at-least-once", "at-most-once"] as const) {
    await using inbox = await open(server, { delivery });
    await inbox.stop();
    await server.run("PUBLISH", channel, "over");
    await until(() => happened.includes("over"));
    const events = happened.splice(0);
    // What was pushed for it is taken: with nothing there it would have waited.
    assert.ok(/rpush,(rpush,)?lpop,(rpush,)?del,over$/.test(events.join()));
  }
});
