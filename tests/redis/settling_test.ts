import assert from "node:assert/strict";
import type { HeldBatch } from "../../src/redis/held_batch.ts";
import {
  type Batch,
  Connection,
  type Inbox,
  type RedisError,
} from "../../src/redis/mod.ts";
import { KEY_TYPES } from "../../src/redis/queue_keys.ts";
import { callsOf } from "../calls.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { numbers, open, queued, texts } from "./inboxes.ts";
import { withLights } from "./lights.ts";
import { blocked, nextBatch } from "./next_batch.ts";
import { watchScripts } from "./watch_scripts.ts";

function failed(...indexes: number[]): Parameters<Batch["settle"]>[0] {
  return indexes.map((index) => ({
    index,
    reason: "failed",
    error: new Error("the handler failed"),
  }));
}

Deno.test("Inbox puts back at its end, in order and without a failure, what nobody got round to", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(7));
  for (let delivery = 0; delivery < 5; delivery++) {
    await using inbox = await open(server, { batchSize: 3, maxDeliveries: 2 });
    const first = await nextBatch(inbox);
    const second = await nextBatch(inbox);
    assert.deepEqual(first!.deliveries, [0, delivery, delivery]);
    assert.deepEqual(
      second!.deliveries,
      delivery ? [delivery, delivery, delivery] : [0, 0, 0],
    );
    await first!.settle([], failed(2, 1));
    await second!.settle([], failed(0, 1, 2));
    await inbox.stop(1);
    assert.equal(inbox.stats().retried, 0);
    assert.deepEqual(await queued(server), numbers(6, 1));
    await server.run("LPUSH", "queue", "n0");
  }
  assert.deepEqual(await server.run("KEYS", "*:retry"), []);
  assert.deepEqual(await server.run("KEYS", "*:dead"), []);
});

Deno.test("Inbox settles batches in any order", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(300));
  await using inbox = await open(server, { batchSize: 100 });
  const batches = [
    await nextBatch(inbox),
    await nextBatch(inbox),
    await nextBatch(inbox),
  ];
  await batches[2]!.settle();
  await batches[1]!.settle();
  const held = await server.run<string[]>("KEYS", "{queue}:processing:*:*");
  assert.equal(held.length, 1);
  assert.deepEqual(
    await server.run("LRANGE", held[0]!, "0", "-1"),
    numbers(100),
  );
  await batches[0]!.settle();
  assert.deepEqual(await server.run("KEYS", "{queue}:processing:*:*"), []);
});

Deno.test("Inbox waits when too much is in flight", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(400));
  await using inbox = await open(server, { batchSize: 100, maxInFlight: 200 });
  const first = await nextBatch(inbox);
  await nextBatch(inbox);
  await inbox.pause();
  inbox.resume();
  assert.equal((await queued(server)).length, 200);
  const third = nextBatch(inbox);
  {
    // What is left goes to others, until they leave.
    await using other = await open(server, { batchSize: 100 });
    assert.equal(texts(await nextBatch(other))[0], "n200");
    await other.stop(0);
  }
  await first!.settle();
  assert.deepEqual(texts(await third)[0], "n200");
  await inbox.stop(0);
});

Deno.test("Inbox retries what failed and then buries it", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "good", "bad", "bad", "good");
  await using inbox = await open(server);
  const first = await nextBatch(inbox);
  await first!.settle(failed(1, 2));
  const deliveries: number[] = [];
  while (inbox.stats().deadLettered < 2) {
    const batch = await nextBatch(inbox);
    deliveries.push(...batch!.deliveries);
    assert.ok(texts(batch).every((text) => text === "bad"));
    await batch!.settle(failed(...batch!.payloads.keys()));
  }
  // Two equal messages, three deliveries each.
  assert.deepEqual(deliveries.toSorted(), [1, 1, 2, 2]);
  const dead = (await server.run<string[]>("LRANGE", "{queue}:dead", "0", "-1"))
    .map((text) => JSON.parse(text));
  assert.deepEqual(
    dead.map(({ reason, error, deliveries, message }) => ({
      reason,
      error,
      deliveries,
      message,
    })),
    Array(2).fill({
      reason: "failed",
      error: "the handler failed",
      deliveries: 3,
      message: "bad",
    }),
  );
  assert.deepEqual(await queued(server), []);
  assert.equal(inbox.stats().retried, 4);
});

