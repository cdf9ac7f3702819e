import assert from "node:assert/strict";
import { Bus, Event } from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const MESSAGE = JSON.stringify({
  type: "event",
  target: "livingroom",
  args: { type: "custom.Count" },
});

Deno.test("RedisBackend delivers again to the subscriber that has failed, and to no other", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { retryPause: 0.01 });
  await using other = new Bus({ name: listener.bus.name });
  const [good, bad]: [number[], number[]] = [[], []];
  listener.bus.registerHandler(Event, ({ redelivered }) => {
    good.push(redelivered);
  });
  other.registerHandler(Event, ({ redelivered }) => {
    if (bad.push(redelivered) < 3) throw new Error("no bulb");
  });
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, MESSAGE);
  await until(() => listener.backend.stats().delivered === 1);
  assert.deepEqual([good, bad], [[0], [0, 1, 2]]);
});

Deno.test("RedisBackend counts no failure when a subscriber leaves in order with a message in hand, and gives it to nobody who has handled it", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { maxDeliveries: 2 });
  const seen: number[] = [];
  listener.bus.registerHandler(Event, ({ redelivered }) => {
    seen.push(redelivered);
  });
  const never = Promise.withResolvers<void>();
  const open = (): [Bus, Promise<void>] => {
    const bus = new Bus({ name: listener.bus.name, plain: false });
    const taken = Promise.withResolvers<void>();
    bus.registerHandler(Event, () => {
      taken.resolve();
      return never.promise;
    });
    return [bus, taken.promise];
  };
  let [bus, taken] = open();
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, MESSAGE);
  for (let round = 0; round < 4; round++) {
    await inTime(taken, "the message");
    // Whoever has come since gets it, since nobody but that one has it left.
    const [next, nextTaken] = open();
    await bus.close();
    [bus, taken] = [next, nextTaken];
  }
  await inTime(taken, "the message");
  await bus.close();
  await until(() => listener.backend.stats().delivered === 1);
  assert.deepEqual(seen, [0]);
  assert.equal(listener.backend.stats().deadLettered, 0);
  assert.equal(await server.run("LLEN", QUEUE), 0);
  never.resolve();
});
