import assert from "node:assert/strict";
import { RedisBackend } from "../../src/backend/mod.ts";
import { Bus, Event } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";

Deno.test("Nothing is lost when handlers throw, hang once or take long", async () => {
  await using server = await TestServer.start();
  const count = 5000;
  const event = (n: number): string =>
    JSON.stringify({
      type: "event",
      target: "livingroom",
      args: { type: "custom.Number", n },
    });
  for (let first = 0; first < count; first += 1000) {
    const events = Array.from({ length: 1000 }, (_, i) => event(first + i));
    await server.run("RPUSH", "queue", ...events);
  }
  const logger = new LineLogger();
  const handled = new Set<number>();
  const attempts = new Map<number, number>();
  const done = Promise.withResolvers<void>();
  let refused = 0;
  const check = (): void => {
    if (handled.size === count - 5 && refused === 15) done.resolve();
  };
  await using bus = new Bus({
    name: "test/faults/handlers",
    plain: false,
    handlerTimeout: 3,
    logger,
  });
  bus.registerHandler(Event, async ({ args, redelivered }) => {
    const n = args.n as number;
    attempts.set(n, (attempts.get(n) ?? 0) + 1);
    if (n % 1000 === 7) {
      refused++;
      check();
      throw new Error(`cannot handle ${n}`);
    }
    if (n % 1000 === 8 && redelivered === 0) throw new Error("not yet");
    if (n === 500 && redelivered === 0) await new Promise(() => {});
    // Half of what it may take.
    if (n === 600) await new Promise((resolve) => setTimeout(resolve, 1500));
    handled.add(n);
    check();
  });
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "queue",
    deviceId: "livingroom",
    bus,
    logger,
  });
  await backend.start();
  await inTime(done.promise, "every message is handled or refused");
  await backend.stop();
  assert.equal(attempts.size, count);
  assert.equal(attempts.get(500), 2);
  assert.equal(attempts.get(600), 1);
  assert.equal(attempts.get(8), 2);
  // The five that never succeed were tried three times each.
  assert.equal(await server.run("LLEN", "{queue}:dead"), 5);
  assert.equal(await server.run("LLEN", "queue"), 0);
  assert.equal(backend.stats().inFlight, 0);
});