Deno.test("Inbox does not let a pausing message block others", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "bad");
  await using inbox = await open(server, { retryPause: 60 });
  await (await nextBatch(inbox))!.settle(failed(0));
  await server.run("RPUSH", "queue", "good");
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), ["good"]);
  await batch!.settle();
  assert.equal(await server.run("ZCARD", "{queue}:retry"), 1);
});

Deno.test("Inbox buries at once what no retry can help", async () => {
  await using server = await TestServer.start();
  const rubbish = new Uint8Array([123, 255, 0]);
  await server.run("RPUSH", "queue", rubbish, "large", "foreign");
  const logger = new LineLogger();
  await using inbox = await open(server, { maxDeadLetters: 2, logger });
  const batch = await nextBatch(inbox);
  await batch!.settle([
    { index: 0, reason: "malformed", error: new Error("no JSON") },
    { index: 1, reason: "too-large", error: new Error("too large") },
    { index: 2, reason: "foreign", error: new Error("for another device") },
  ]);
  const dead = await server.run<string[]>("LRANGE", "{queue}:dead", "0", "-1");
  assert.deepEqual(dead.map((text) => JSON.parse(text).reason), [
    "too-large",
    "foreign",
  ]);
  const { deadLettered, deadLettersLost } = inbox.stats();
  assert.deepEqual([deadLettered, deadLettersLost], [3, 1]);
  assert.ok(logger.lines.includes(
    'warn: 1 of the oldest dead letters of "queue" had to make room.',
  ));
});

Deno.test("Inbox drops what is for another device if told so", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "foreign");
  await using inbox = await open(server, { foreign: "drop" });
  const batch = await nextBatch(inbox);
  await batch!.settle([
    { index: 0, reason: "foreign", error: new Error("for another device") },
  ]);
  assert.equal(inbox.stats().dropped, 1);
  assert.equal(await server.run("EXISTS", "{queue}:dead"), 0);
});

Deno.test("Inbox buries what failed when messages are delivered at most once", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "good", "bad");
  await using inbox = await open(server, { delivery: "at-most-once" });
  await (await nextBatch(inbox))!.settle(failed(1));
  const dead = await server.run<string[]>("LRANGE", "{queue}:dead", "0", "-1");
  assert.deepEqual(dead.map((text) => JSON.parse(text).message), ["bad"]);
});

Deno.test("Inbox does not begin where one of its keys is of another type, and says which", async () => {
  await using server = await TestServer.start();
  for (const name of Object.keys(KEY_TYPES)) {
    await server.run("FLUSHALL");
    await server.run("XADD", `{queue}:${name}`, "*", "field", "value");
    await assert.rejects(
      open(server),
      (error: RedisError) =>
        error.code === "wrong-type" &&
        error.message.includes(`the key "{queue}:${name}" is a stream, but`),
    );
    assert.deepEqual(await server.run("KEYS", "*"), [`{queue}:${name}`]);
  }
});

Deno.test("Inbox does not tell to remove the queue where a key beside it is overwritten", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { logger });
  await server.run("XADD", "{queue}:paused", "*", "field", "value");
  await logger.line(
    /^error: Cannot read "queue" .*the key "{queue}:paused" is of another type/,
  );
  assert.doesNotMatch(logger.lines.join("\n"), /the key exists/);
  await server.run("DEL", "{queue}:paused");
  await server.run("RPUSH", "queue", "n0");
  assert.deepEqual(texts(await nextBatch(inbox)), ["n0"]);
  await inbox.stop(0);
});

Deno.test("Inbox names the key of another consumer, or of a named subscriber, that is overwritten", async () => {
  await using server = await TestServer.start();
  const start = "{queue}:processing:x.00000001";
  for (const key of [start, `${start}:1`]) {
    await server.run("SET", key, "text");
    await assert.rejects(open(server), {
      code: "wrong-type",
      message: new RegExp(
        `^Cannot read "queue" .*the key "${key}" is a string, but has to be a \\w+; use another queue or remove the key$`,
      ),
    });
    await server.run("FLUSHALL");
  }
  await server.run("HSET", "{queue}:subscribers", "lights", "0");
  await server.run("SET", "{queue}:missed:lights", "text");
  const logger = new LineLogger();
  const inbox = await open(server, { logger });
  await logger.line(
    /^error: Cannot read "queue" .*the key "{queue}:missed:lights" is a string, but has to be a list/,
  );
  await server.run("DEL", "{queue}:missed:lights");
  await inbox.stop(0);
});

