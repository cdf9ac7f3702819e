import assert from "node:assert/strict";
import { Event, RedisBackend } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";
import { DEAD, deadLetters, Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const FOR_US = { target: "livingroom" };

function event(n: unknown, more: Record<string, unknown> = FOR_US): string {
  return JSON.stringify({
    type: "event",
    args: { type: "custom.Count", n },
    ...more,
  });
}

Deno.test("RedisBackend posts JSON that another program pushes, and leaves nothing in Redis", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  await server.run("RPUSH", QUEUE, event(1), event(2, {}));
  const [first, second] = await listener.messages(2);
  assert.ok(first instanceof Event && second instanceof Event);
  assert.deepEqual(first.args, { type: "custom.Count", n: 1 });
  assert.equal(second.target, "livingroom");
  assert.equal(second.origin, "livingroom");
  assert.match(second.id, /^[0-9a-f]{32}$/);
  assert.equal(first.redelivered, 0);
  await listener.backend.stop();
  assert.equal(listener.backend.stats().delivered, 2);
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("RedisBackend posts a Python literal, and leaves nothing in Redis", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  await server.run(
    "RPUSH",
    QUEUE,
    `{'type': 'event', 'target': 'livingroom', 'args': {'type': 'custom.Py', 'ok': True, 'x': None, 't': (1, 2.5)}}`,
  );
  const [message] = await listener.messages(1);
  assert.deepEqual((message as Event).args, {
    type: "custom.Py",
    ok: true,
    x: null,
    t: [1, 2.5],
  });
  await listener.backend.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("RedisBackend keeps rubbish among the dead letters, and goes on", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  const bytes = new Uint8Array([0xff, 0xfe, 0x00]);
  await server.run("RPUSH", QUEUE, "rubbish", bytes, "[1]", "{", event(1));
  const [message] = await listener.messages(1);
  assert.equal((message as Event).args.n, 1);
  await until(async () => (await deadLetters(server)).length === 4);
  const letters = await deadLetters(server);
  assert.deepEqual(letters.map(({ reason }) => reason), [
    "malformed",
    "malformed",
    "malformed",
    "malformed",
  ]);
  assert.equal(letters[0]!.message, "rubbish");
  assert.match(String(letters[0]!.error), /neither JSON nor a Python literal/);
  assert.equal(letters[1]!.base64, "//4A");
  assert.equal(letters[1]!.queue, QUEUE);
  const { malformed, deadLettered, received } = listener.backend.stats();
  assert.deepEqual({ malformed, deadLettered, received }, {
    malformed: 4,
    deadLettered: 4,
    received: 5,
  });
  assert.equal(await server.run("LLEN", QUEUE), 0);
  await listener.logger.line(
    /warn: .* become (a dead letter|dead letters) \(malformed\): .*`platypush-redis dead list` shows it\./,
  );
});

Deno.test("RedisBackend says once a minute that somebody sends rubbish", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  for (let count = 1; count <= 20; count++) {
    await server.run("RPUSH", QUEUE, "rubbish");
    await until(() => listener.backend.stats().deadLettered === count);
  }
  const { lines } = listener.logger;
  const warnings = lines.filter((line) => line.startsWith("warn:"));
  assert.equal(warnings.length, 1, warnings.join("\n"));
});

Deno.test("RedisBackend posts a message of 5 MB", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  const text = "ü".repeat(2.5 * 2 ** 20);
  await server.run("RPUSH", QUEUE, event(text), event("next"));
  const [large, next] = await listener.messages(2);
  assert.equal((large as Event).args.n, text);
  assert.equal((next as Event).args.n, "next");
  await listener.backend.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("RedisBackend keeps what is too large among the dead letters", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { maxSize: 1000 });
  await listener.start();
  const large = event("x".repeat(1000));
  await server.run("RPUSH", QUEUE, large, event("next"));
  await listener.messages(1);
  await until(async () => (await deadLetters(server)).length === 1);
  const [letter] = await deadLetters(server);
  assert.equal(letter!.reason, "too-large");
  assert.equal(letter!.message, large);
});

Deno.test("RedisBackend keeps a message for another device among the dead letters", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  const foreign = event(1, { target: "kitchen" });
  await server.run("RPUSH", QUEUE, foreign, event(2));
  const messages = await listener.messages(1);
  await until(async () => (await deadLetters(server)).length === 1);
  assert.equal((messages[0] as Event).args.n, 2);
  assert.equal(messages.length, 1);
  const [letter] = await deadLetters(server);
  assert.equal(letter!.reason, "foreign");
  assert.equal(letter!.message, foreign);
  assert.match(String(letter!.error), /"kitchen".*"livingroom"/);
  assert.equal(listener.backend.stats().foreign, 1);
});

Deno.test("RedisBackend drops messages for another device if it is told to", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { foreign: "drop" });
  await listener.start();
  await server.run("RPUSH", QUEUE, event(1, { target: "kitchen" }), event(2));
  await listener.messages(1);
  await until(() => listener.backend.stats().foreign === 1);
  await listener.backend.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("RedisBackend takes messages for every device as *", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { deviceId: "*" });
  assert.equal(listener.backend.deviceId, Deno.hostname());
  await listener.start();
  await server.run("RPUSH", QUEUE, event(1, { target: "kitchen" }), event(2));
  const messages = await listener.messages(2);
  assert.deepEqual(messages.map(({ target }) => target), [
    "kitchen",
    "livingroom",
  ]);
});

