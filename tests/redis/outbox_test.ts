import assert from "node:assert/strict";
import { Outbox, RedisError } from "../../src/redis/mod.ts";
import { freePort, TestLogger, TestServer } from "../servers.ts";

Deno.test("Outbox pushes one message, several, and bytes", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  assert.equal(await outbox.push("queue", "one"), 1);
  assert.equal(await outbox.push("queue", ["two", "three"]), 3);
  assert.equal(await outbox.push("queue", new Uint8Array([52])), 4);
  assert.equal(await outbox.push("queue", []), 0);
  assert.deepEqual(await server.run("LRANGE", "queue", "0", "-1"), [
    "one",
    "two",
    "three",
    "4",
  ]);
});

Deno.test("Outbox keeps the order of what is sent at once", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const numbers = Array.from({ length: 1000 }, (_, index) => String(index));
  await Promise.all(numbers.map((number) => outbox.push("queue", number)));
  assert.deepEqual(await server.run("LRANGE", "queue", "0", "-1"), numbers);
});

Deno.test("Outbox leaves a response that expires", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await outbox.pushResponse("1", "answer");
  const ttl = await server.run<number>("TTL", "platypush/responses/1");
  assert.ok(ttl > 50 && ttl <= 60, String(ttl));
  const response = await outbox.waitForResponse("1", 1);
  assert.equal(new TextDecoder().decode(response), "answer");
});

Deno.test("Outbox waits for a hundred responses on one connection", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args, { logger: new TestLogger() });
  const ids = Array.from({ length: 100 }, (_, index) => `request${index}`);
  const waiting = ids.map((id) => outbox.waitForResponse(id, 5));
  for (const id of ids.toReversed()) await outbox.pushResponse(id, `to ${id}`);
  const responses = await Promise.all(waiting);
  assert.deepEqual(
    responses.map((response) => new TextDecoder().decode(response)),
    ids.map((id) => `to ${id}`),
  );
  const clients = await server.run<string>("CLIENT", "LIST");
  assert.equal(clients.trim().split("\n").length, 3);
});

Deno.test("Outbox does not let a request wait for another one's time limit", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const silent = assert.rejects(
    outbox.waitForResponse("silent", 0.6),
    { name: "TimeoutError", message: /silent within 0.6 s/ },
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  const started = performance.now();
  const late = outbox.waitForResponse("late", 5);
  await outbox.pushResponse("late", "x");
  await late;
  assert.ok(performance.now() - started < 300);
  await silent;
});

Deno.test("Outbox rejects when no server can be reached in time", async () => {
  await using outbox = new Outbox({ port: freePort() }, {
    connectionTimeout: 0.2,
    logger: new TestLogger(),
  });
  await assert.rejects(
    outbox.push("queue", "x"),
    (error: RedisError) =>
      error.code === "connection" && !error.mayHaveRun &&
      error.message.startsWith('Cannot send to "queue": '),
  );
});

Deno.test("Outbox says that the server is out of memory or the key no list", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await server.run("SET", "text", "x");
  await assert.rejects(
    outbox.push("text", "x"),
    (error: RedisError) => error.code === "wrong-type",
  );
  await server.run("CONFIG", "SET", "maxmemory", "1");
  await assert.rejects(
    outbox.push("queue", "x"),
    /Cannot send to "queue": the server is out of memory; raise/,
  );
});

Deno.test("Outbox does not send again what may have arrived", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args, { logger: new TestLogger() });
  await outbox.push("queue", "one");
  await server.run("CLIENT", "PAUSE", "10000", "WRITE");
  const doubtful = assert.rejects(
    outbox.push("queue", "two"),
    (error: RedisError) =>
      error.mayHaveRun && /may or may not have received/.test(error.message),
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await doubtful;
  await server.run("CLIENT", "UNPAUSE");
  assert.equal(await outbox.push("queue", "three"), 2);
});

Deno.test("Outbox can be closed at any time", async () => {
  await using server = await TestServer.start();
  const outbox = new Outbox(server.args);
  const waiting = assert.rejects(
    outbox.waitForResponse("1", 60),
    (error: RedisError) => error.code === "closed",
  );
  const sending = outbox.push("queue", "x").catch(() => {});
  await outbox.close();
  await waiting;
  await sending;
  await assert.rejects(outbox.push("queue", "x"), /closed/);
  await assert.rejects(outbox.waitForResponse("1", 1), /closed/);
});