Deno.test("Inbox keeps what it has in hand when the queue is overwritten, until there is a queue again", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(20));
  const logger = new LineLogger();
  const inbox = await open(server, { logger });
  await nextBatch(inbox);
  await server.run("SET", "queue", "text");
  await inbox.stop(0);
  assert.match(
    logger.lines.join("\n"),
    /Cannot read "queue" .*the key exists, but is no list/,
  );
  await server.run("DEL", "queue");
  const next = await open(server);
  assert.deepEqual(texts(await nextBatch(next)), numbers(20));
  await next.stop(0);
});

Deno.test("Inbox keeps what it has in hand when dead letters or histories are overwritten", async () => {
  await using server = await TestServer.start();
  for (const key of ["{queue}:dead", "{queue}:deliveries", "{queue}:retry"]) {
    await server.run("FLUSHALL");
    await server.run("RPUSH", "queue", ...numbers(3));
    const logger = new LineLogger();
    {
      await using inbox = await open(server, { logger });
      const batch = await nextBatch(inbox);
      await server.run("SET", key, "text");
      const error = new Error("no JSON");
      await batch!.settle([
        { index: 0, reason: "malformed", error },
        { index: 1, reason: "failed", error },
      ]);
      await inbox.stop(0);
    }
    await server.run("DEL", key);
    const next = await open(server);
    if (key === "{queue}:deliveries") {
      // Settling does not touch it: only what failed comes again.
      assert.deepEqual(texts(await nextBatch(next)), ["n1"]);
    } else {
      assert.match(logger.lines.join("\n"), new RegExp(`"${key}" is a string`));
      assert.deepEqual(texts(await nextBatch(next)), numbers(3));
    }
    await next.stop(0);
  }
});

Deno.test("Inbox puts back at once, without a failure, what somebody has left, and says again who has to get it", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(4));
  await using inbox = await open(server, { maxDeliveries: 1 });
  const error = new Error("it has left");
  for (let delivery = 0; delivery < 3; delivery++) {
    const batch = await nextBatch(inbox);
    assert.deepEqual(texts(batch), delivery ? ["n2"] : numbers(4));
    const index = batch!.payloads.length === 1 ? 0 : 2;
    assert.equal(batch!.deliveries[index], delivery);
    const retry = delivery ? `to ${delivery - 1}` : undefined;
    assert.equal(batch!.retries[index], retry);
    await batch!.settle([
      { index, reason: "left", error, retry: `to ${delivery}` },
    ]);
  }
  const batch = await nextBatch(inbox);
  assert.deepEqual(batch!.retries, ["to 2"]);
  await batch!.settle();
  const { retried, deadLettered, dropped, acknowledged } = inbox.stats();
  assert.deepEqual([retried, deadLettered, dropped, acknowledged], [
    0,
    0,
    0,
    4,
  ]);
  assert.deepEqual(await server.run("KEYS", "{queue}:d*"), []);
});

Deno.test("Batches that are handled as a whole are acknowledged without a script of their own", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, {
    batchSize: 100,
    heartbeatTimeout: 60,
  });
  const scripts = (): Promise<number> => callsOf(server, "evalsha");
  await server.run("RPUSH", "queue", ...numbers(2000));
  const before = await scripts();
  let batches = 0;
  for (let count = 0; count < 2000; batches++) {
    const batch = await nextBatch(inbox);
    count += batch!.payloads.length;
    await batch!.settle();
  }
  // Each batch is taken by one, and one finds the queue empty.
  const taken = await scripts() - before;
  assert.ok(taken <= batches + 5, `${taken} scripts for ${batches} batches`);
  assert.equal(inbox.stats().acknowledged, 2000);
  await inbox.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Inbox looks again for what waits for another try when the server has refused a look", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "bad");
  const logger = new LineLogger();
  // Nobody looks by the clock.
  const options = { logger, retryPause: 2, heartbeatTimeout: 3600 };
  await using inbox = await open(server, options);
  await (await nextBatch(inbox))!.settle(failed(0));
  await server.run("CONFIG", "SET", "min-replicas-to-write", "1");
  await logger.line(/NOREPLICAS/);
  await server.run("CONFIG", "SET", "min-replicas-to-write", "0");
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), ["bad"]);
  await batch!.settle();
});

