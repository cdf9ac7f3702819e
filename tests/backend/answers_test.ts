import assert from "node:assert/strict";
import { RedisBackend, type Response } from "../../mod.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const QUEUE = "platypush/backend/redis";

function asking(server: TestServer): RedisBackend {
  return new RedisBackend({ redisArgs: server.args, deviceId: "kitchen" });
}

function ask(backend: RedisBackend, responseTimeout = 20): Promise<Response> {
  return backend.sendRequest(
    { target: "livingroom", action: "light.on", id: "7" },
    { responseTimeout },
  );
}

function answer(
  output: string,
  { id = "7" as unknown, origin = "livingroom" as unknown } = {},
): string {
  const response = { output, errors: [] };
  return JSON.stringify({
    type: "response",
    id,
    origin,
    target: "kitchen",
    response,
  });
}

/** What is not the answer of the living room to request 7. */
const RUBBISH = [
  "rubbish",
  "",
  "[]",
  JSON.stringify({ type: "event", id: "7", args: { type: "custom" } }),
  answer("of another request", { id: "8" }),
  answer("from elsewhere", { origin: "attic" }),
];

for (const order of ["together", "one by one"] as const) {
  Deno.test(`A request gets its answer behind rubbish that comes ${order}, and no other`, async () => {
    await using server = await TestServer.start();
    await using backend = asking(server);
    const waiting = ask(backend);
    await until(async () => await server.run("LLEN", QUEUE) === 1);
    const all = [...RUBBISH, answer("lit")];
    const key = "platypush/responses/7";
    if (order === "together") await server.run("RPUSH", key, ...all);
    else for (const each of all) await server.run("RPUSH", key, each);
    assert.equal((await waiting).output, "lit");
    await until(async () => await server.run("EXISTS", key) === 0);
  });
}

Deno.test("Answers with a number as id, without an id or without an origin are taken", async () => {
  await using server = await TestServer.start();
  await using backend = asking(server);
  for (
    const fields of [{ id: 7 }, { id: null }, { origin: null }, { origin: "" }]
  ) {
    const waiting = ask(backend);
    await server.run("RPUSH", "platypush/responses/7", answer("x", fields));
    assert.equal((await waiting).output, "x", JSON.stringify(fields));
  }
});

Deno.test("A request that nobody has taken in its time is taken back, and only that", async () => {
  await using server = await TestServer.start();
  await using backend = asking(server);
  await server.run("RPUSH", QUEUE, "before");
  const waiting = ask(backend, 1);
  await until(async () => await server.run("LLEN", QUEUE) === 2);
  await server.run("RPUSH", QUEUE, "behind");
  await assert.rejects(waiting, {
    name: "TimeoutError",
    message:
      `No response to request 7 within 1 s. Nobody has taken it from "${QUEUE}", and it was taken back`,
  });
  assert.deepEqual(await server.run("LRANGE", QUEUE, "0", "-1"), [
    "before",
    "behind",
  ]);
});

for (const isTaken of [false, true]) {
  Deno.test(
    `A request that ${
      isTaken ? "somebody" : "nobody"
    } has taken when its sender stops is not left without a word`,
    async () => {
      await using server = await TestServer.start();
      await using backend = asking(server);
      const waiting = ask(backend, 60);
      // It looks for the response.
      await until(async () =>
        (await server.run<string>("CLIENT", "LIST")).includes("cmd=lrange")
      );
      if (isTaken) await server.run("LPOP", QUEUE);
      const what = isTaken
        ? "Somebody has taken it, and may still execute it"
        : `Nobody has taken it from "${QUEUE}", and it was taken back`;
      const rejected = assert.rejects(waiting, {
        name: "RedisError",
        code: "closed",
        message: `Cannot wait for a response: the backend was stopped. ${what}`,
      });
      await backend.stop();
      await rejected;
      assert.equal(await server.run("LLEN", QUEUE), 0);
    },
  );
}

Deno.test("A request that is being taken back when its sender stops does not stay in the queue", async () => {
  await using server = await TestServer.start();
  await using backend = asking(server);
  const waiting = ask(backend, 3);
  await until(async () => await server.run("LLEN", QUEUE) === 1);
  await server.run("CLIENT", "PAUSE", "60000", "WRITE");
  // The server holds what takes it back.
  await until(async () =>
    (await server.run<string>("CLIENT", "LIST")).includes("cmd=lrem")
  );
  const stopping = backend.stop();
  await server.run("CLIENT", "UNPAUSE");
  await assert.rejects(waiting, /it was taken back$/);
  await stopping;
  assert.equal(await server.run("LLEN", QUEUE), 0);
});

Deno.test("A request that somebody has taken is said to be perhaps executed, and what came instead of an answer is told", async () => {
  await using server = await TestServer.start();
  await using backend = asking(server);
  const waiting = ask(backend, 1);
  await until(async () => await server.run("LPOP", QUEUE) !== null);
  await server.run(
    "RPUSH",
    "platypush/responses/7",
    answer("from elsewhere", { origin: "attic" }),
  );
  await assert.rejects(waiting, {
    name: "TimeoutError",
    message:
      'No response to request 7 within 1 s. What came is no answer to it: it comes from "attic", not from "livingroom". Somebody has taken it, and may still execute it',
  });
});

Deno.test("Two requests with one id, one after the other, each get their answer", async () => {
  await using server = await TestServer.start();
  await using backend = asking(server);
  for (const name of ["first", "second", "third"]) {
    const waiting = ask(backend);
    await server.run("RPUSH", "platypush/responses/7", answer(name));
    assert.equal((await waiting).output, name);
  }
});

Deno.test("Who takes messages for everybody answers in the name of each", async () => {
  await using server = await TestServer.start();
  await using answering = new RedisBackend({
    redisArgs: server.args,
    deviceId: "*",
  });
  answering.registerAction("light.on", () => "lit");
  await answering.start();
  await using backend = asking(server);
  const response = await ask(backend);
  assert.deepEqual([response.output, response.origin], ["lit", "livingroom"]);
});
