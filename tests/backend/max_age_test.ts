import assert from "node:assert/strict";
import { Event, RedisBackend, type RedisBackendOptions } from "../../mod.ts";
import { deadLetters, Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const HOUR = 3600;

/** Seconds since the epoch, so long ago. */
function ago(seconds: number): number {
  return Date.now() / 1000 - seconds;
}

function event(age: number | undefined, name: string): string {
  return JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom", name },
    ...(age !== undefined && { _timestamp: ago(age) }),
  });
}

/** Listens, and notes the names of the events that come. */
function listening(
  server: TestServer,
  options: RedisBackendOptions,
): [Listener, unknown[]] {
  const listener = new Listener(server, options);
  const seen: unknown[] = [];
  listener.bus.registerHandler(Event, ({ args }) => void seen.push(args.name));
  return [listener, seen];
}

Deno.test("RedisBackend takes events of any age by default", async () => {
  await using server = await TestServer.start();
  const [listener, seen] = listening(server, {});
  await using _listener = listener;
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, event(1000 * HOUR, "old"), event(0, "new"));
  await until(() => seen.length === 2);
});

for (const expired of ["dead-letter", "drop"] as const) {
  Deno.test(`RedisBackend passes over what is older than maxAge (${expired}), and what is from the future is not`, async () => {
    await using server = await TestServer.start();
    const [listener, seen] = listening(server, { maxAge: 60, expired });
    await using _listener = listener;
    await listener.backend.start();
    await server.run(
      "RPUSH",
      QUEUE,
      event(6 * HOUR, "old"),
      event(30, "recent"),
      event(-6 * HOUR, "from the future"),
      event(undefined, "without a time"),
    );
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ["recent", "from the future", "without a time"]);
    await until(() => listener.backend.stats().inFlight === 0);
    const dead = await deadLetters(server);
    if (expired === "drop") return assert.deepEqual(dead, []);
    assert.equal(dead[0]!.reason, "expired");
    assert.match(
      String(dead[0]!.error),
      /^Message \w{32} has expired: it was made 21600 s ago by its sender's clock, more than 60 s \(maxAge\)$/,
    );
  });
}

Deno.test("RedisBackend has a maxAge for each queue", async () => {
  await using server = await TestServer.start();
  const [listener, seen] = listening(server, {
    queue: ["short", "long", "other"],
    maxAge: { short: 60, long: 600 },
  });
  await using _listener = listener;
  await listener.backend.start();
  for (const queue of ["short", "long", "other"]) {
    await server.run(
      "RPUSH",
      queue,
      event(HOUR, queue),
      event(300, `${queue}+`),
    );
  }
  await until(() => seen.length === 3);
  await until(() => listener.backend.stats().deadLettered === 3);
  assert.deepEqual(seen.toSorted(), ["long+", "other", "other+"]);
});

Deno.test("A maxAge for a queue that is not taken from is refused", () => {
  for (const queue of [undefined, "lights", ["lights", "doors"]]) {
    assert.throws(
      () => new RedisBackend({ queue, maxAge: { "light s": 5 } }),
      {
        name: "RangeError",
        message:
          /^Cannot make the backend: `maxAge` limits "light s", expected one of the queues that it takes messages from: "/,
      },
    );
  }
});

Deno.test("Actions are not executed for a request that is too old, which is answered", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const { backend } = listener;
  const executed: string[] = [];
  backend.registerAction("heater.on", () => void executed.push("heater"));
  backend.registerAction("log.note", () => void executed.push("note"), {
    maxAge: Infinity,
  });
  backend.registerAction("door.open", () => void executed.push("door"), {
    maxAge: 5,
  });
  await backend.start();
  await using asking = new RedisBackend({
    redisArgs: server.args,
    deviceId: "kitchen",
  });
  const ask = async (action: string, age: number): Promise<unknown[]> => {
    const { errors } = await asking.sendRequest(
      { target: "livingroom", action, timestamp: ago(age) },
      { responseTimeout: 60 },
    );
    return errors;
  };
  const [error] = await ask("heater.on", 6 * HOUR);
  assert.match(
    String(error),
    /^Expired: the request was made 2160\d s ago by its sender's clock, more than the 300 s for which one for "heater.on" is valid \(actionMaxAge\)$/,
  );
  assert.equal((await ask("door.open", 30)).length, 1);
  assert.deepEqual(executed, []);
  assert.deepEqual(await ask("heater.on", 200), []);
  assert.deepEqual(await ask("heater.on", -6 * HOUR), []);
  assert.deepEqual(await ask("log.note", 6 * HOUR), []);
  assert.deepEqual(executed, ["heater", "heater", "note"]);
});

Deno.test("RedisBackend answers requests that are older than maxAge, and buries them not", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { maxAge: 60 });
  listener.backend.registerAction("heater.on", () => "on");
  await listener.backend.start();
  await using asking = new RedisBackend({
    redisArgs: server.args,
    deviceId: "kitchen",
  });
  const { errors } = await asking.sendRequest(
    { target: "livingroom", action: "heater.on", timestamp: ago(100) },
    { responseTimeout: 60 },
  );
  assert.match(String(errors[0]), /has expired: it was made 10\d s ago/);
  await until(() => listener.backend.stats().inFlight === 0);
  assert.deepEqual(await deadLetters(server), []);
});