for (const [right, ...others] of [["del", "zadd"], ["hdel"]]) {
  Deno.test(`What the server refuses to settle is settled as soon as the right is back (${right})`, async () => {
    await using server = await TestServer.start();
    await server.run("RPUSH", "queue", "bad", "good", "foreign");
    const logger = new LineLogger();
    await using inbox = await open(server, {
      batchSize: 1,
      foreign: "drop",
      logger,
    });
    const bad = await nextBatch(inbox);
    const good = await nextBatch(inbox);
    const foreign = await nextBatch(inbox);
    const all = [right, ...others];
    const acl = ["ACL", "SETUSER", "default"] as const;
    await server.run(...acl, ...all.map((one) => `-${one}`));
    await bad!.settle(failed(0));
    await good!.settle();
    await foreign!.settle([
      { index: 0, reason: "foreign", error: new Error("for another device") },
    ]);
    await logger.line(/^error: Cannot read "queue" at .*NOPERM.*Trying again/);
    assert.equal(inbox.stats().acknowledged, 0);
    await server.run(...acl, ...all.map((one) => `+${one}`));
    const again = await nextBatch(inbox);
    assert.deepEqual(texts(again), ["bad"]);
    assert.deepEqual(again!.deliveries, [1]);
    await until(() => inbox.stats().acknowledged === 1);
    await until(() => inbox.stats().dropped === 1);
    await again!.settle();
    await inbox.stop();
    assert.equal(inbox.stats().taken, 0);
    assert.doesNotMatch(logger.lines.join("\n"), /too late/);
    assert.deepEqual(await server.run("KEYS", "*"), []);
  });
}

/** Has the server refuse to settle what an inbox takes, and forget its consumer. */
async function losePlace(
  server: TestServer,
  inbox: Inbox,
  logger: LineLogger,
): Promise<void> {
  const one = await nextBatch(inbox);
  await server.run("ACL", "SETUSER", "default", "-del");
  await one!.settle();
  await logger.line(/^error: Cannot read "queue" at .*NOPERM.*Trying again/);
  const keys = await server.run<string[]>("KEYS", "{queue}:processing:*");
  await server.run("UNLINK", "{queue}:consumers", ...keys);
}

Deno.test("What the server refuses to settle is told again after others have put it back", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "one");
  const logger = new LineLogger();
  await using inbox = await open(server, { logger, heartbeatTimeout: 3600 });
  await losePlace(server, inbox, logger);
  await server.run("ACL", "SETUSER", "default", "+del");
  await server.run("RPUSH", "queue", "two");
  const two = await nextBatch(inbox);
  assert.deepEqual(texts(two), ["two"]);
  await logger.line(/^warn: Settled 1 message of "queue" too late/);
  await until(() => inbox.stats().taken === 1);
  await two!.settle();
});

for (const others of [[], ["second", "third"]]) {
  Deno.test(`What the server refuses to settle is told again by a new session with nothing in hand, and ${others.length} other queues`, async () => {
    await using server = await TestServer.start();
    await server.run("RPUSH", "queue", "one");
    const logger = new LineLogger();
    const heartbeatTimeout = HEARTBEAT;
    await using inbox = await open(server, {
      queue: ["queue", ...others],
      logger,
      heartbeatTimeout,
    });
    await losePlace(server, inbox, logger);
    await logger.line(/^warn: .* is no consumer of "queue" any more/);
    // With each of the next beats it may look.
    const beat = (): Promise<string[]> =>
      server.run<string[]>("KEYS", "{queue}:consumer:*")
        .then((keys) => server.run<string[]>("MGET", ...keys));
    for (let beats = 0; beats < 3; beats++) {
      const last = String(await beat());
      await until(async () => String(await beat()) !== last);
    }
    await server.run("ACL", "SETUSER", "default", "+del");
    await logger.line(/^warn: Settled 1 message of "queue" too late/);
    assert.equal(inbox.stats().taken, 1);
  });
}

Deno.test("Inbox says at its end what will be delivered again since the server refuses to settle it", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(5));
  const logger = new LineLogger();
  await using inbox = await open(server, { batchSize: 3, logger });
  const batches = [await nextBatch(inbox), await nextBatch(inbox)];
  await server.run("ACL", "SETUSER", "default", "-del", "-zadd");
  await batches[0]!.settle();
  await batches[1]!.settle(failed(0));
  await inbox.stop();
  assert.ok(
    logger.lines.some((line) =>
      line.startsWith("warn:") &&
      line.includes(
        '5 messages of "queue" will be delivered again, though handled.',
      )
    ),
    logger.lines.join("\n"),
  );
  await server.run("ACL", "SETUSER", "default", "+del", "+zadd");
});

