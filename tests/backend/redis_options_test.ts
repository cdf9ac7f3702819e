import assert from "node:assert/strict";
import { RedisBackend, type RedisBackendOptions } from "../../mod.ts";
import { Inbox, type InboxOptions } from "../../src/redis/mod.ts";
import { deadLetters, Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const event = (n: number): string =>
  JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom.Count", n },
  });

Deno.test("RedisBackend refuses options that do not exist, or make no sense", () => {
  assert.throws(
    () => new RedisBackend({ qeue: "one" } as object),
    /there is no option `qeue`; the nearest one is `queue`/,
  );
  assert.throws(
    () => new RedisBackend({ batchSize: 0 }),
    /`batchSize` is 0, expected a whole number above 0/,
  );
  for (const subscriberGrace of [-1, NaN, null, "1"]) {
    assert.throws(
      () => new RedisBackend({ subscriberGrace } as object),
      /`subscriberGrace` is (-1|NaN|null|"1"), expected a number of seconds/,
    );
  }
  assert.throws(
    () => new RedisBackend({ delivery: "once" } as object),
    /`delivery` is "once", expected "at-least-once" or "at-most-once"/,
  );
});

Deno.test("RedisBackend refuses options of the wrong kind, without telling them", () => {
  for (
    const options of [
      { deviceId: 5 },
      { bus: 5 },
      { daemon: "no" },
      { postEvents: "x" },
      { queue: 5 },
      { queue: ["a", 5] },
      { queue: [] },
      { queue: ["a", ""] },
      { logger: {} },
      { redisArgs: 5 },
      { redisArgs: "redis://:s3cret@127.0.0.1" },
    ]
  ) {
    const [name] = Object.keys(options);
    assert.throws(
      () => new RedisBackend(options as object),
      (error) =>
        error instanceof TypeError &&
        error.message.startsWith(
          `Cannot make the backend: \`${name}\` has to be `,
        ) && !error.message.includes("s3cret"),
    );
  }
  assert.throws(
    () => new RedisBackend({ heartbeatTimeout: 2 ** 31 }),
    /`heartbeatTimeout` is 2147483648, expected a number of seconds from 0.1 to a day/,
  );
  assert.throws(
    () => new RedisBackend({ batchSize: 5n as never }),
    /`batchSize` is 5n, expected a whole number/,
  );
});

Deno.test("Values that make no sense are refused by RedisBackend and by Inbox", async () => {
  const count = "a whole number above 0";
  const time = "a number of seconds from 0.1 to a day";
  const wrong: [InboxOptions & RedisBackendOptions, string][] = [];
  const add = (expected: string, options: object): void => {
    wrong.push([{ queue: "queue", ...options }, expected]);
  };
  for (const value of [0, -1, 1.5, NaN, Infinity, "3"]) {
    for (const name of ["batchSize", "maxDeliveries", "maxInFlight"]) {
      add(count, { [name]: value });
    }
  }
  for (const value of [-1, NaN, Infinity, "1", null]) {
    add("a finite number of seconds from 0 on", { retryPause: value });
    add(time, { heartbeatTimeout: value });
    add("a whole number from 0 on", { maxDeadLetters: value });
  }
  for (const value of [0, 1e-9, 0.099, 86_401]) {
    add(time, { heartbeatTimeout: value });
  }
  add('"at-least-once" or "at-most-once"', { delivery: "twice" });
  add('"dead-letter" or "drop"', { foreign: "keep" });
  for (const [options, expected] of wrong) {
    const [name, value] = Object.entries(options)[1]!;
    const shown = typeof value === "number" ? value : JSON.stringify(value);
    const rest = `\`${name}\` is ${shown}, expected ${expected}`;
    assert.throws(() => new RedisBackend(options), {
      name: "RangeError",
      message: `Cannot make the backend: ${rest}`,
    });
    await assert.rejects(Inbox.open({}, options), {
      name: "RangeError",
      message: `Cannot read from Redis: ${rest}`,
    });
  }
});

Deno.test("RedisBackend keeps as many dead letters as it is told", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", QUEUE, "one", "two", "three", event(1));
  await using listener = new Listener(server, { maxDeadLetters: 1 });
  await listener.start();
  await listener.messages(1);
  await until(() => listener.backend.stats().deadLettered === 3);
  const [letter, ...others] = await deadLetters(server);
  assert.equal(letter!.message, "three");
  assert.deepEqual(others, []);
});

Deno.test("RedisBackend pauses as it is told, and shows in time that it lives", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    retryPause: 200,
    heartbeatTimeout: 100,
  });
  listener.bus.registerHandler("custom.Count", () => {
    throw new Error("no bulb");
  });
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, event(1));
  const retry = `{${QUEUE}}:retry`;
  await until(async () => await server.run("ZCARD", retry) === 1);
  const [message] = await server.run<string[]>("ZRANGE", retry, "0", "0");
  const due = await server.run<number>("ZSCORE", retry, message!);
  const pause = due / 1000 - Date.now() / 1000;
  assert.ok(pause > 150 && pause < 201, String(pause));
  const [heartbeat] = await server.run<string[]>(
    "KEYS",
    `{${QUEUE}}:consumer:*`,
  );
  const seconds = await server.run<number>("TTL", heartbeat!);
  assert.ok(seconds > 50 && seconds <= 100, String(seconds));
});

Deno.test("RedisBackend takes no more than may be with subscribers", async () => {
  await using server = await TestServer.start();
  for (let n = 0; n < 20; n++) await server.run("RPUSH", QUEUE, event(n));
  await using listener = new Listener(server, {
    batchSize: 1,
    maxInFlight: 3,
  });
  const held: (() => void)[] = [];
  let handled = 0;
  listener.bus.registerHandler("custom.Count", async () => {
    await new Promise<void>((resolve) => held.push(resolve));
    handled++;
  });
  await listener.backend.start();
  while (handled < 20) {
    await until(() => held.length > 0);
    const { inFlight } = listener.backend.stats();
    assert.ok(inFlight <= 3, String(inFlight));
    assert.ok(held.length <= 3, String(held.length));
    await until(() => held.length === Math.min(3, 20 - handled));
    for (const release of held.splice(0)) release();
    const before = handled;
    await until(() => handled > before);
  }
});