Deno.test("RedisBackend delivers a message again whose handler fails, and keeps it in the end", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { maxDeliveries: 2 });
  const deliveries: number[] = [];
  listener.bus.registerHandler("custom.Count", (message) => {
    deliveries.push(message.redelivered);
    throw new Error("no bulb");
  });
  // Two failures of one message are still one message to deliver again.
  listener.bus.registerHandler("custom.Count", () => {
    throw new Error("no light");
  });
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, event(1));
  await until(async () => (await deadLetters(server)).length === 1);
  assert.deepEqual(deliveries, [0, 1]);
  const [letter] = await deadLetters(server);
  assert.equal(letter!.reason, "failed");
  assert.equal(letter!.error, "no bulb");
  assert.equal(letter!.deliveries, 2);
  assert.equal(listener.backend.stats().redelivered, 1);
  await listener.backend.stop();
  assert.deepEqual(await server.run("KEYS", "*"), [DEAD]);
});

Deno.test("RedisBackend removes at once what it delivers at most once", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { delivery: "at-most-once" });
  const arrived = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  listener.bus.registerHandler("custom.Count", () => {
    arrived.resolve();
    return held.promise;
  });
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, event(1));
  await arrived.promise;
  assert.deepEqual(await server.run("KEYS", "*"), []);
  held.resolve();
});

Deno.test("RedisBackend keeps the order of many messages", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { batchSize: 100 });
  await listener.start();
  const numbers = Array.from({ length: 5000 }, (_, n) => n);
  await server.run("RPUSH", QUEUE, ...numbers.map((n) => event(n)));
  const messages = await listener.messages(5000);
  assert.deepEqual(messages.map((one) => (one as Event).args.n), numbers);
  await until(() => listener.backend.stats().inFlight < 100);
});

Deno.test("RedisBackend leaves large messages in Redis while a handler is slow", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const go = Promise.withResolvers<void>();
  const handled = Promise.withResolvers<void>();
  let count = 0;
  listener.bus.registerHandler("custom.Count", async () => {
    await go.promise;
    if (++count === 24) handled.resolve();
  });
  await listener.backend.start();
  await server.run(
    "EVAL",
    "for _ = 1, 24 do redis.call('RPUSH', KEYS[1], ARGV[1]) end",
    "1",
    QUEUE,
    event("x".repeat(4 * 2 ** 20)),
  );
  await until(() => listener.backend.stats().received >= 16);
  // While as much is read as there is of it all, nothing more is taken.
  await server.run("SET", "copy", "x".repeat(4 * 2 ** 20));
  for (let n = 0; n < 24; n++) await server.run("GET", "copy");
  assert.ok(await server.run<number>("LLEN", QUEUE) > 3);
  go.resolve();
  await handled.promise;
});

Deno.test("RedisBackend consumes several queues, and sends to the first", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { queue: ["one", "two"] });
  await listener.backend.sendEvent({ args: { type: "custom.Count", n: 1 } });
  assert.equal(await server.run("LLEN", "one"), 1);
  await listener.start();
  await listener.messages(1);
  await server.run("RPUSH", "two", event(2));
  const messages = await listener.messages(2);
  assert.deepEqual(messages.map((one) => (one as Event).args.n), [1, 2]);
  assert.deepEqual(listener.backend.queue, ["one", "two"]);
});

Deno.test("RedisBackend holds one connection for all its queues, and one for each other task", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { queue: ["one", "two"] });
  const connections = async (): Promise<number> => {
    const list = await server.run<string>("CLIENT", "LIST");
    // One is this test's own.
    return list.trim().split("\n").length - 1;
  };
  await listener.start();
  assert.equal(await connections(), 1);
  await listener.backend.sendEvent({ args: { type: "custom.Count", n: 1 } });
  assert.equal(await connections(), 2);
  await listener.backend.deadLetters().count();
  assert.equal(await connections(), 3);
});

Deno.test("RedisBackend shows no password when it is logged", () => {
  const backend = new RedisBackend({
    redisArgs: { url: "redis://:s3cret@127.0.0.1", password: "s3cret" },
    deviceId: "hall",
    token: "s3cret",
  });
  for (const shown of [Deno.inspect(backend), JSON.stringify(backend)]) {
    assert.match(shown, /hall/);
    assert.doesNotMatch(shown, /s3cret/);
  }
});

Deno.test("RedisBackend tells everything to the logger it is given, the console too", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using backend = new RedisBackend({ redisArgs: server.args, logger });
  backend.bus.registerHandler(Event, () => {
    throw new Error("no bulb");
  });
  await backend.start();
  await backend.sendEvent({ args: { type: "custom.Motion" } });
  await logger.line(/error: A handler in .* has failed .*no bulb/);
  new RedisBackend({ logger: console });
});