Deno.test("Inbox tells after its end what is delivered again, and how much of it was handled", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(4));
  const logger = new LineLogger();
  await using inbox = await open(server, { batchSize: 2, logger });
  const batches = [await nextBatch(inbox), await nextBatch(inbox)];
  await inbox.stop(0);
  await batches[0]!.settle(failed(0, 1));
  await batches[1]!.settle(failed(1));
  const lines = logger.lines.filter((line) => /delivered again/.test(line));
  assert.equal(lines.length, 2, logger.lines.join("\n"));
  assert.match(lines[0]!, /2 messages of "queue" will be delivered again\.$/);
  assert.match(lines[1]!, /delivered again, though 1 of them was handled\.$/);
});

/** Takes three messages, each in a batch of its own, with heartbeats far apart. */
async function takeThree(
  server: TestServer,
  logger: LineLogger,
): Promise<{ inbox: Inbox; batches: (Batch | undefined)[] }> {
  await server.run("RPUSH", "queue", ...numbers(3));
  const options = { batchSize: 1, heartbeatTimeout: 3600, logger };
  const inbox = await open(server, options);
  const batches: (Batch | undefined)[] = [];
  for (let n = 0; n < 3; n++) batches.push(await nextBatch(inbox));
  return { inbox, batches };
}

Deno.test("Inbox settles before it ends what the server has refused to settle, where the right is back", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  const { inbox, batches } = await takeThree(server, logger);
  await using _ = inbox;
  await server.run("ACL", "SETUSER", "default", "-del");
  for (const batch of batches) await batch!.settle();
  await logger.line(/^error: Cannot read "queue" at .*NOPERM.*Trying again/);
  await server.run("ACL", "SETUSER", "default", "+del");
  await inbox.stop();
  assert.doesNotMatch(logger.lines.join("\n"), /delivered again/);
  assert.equal(inbox.stats().acknowledged, 3);
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Inbox settles before it ends what the server accepts by then, also behind what it refuses again", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  const { inbox, batches } = await takeThree(server, logger);
  await using _ = inbox;
  await server.run("ACL", "SETUSER", "default", "-del", "-zadd");
  await batches[0]!.settle(failed(0));
  for (const batch of batches.slice(1)) await batch!.settle();
  await server.run("ACL", "SETUSER", "default", "+del");
  await inbox.stop();
  await logger.line(/ 1 message of "queue" will be delivered again/);
  assert.equal(inbox.stats().acknowledged, 2);
  assert.deepEqual(await queued(server), ["n0"]);
});

Deno.test("A message that is too large to wait for a named subscriber is counted once, also where the server refuses to settle it", async () => {
  await using server = await TestServer.start();
  await server.run("HSET", "{queue}:subscribers", "lights", `${Date.now()}`);
  await server.run("RPUSH", "queue", "large".padEnd(20_000, "-"));
  const logger = new LineLogger();
  const options = { maxMissedBytes: 10_000, logger };
  await using inbox = await open(server, options);
  const batch = await nextBatch(inbox) as HeldBatch;
  await server.run("ACL", "SETUSER", "default", "-zadd");
  const missed = { index: 0, subscriber: "lights", retry: "lights" };
  await batch.settle(failed(0), [], [missed]);
  await logger.line(
    /^error: Cannot read "queue" at .*(run this|'zadd') command.*Trying again/,
  );
  assert.equal(inbox.stats().missedLost, 1);
  await server.run("ACL", "SETUSER", "default", "+zadd");
  const again = await nextBatch(inbox);
  assert.deepEqual(again!.deliveries, [1]);
  await again!.settle();
  assert.equal(inbox.stats().missedLost, 1);
});

