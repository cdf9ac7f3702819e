import assert from "node:assert/strict";
import { Outbox, type RedisArgs } from "../../src/redis/mod.ts";
import { callsOf } from "../calls.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";

const decoder = new TextDecoder();

Deno.test("A request that waits asks the server nothing until its response is there", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const waiting = outbox.waitForResponse("1", 60);
  await until(async () => await callsOf(server, "lrange") === 1);
  const another = outbox.waitForResponse("2", 60);
  await until(async () => await callsOf(server, "lrange") === 2);
  // Looking again and again would be seen in this time.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await server.run("RPUSH", "platypush/responses/1", "answer");
  assert.equal(decoder.decode(await waiting), "answer");
  assert.equal(await callsOf(server, "lrange"), 3);
  await server.run("RPUSH", "platypush/responses/2", "another answer");
  assert.equal(decoder.decode(await another), "another answer");
});

Deno.test("A response is found that came before somebody waits for it", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await outbox.pushResponse("1", "early");
  assert.equal(decoder.decode(await outbox.waitForResponse("1", 30)), "early");
  await assert.rejects(outbox.waitForResponse("1", 0.2), {
    name: "TimeoutError",
  });
});

Deno.test("Several who wait for the same response all look for it, and one may get it", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const waiting = [1, 2, 3].map(() => outbox.waitForResponse("1", 30));
  await until(async () => await callsOf(server, "lrange") >= 1);
  await outbox.pushResponse("1", "for all");
  assert.equal(decoder.decode(await Promise.any(waiting)), "for all");
  await Promise.allSettled(waiting);
});

Deno.test("A response is found although all keys were removed meanwhile", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const waiting = outbox.waitForResponse("1", 60);
  await until(async () => await callsOf(server, "lrange") === 1);
  await server.run("FLUSHALL");
  await until(async () => await callsOf(server, "lrange") === 2);
  await server.run("RPUSH", "platypush/responses/1", "answer");
  assert.equal(decoder.decode(await waiting), "answer");
});

const USER = [
  "ON",
  ">secret",
  "~*",
  "-@all",
  "+hello",
  "+ping",
  "+lrange",
  "+ltrim",
  "+unlink",
];
const setUps: Record<string, Partial<RedisArgs>> = {
  "where the server tells": {},
  "with version 2 of the protocol": { protocol: 2 },
  "without the right to CLIENT TRACKING": {
    username: "asker",
    password: "secret",
  },
};

for (const [name, args] of Object.entries(setUps)) {
  Deno.test(`All responses arrive, also across lost connections, ${name}`, async () => {
    await using server = await TestServer.start({ port: freePort() });
    await server.run("ACL", "SETUSER", "asker", ...USER);
    await using proxy = new TcpProxy(server.args.port!);
    const logger = new LineLogger();
    await using outbox = new Outbox({ port: proxy.port, ...args }, { logger });
    const ids = Array.from({ length: 300 }, (_, index) => `request${index}`);
    const waiting = ids.map((id) => outbox.waitForResponse(id, 30));
    await until(async () => await callsOf(server, "lrange") >= ids.length);
    for (const [index, id] of ids.entries()) {
      if (index % 100 === 50) proxy.freeze();
      // Half of them come while nobody can be told.
      await server.run("RPUSH", `platypush/responses/${id}`, `to ${id}`);
      if (index % 100 === 75) {
        proxy.cut();
        proxy.thaw();
      }
    }
    const responses = await inTime(Promise.all(waiting), "all responses");
    assert.deepEqual(
      responses.map((bytes) => decoder.decode(bytes)),
      ids.map((id) => `to ${id}`),
    );
    await outbox.close();
    assert.deepEqual(await server.run("KEYS", "*"), []);
  });
}
