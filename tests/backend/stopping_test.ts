import assert from "node:assert/strict";
import { Bus, DroppedError, Event, RedisBackend } from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { DEAD, Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

function events(count: number): string[] {
  return Array.from({ length: count }, (_, n) =>
    JSON.stringify({
      type: "event",
      target: "livingroom",
      args: { type: "custom.Count", n },
    }));
}

/** Starts a backend with a handler that is busy until then; resolves when it is. */
async function startBusy(
  { bus, backend }: Listener,
  until: Promise<void>,
): Promise<void> {
  const arrived = Promise.withResolvers<void>();
  bus.registerHandler(Event, () => {
    arrived.resolve();
    return until;
  });
  await backend.start();
  await arrived.promise;
}

Deno.test("RedisBackend finishes the batch in hand, and leaves the rest in order", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { batchSize: 10 });
  const handled: unknown[] = [];
  const first = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  listener.bus.registerHandler(Event, async ({ args }) => {
    first.resolve();
    await go.promise;
    handled.push(args.n);
  });
  await server.run("RPUSH", QUEUE, ...events(1000));
  await listener.backend.start();
  await first.promise;
  const stopping = listener.backend.stop();
  // All is back but what is in hand.
  await until(async () =>
    await server.run("LLEN", QUEUE) ===
      1000 - listener.backend.stats().inFlight
  );
  go.resolve();
  await stopping;
  const left = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  const numbers = left.map((text) => JSON.parse(text).args.n);
  assert.ok(handled.length >= 10 && left.length > 0);
  assert.deepEqual(
    [...handled, ...numbers],
    Array.from({ length: 1000 }, (_, n) => n),
  );
  assert.deepEqual(await server.run("KEYS", "*"), [QUEUE]);
});

Deno.test("RedisBackend gives back what a handler does not finish in time", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { stopTimeout: 0.05 });
  const never = Promise.withResolvers<void>();
  await server.run("RPUSH", QUEUE, ...events(3));
  await startBusy(listener, never.promise);
  await listener.backend.stop();
  await listener.logger.line(/warn: Not everything in hand was handled/);
  assert.deepEqual(await server.run("LRANGE", QUEUE, "0", "-1"), events(3));
  never.resolve();
});

Deno.test("RedisBackend waits once for what a handler on a given bus never lets go", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { stopTimeout: 0 });
  const never = Promise.withResolvers<void>();
  await server.run("RPUSH", QUEUE, ...events(1));
  await startBusy(listener, never.promise);
  const { setTimeout } = globalThis;
  const waits: unknown[] = [];
  globalThis.setTimeout = ((work: () => void, time?: number) => {
    if (time === 1000) waits.push(time);
    return setTimeout(work, time);
  }) as typeof setTimeout;
  try {
    await listener.backend.stop();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assert.deepEqual(waits, [1000]);
  assert.deepEqual(await server.run("LRANGE", QUEUE, "0", "-1"), events(1));
  never.resolve();
});

Deno.test("RedisBackend counts no failure where a handler gives up because it stops", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", QUEUE, ...events(3));
  for (let attempt = 0; attempt < 3; attempt++) {
    await using listener = new Listener(server, { maxDeliveries: 1 });
    listener.bus.registerHandler(Event, () => {
      listener.backend.stop();
      throw new DroppedError("no more");
    });
    await listener.backend.start();
    await listener.backend.join(10);
    assert.deepEqual(await server.run("LRANGE", QUEUE, "0", "-1"), events(3));
  }
  assert.equal(await server.run("EXISTS", `{${QUEUE}}:dead`), 0);
});

Deno.test("RedisBackend stops although the server has gone", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { stopTimeout: 0.1 });
  const go = Promise.withResolvers<void>();
  await server.run("RPUSH", QUEUE, ...events(1));
  await startBusy(listener, go.promise);
  await server.kill();
  go.resolve();
  await listener.backend.stop();
  assert.equal(listener.backend.isAlive(), false);
});

Deno.test("RedisBackend does not wait for who has taken a message by get(), and gives the others back", async () => {
  await using server = await TestServer.start();
  const own = { bus: undefined as never, maxDeliveries: 1 };
  await using listener = new Listener(server, { ...own, stopTimeout: 5 });
  await server.run("RPUSH", QUEUE, ...events(4));
  await listener.backend.start();
  const { bus } = listener.backend;
  assert.equal((await bus.get() as Event).args.n, 0);
  assert.equal((await bus.get() as Event).args.n, 1);
  await until(() => listener.backend.stats().inFlight === 4);
  await listener.backend.stop();
  assert.doesNotMatch(listener.logger.lines.join(), /Not everything in hand/);
  assert.equal(await bus.get(), undefined);
  // They are where they were, and their having been taken is no failure.
  assert.deepEqual(
    await server.run("LRANGE", QUEUE, "0", "-1"),
    events(4).slice(2),
  );
  await using next = new Listener(server, own);
  await next.backend.start();
  for (const n of [2, 3]) {
    const message = await next.backend.bus.get() as Event;
    assert.equal(message.args.n, n);
    assert.equal(message.redelivered, 1);
  }
  await next.backend.stop();
  assert.equal(await server.run("LLEN", QUEUE), 0);
  assert.equal(await server.run("LLEN", DEAD), 0);
});

