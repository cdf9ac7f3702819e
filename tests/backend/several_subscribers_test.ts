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

Deno.test("RedisBackend delivers to all subscribers again what one of them has failed", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using other = new Bus({ name: listener.bus.name });
  const [good, bad]: [number[], number[]] = [[], []];
  const again = Promise.withResolvers<void>();
  listener.bus.registerHandler(Event, ({ redelivered }) => {
    good.push(redelivered);
    if (good.length === 2) again.resolve();
  });
  other.registerHandler(Event, ({ redelivered }) => {
    if (bad.push(redelivered) === 1) throw new Error("no bulb");
  });
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, MESSAGE);
  await inTime(again.promise, "the message again");
  assert.deepEqual([good, bad], [[0, 1], [0, 1]]);
  await until(() => listener.backend.stats().delivered === 1);
});

Deno.test("RedisBackend delivers again what a subscriber had in hand that went away", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const seen: number[] = [];
  const again = Promise.withResolvers<void>();
  listener.bus.registerHandler(Event, ({ redelivered }) => {
    if (seen.push(redelivered) === 2) again.resolve();
  });
  const taken = Promise.withResolvers<void>();
  const other = new Bus({ name: listener.bus.name, plain: false });
  const never = Promise.withResolvers<void>();
  other.registerHandler(Event, () => {
    taken.resolve();
    return never.promise;
  });
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, MESSAGE);
  await inTime(taken.promise, "the message");
  await other.close();
  await inTime(again.promise, "the message again");
  assert.deepEqual(seen, [0, 1]);
  never.resolve();
});
