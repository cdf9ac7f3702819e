import assert from "node:assert/strict";
import { Bus, Event } from "../../mod.ts";
import { TestWorker } from "../bus/test_worker.ts";
import { inTime } from "../in_time.ts";
import { deadLetters, Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

function message(n: number, how = "well"): string {
  return JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom.Work", n, how },
  });
}

Deno.test("RedisBackend delivers again to a member of the group that has failed, and to nobody else", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    retryPause: 0.01,
    maxDeliveries: 2,
  });
  const { name } = listener.bus;
  let others = 0;
  listener.bus.registerHandler(Event, () => others++);
  const seen: [unknown, string, number][] = [];
  const members = ["a", "b"].map((label) => {
    const member = new Bus({ name, group: "work", label, plain: false });
    member.registerHandler(Event, ({ args: { n, how }, id, redelivered }) => {
      seen.push([n, id, redelivered]);
      if (how === "fail") throw new Error("no light bulb");
      if (how === "fail once" && redelivered === 0) throw new Error("not yet");
    });
    return member;
  });
  for (const member of members) await member.ready();
  await listener.backend.start();
  await server.run(
    "RPUSH",
    QUEUE,
    message(0),
    message(1, "fail once"),
    message(2, "fail"),
    message(3),
  );
  await until(() => {
    const { delivered, deadLettered } = listener.backend.stats();
    return delivered === 3 && deadLettered === 1;
  });
  assert.equal(others, 4);
  const times = seen.map(([n, , redelivered]) => [n, redelivered]);
  assert.deepEqual(
    times.toSorted(),
    [[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [3, 0]],
  );
  // Whoever gets it knows it by its id, which the sender has left out.
  const ids = new Set(seen.map(([n, id]) => `${n} ${id}`));
  assert.equal(ids.size, 4);
  assert.deepEqual(
    (await deadLetters(server)).map(({ reason, error }) => [reason, error]),
    [["failed", "no light bulb"]],
  );
  for (const member of members) await member.close();
});

Deno.test("RedisBackend loses nothing when members of a group are killed, come late, and all are gone for a while", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    retryPause: 0.01,
    batchSize: 16,
  });
  const { name } = listener.bus;
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const join = async (label: string): Promise<TestWorker> => {
    const worker = new TestWorker(label);
    await worker.tell({ do: "open", options: { name, group: "work" } });
    await worker.tell({ do: "work", gate: gate.buffer as SharedArrayBuffer });
    return worker;
  };
  let others = 0;
  listener.bus.registerHandler(Event, () => others++);
  {
    using _first = await join("first");
    await listener.backend.start();
    await server.run(
      "RPUSH",
      QUEUE,
      ...Array.from({ length: 100 }, (_, n) => message(n, "wait")),
    );
    await until(() => gate[0] === 1);
    // Killed at the end of the block, with the first message in hand.
  }
  using second = await join("second");
  using third = await join("third");
  await until(() => Atomics.load(gate, 0) === 3);
  await third.tell({ do: "close" });
  Atomics.store(gate, 1, 1);
  Atomics.notify(gate, 1);
  await until(() => listener.backend.stats().delivered === 100);
  const handled = (await inTime(second.seen(), "the second one")).work;
  const numbers = new Set(handled.map(([n]) => n));
  assert.equal(numbers.size, 100, "what the third one was busy with came back");
  assert.equal(others, 100);
  assert.equal(listener.backend.stats().deadLettered, 0);
});

Deno.test("RedisBackend stops in time while messages wait for a group, and leaves them in the queue", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { stopTimeout: 0.5 });
  await using member = new Bus({ name: listener.bus.name, group: "work" });
  const begun = Promise.withResolvers<void>();
  const never = Promise.withResolvers<void>();
  member.registerHandler(Event, () => {
    begun.resolve();
    return never.promise;
  });
  await member.ready();
  await listener.backend.start();
  const all = Array.from({ length: 20 }, (_, n) => message(n));
  await server.run("RPUSH", QUEUE, ...all);
  await inTime(begun.promise, "the first message");
  await inTime(listener.backend.stop(), "the end");
  await inTime(listener.bus.close(), "the end of the bus");
  assert.deepEqual(await server.run("LRANGE", QUEUE, "0", "-1"), all);
  never.resolve();
});