Deno.test("RedisBackend ends the waiting for messages on its own bus, and leaves another bus alone", async () => {
  await using server = await TestServer.start();
  await using own = new Listener(server, { bus: undefined as never });
  await own.backend.start();
  const { bus } = own.backend;
  const waiting = [bus.get(), bus.get(3600)];
  const unstarted = new RedisBackend();
  waiting.push(unstarted.bus.get());
  await Promise.all([own.backend.stop(), unstarted.stop()]);
  const taken = await inTime(Promise.all(waiting), "the end of the waiting");
  assert.deepEqual(taken, [undefined, undefined, undefined]);

  await using shared = new Bus({ name: "test/stopping", deviceId: "hall" });
  await using other = new Listener(server, { bus: shared });
  await other.backend.start();
  const next = shared.get();
  await other.backend.stop();
  await shared.post({ type: "event", args: { type: "custom.Later" } });
  assert.equal((await next as Event).args.type, "custom.Later");
});

Deno.test("RedisBackend waits for what a loop does with a message", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { bus: undefined as never });
  const order: string[] = [];
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const loop = (async () => {
    for await (const message of listener.backend.bus) {
      begun.resolve();
      await go.promise;
      order.push(`handled ${(message as Event).args.n}`);
    }
    order.push("the loop has ended");
  })();
  await server.run("RPUSH", QUEUE, ...events(2));
  await listener.backend.start();
  await begun.promise;
  const stopping = listener.backend.stop().then(() => order.push("stopped"));
  await until(() => listener.backend.shouldStop());
  go.resolve();
  await Promise.all([stopping, loop]);
  assert.deepEqual(order, [
    "handled 0",
    "handled 1",
    "the loop has ended",
    "stopped",
  ]);
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("RedisBackend gives back what a loop does not finish in time", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    bus: undefined as never,
    stopTimeout: 0.2,
  });
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const loop = (async () => {
    for await (const message of listener.backend.bus) {
      begun.resolve();
      await go.promise;
      assert.equal((message as Event).args.n, 0);
    }
  })();
  await server.run("RPUSH", QUEUE, ...events(2));
  await listener.backend.start();
  await begun.promise;
  await listener.backend.stop();
  assert.deepEqual(
    await server.run("LRANGE", QUEUE, "0", "-1"),
    events(2),
  );
  go.resolve();
  await loop;
});

Deno.test("RedisBackend stops although a handler waits for it", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { stopTimeout: 0.05 });
  listener.bus.registerHandler(Event, () => listener.backend.stop());
  await server.run("RPUSH", QUEUE, ...events(1));
  await listener.backend.start();
  assert.equal(await listener.backend.join(10), true);
  assert.doesNotMatch(listener.logger.lines.join(), /is left behind/);
});

Deno.test("RedisBackend closes a bus of its own, and no other", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  await listener.backend.stop();
  await listener.bus.post({ type: "event", args: { type: "custom.Later" } });
  const own = new Listener(server, { bus: undefined as never });
  await own.backend.start();
  const { bus } = own.backend;
  const iterated = Array.fromAsync(bus);
  await own[Symbol.asyncDispose]();
  assert.deepEqual(await iterated, []);
  await assert.rejects(bus.post({ type: "event", args: { type: "a.B" } }));
  assert.equal(own.backend.bus, bus);
  const { received, subscribers } = own.backend.stats();
  assert.deepEqual([received, subscribers], [0, 0]);
  await assert.rejects(own.backend.sendEvent({ args: { type: "a.B" } }), {
    name: "AbortError",
  });
});

Deno.test("RedisBackend acknowledges what was handled after the server came back", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await listener.start();
  await server.run("RPUSH", QUEUE, ...events(1));
  await listener.messages(1);
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await until(() => listener.backend.stats().reconnects >= 2);
  await server.run("RPUSH", QUEUE, ...events(1));
  await listener.messages(2);
  await listener.backend.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Backend that was stopped has a bus of its own that is closed", async () => {
  const backend = new RedisBackend({ deviceId: "hall" });
  await backend.stop();
  const event = { type: "event", args: { type: "a.B" } };
  await assert.rejects(backend.bus.post(event), { name: "BusError" });
  assert.equal(backend.stats().received, 0);
  await backend.bus.close();
});