Deno.test("What had to go for a named subscriber is told of, but not batch by batch", async () => {
  await using server = await TestServer.start();
  await server.run("HSET", "{queue}:subscribers", "lights", `${Date.now()}`);
  const large = "large".padEnd(20_000, "-");
  const logger = new LineLogger();
  const options = { maxMissed: 1, maxMissedBytes: 10_000, logger };
  await using inbox = await open(server, options);
  const missed = { index: 0, subscriber: "lights", retry: "lights" };
  for (const text of ["n0", "n1", "n2", large, large]) {
    await server.run("RPUSH", "queue", text);
    const batch = await nextBatch(inbox) as HeldBatch;
    await batch.settle([], [], [missed]);
  }
  await until(() => inbox.stats().missedLost === 4, "two of each had to go");
  const told = logger.lines.filter((line) => /had to go|is lost/.test(line));
  assert.deepEqual(told, [
    'warn: 1 message that a named subscriber of "queue" has missed had to go (maxMissed, maxMissedBytes, missedAge).',
    'warn: A message of 20000 bytes of "queue" is lost for "lights", which has missed it: all that waits for one may take 10000 (maxMissedBytes).',
  ]);
  await inbox.stop();
  // What came within the minute is told, though nothing came after it.
  const rest = logger.lines.filter((line) => /had to go|is lost/.test(line));
  assert.deepEqual(rest.slice(2), told);
});

Deno.test("What a subscriber misses again and again in its own process is not taken again at once", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using control = await Connection.connect(server.args, { logger });
  await server.run("RPUSH", "{queue}:missed:lights", "1 1.0.0.0 one");
  const taken = Array.from(
    { length: 3 },
    () => Promise.withResolvers<number>(),
  );
  let count = 0;
  const lights = withLights({
    control,
    logger,
    takeMissed: () => {
      taken[count++]!.resolve(performance.now());
      // It is not there, or not ready: so what came is missed once more.
      if (count < 3) lights.onMissed(["lights"], 0);
      return Promise.resolve(0);
    },
  });
  const [, second, third] = await Promise.all(
    taken.map(({ promise }) => promise),
  );
  await lights.stop();
  assert.ok(third! - second! > 1500, `${third! - second!} ms later`);
});

Deno.test("A message that is tried again is read once, and no script begins to write twice", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  await blocked(server);
  await server.run("RPUSH", "queue", '{"id":"a","_timestamp":1}');
  const batch = await nextBatch(inbox);
  await blocked(server);
  const error = new Error("not now");
  const before = await callsOf(server, "lrange");
  const scripts = await watchScripts(server, async () => {
    await batch!.settle([{ index: 0, reason: "failed", error }]);
    const again = await nextBatch(inbox);
    assert.deepEqual(again!.deliveries, [1]);
    await again!.settle();
  });
  // Two scripts read it.
  assert.equal(await callsOf(server, "lrange") - before, 2);
  for (const ran of scripts) {
    const begun = ran.get("HDEL")?.filter(([, field]) => field === "") ?? [];
    assert.ok(begun.length <= 1, `${begun.length} beginnings`);
  }
});

Deno.test("What became dead letters within a minute is told at its end, or when the inbox stops", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { logger });
  using minute = new Minute();
  const bury = async (count: number) => {
    for (let at = 0; at < count; at++) {
      await server.run("RPUSH", "queue", "rubbish");
      const batch = await nextBatch(inbox);
      const error = new Error("no sense");
      await batch!.settle([{ index: 0, reason: "malformed", error }]);
    }
  };
  const told = () =>
    logger.lines.filter((line) => /dead letter/.test(line))
      .map((line) => /^warn: (\w+) mess/.exec(line)![1]);
  await bury(5);
  assert.deepEqual(told(), ["A"]);
  minute.end();
  assert.deepEqual(told(), ["A", "4"]);
  // A minute in which nothing comes sets no timer.
  assert.equal(minute.timers, 0);
  await bury(3);
  assert.deepEqual(told(), ["A", "4"]);
  await inbox.stop();
  assert.deepEqual(told(), ["A", "4", "3"]);
});

/** Lets the timers that wait for most of a minute go off when a test says so. */
class Minute implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;
  readonly #clearTimeout = globalThis.clearTimeout;
  readonly #due = new Map<unknown, () => void>();

  constructor() {
    globalThis.setTimeout = ((call: () => void, delay = 0) => {
      const timer = this.#setTimeout(call, delay);
      if (delay > 30_000 && delay <= 60_000) this.#due.set(timer, call);
      return timer;
    }) as typeof setTimeout;
    globalThis.clearTimeout = (timer) => {
      this.#due.delete(timer);
      this.#clearTimeout(timer);
    };
  }

  get timers(): number {
    return this.#due.size;
  }

  end(): void {
    for (const [timer, call] of [...this.#due]) {
      clearTimeout(timer as number);
      call();
    }
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
    globalThis.clearTimeout = this.#clearTimeout;
  }
}
