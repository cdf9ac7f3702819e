import assert from "node:assert/strict";
import { Inbox, queueStatus, type RedisError } from "../../src/redis/mod.ts";
import { ClusterSetup } from "../cluster.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { nextBatch } from "./next_batch.ts";

const QUEUE = "platypush/backend/redis";
const failure = { reason: "malformed", error: new Error("no") } as const;

Deno.test("queueStatus counts what waits, pauses, is in hand and is dead", async () => {
  await using server = await TestServer.start();
  const messages = Array.from({ length: 12 }, (_, index) => `m${index}`);
  await server.run("RPUSH", QUEUE, ...messages);
  await using one = await Inbox.open(server.args, {
    queue: QUEUE,
    consumer: "hall",
    batchSize: 2,
    retryPause: 100,
    maxInFlight: 4,
  });
  await using two = await Inbox.open(server.args, {
    queue: QUEUE,
    consumer: "kitchen",
    batchSize: 3,
    maxInFlight: 3,
    heartbeatTimeout: 20,
  });
  const batch = await nextBatch(one);
  await batch!.settle([
    { index: 0, ...failure },
    { index: 1, reason: "failed", error: new Error("later") },
  ]);
  await nextBatch(one);
  await nextBatch(one);
  await nextBatch(two);
  const paused = Promise.all([one.pause(), two.pause()]);
  await inTime(paused, "both pause with as much in hand as they may");
  const status = await queueStatus(server.args);
  assert.equal(status.queue, QUEUE);
  assert.equal(status.length, 3);
  assert.equal(status.retrying, 1);
  assert.equal(status.inFlight, 7);
  assert.equal(status.deadLetters.count, 1);
  const { oldest } = status.deadLetters;
  assert.ok(oldest !== undefined && oldest < 60, `${oldest}`);
  const consumers = status.consumers.toSorted((a, b) =>
    a.name < b.name ? -1 : 1
  );
  assert.deepEqual(consumers.map(({ inFlight }) => inFlight), [4, 3]);
  assert.match(consumers[0]!.name, /^hall\./);
  assert.match(consumers[1]!.name, /^kitchen\./);
  const [hall, kitchen] = consumers.map(({ heartbeat }) => heartbeat!);
  assert.ok(hall! > 0 && hall! <= 10, `${hall}`);
  assert.ok(kitchen! > 10 && kitchen! <= 20, `${kitchen}`);
  await one.stop(0);
  await two.stop(0);
  const after = await queueStatus(server.args);
  assert.deepEqual(after.consumers, []);
  assert.equal(after.length, 10);
});

Deno.test("queueStatus tells a consumer that has died, and what it had in hand", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "a", "b");
  await using inbox = await Inbox.open(server.args, {
    queue: "queue",
    heartbeatTimeout: 600,
  });
  await nextBatch(inbox);
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!);
  const { consumers } = await queueStatus(server.args, { queue: "queue" });
  assert.deepEqual(
    consumers.map(({ heartbeat, inFlight, isIndexed }) => [
      heartbeat,
      inFlight,
      isIndexed,
    ]),
    [[undefined, 2, true]],
  );
  await inbox.stop(0);
});

Deno.test("queueStatus counts what consumers have in hand whom somebody has removed from the index", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "a", "b", "c");
  await using inbox = await Inbox.open(server.args, {
    queue: "queue",
    batchSize: 3,
    maxInFlight: 3,
    heartbeatTimeout: 600,
  });
  await nextBatch(inbox);
  await server.run("DEL", "{queue}:consumers");
  // A list that not even its consumer's hash knows.
  const list = "{queue}:processing:some:device.0123abcd:7";
  await server.run("RPUSH", list, "stray");
  const removed = await queueStatus(server.args, { queue: "queue" });
  assert.equal(removed.inFlight, 4);
  const [stray, held] = removed.consumers.toSorted((a, b) =>
    a.inFlight - b.inFlight
  );
  assert.ok(held!.heartbeat! > 0 && !held!.isIndexed);
  assert.deepEqual(stray, {
    name: "some:device.0123abcd",
    heartbeat: undefined,
    inFlight: 1,
    isIndexed: false,
  });
  await inbox.stop(0);
});

Deno.test("queueStatus tells about the server, also to those who may not ask much", async () => {
  await using server = await TestServer.start({
    config: ["user poor on >secret ~* +@all -info -memory", "maxmemory 100mb"],
  });
  const { server: facts } = await queueStatus(server.args, { queue: "queue" });
  assert.match(facts.name, /^(Redis|Valkey)$/);
  assert.match(facts.version, /^\d+\.\d+/);
  assert.equal(facts.address, server.address);
  assert.ok(facts.usedMemory! > 100_000);
  assert.equal(facts.maxMemory, 100 * 2 ** 20);
  const poor = { ...server.args, username: "poor", password: "secret" };
  const status = await queueStatus(poor, { queue: "queue" });
  assert.equal(status.server.version, facts.version);
  assert.equal(status.server.usedMemory, undefined);
  assert.deepEqual(
    status.deadLetters,
    { count: 0, oldest: undefined, bytes: 0, textBytes: 0 },
  );
  assert.deepEqual(await server.run("KEYS", "*"), []);
  await server.run("RPUSH", "{queue}:dead", "{}");
  const { deadLetters } = await queueStatus(poor, { queue: "queue" });
  assert.deepEqual([deadLetters.count, deadLetters.bytes], [1, undefined]);
});

Deno.test("queueStatus does not take the text of a dead letter for its time", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "x");
  await using inbox = await Inbox.open(server.args, { queue: "queue" });
  const error = new Error('{"time":5}');
  await (await nextBatch(inbox))!.settle([{ ...failure, index: 0, error }]);
  const { deadLetters } = await queueStatus(server.args, { queue: "queue" });
  assert.ok(deadLetters.oldest! < 60, `${deadLetters.oldest}`);
});

Deno.test("queueStatus rejects at once when it cannot tell", async () => {
  await assert.rejects(queueStatus({ port: 1 }), (error: RedisError) => {
    assert.match(error.message, /127\.0\.0\.1:1/);
    return error.code === "connection";
  });
  await using server = await TestServer.start();
  await server.run("SET", "queue", "text");
  await assert.rejects(
    queueStatus(server.args, { queue: "queue" }),
    (error: RedisError) => {
      assert.match(
        error.message,
        /"queue" at \S+: the key exists, but is no list/,
      );
      return error.code === "wrong-type";
    },
  );
  Deno.kill(server.pid, "SIGSTOP");
  try {
    await assert.rejects(
      queueStatus({ ...server.args, socket_connect_timeout: 0.2 }),
      (error: RedisError) => error.code === "connection",
    );
  } finally {
    Deno.kill(server.pid, "SIGCONT");
  }
});

Deno.test("queueStatus asks the right node of a cluster", async () => {
  await using setup = await ClusterSetup.start();
  for (const queue of ["one", "two", "three"]) {
    const node = await setup.masterOf(queue);
    await node.run("RPUSH", queue, "x", "y");
    const status = await queueStatus(setup.args, { queue });
    assert.equal(status.length, 2);
    assert.equal(status.server.address, `127.0.0.1:${node.args.port}`);
  }
  await using inbox = await Inbox.open(setup.args, {
    queue: "two",
    logger: new LineLogger(),
  });
  await nextBatch(inbox);
  assert.equal((await queueStatus(setup.args, { queue: "two" })).inFlight, 2);
  await inbox.stop(0);
});
