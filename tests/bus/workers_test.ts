import assert from "node:assert/strict";
import { Event } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { until } from "../until.ts";
import { standstill } from "./standstill.ts";
import { TestWorker } from "./test_worker.ts";
import { events, open } from "./worker_buses.ts";

Deno.test("Bus carries every message into every worker, in order", async () => {
  await using bus = open();
  using one = await TestWorker.listening("one", bus);
  using two = await TestWorker.listening("two", bus);
  using three = await TestWorker.listening("three", bus);
  assert.equal(bus.subscribers, 3);
  const all = events(20_000);
  for (let n = 0; n < all.length; n += 100) {
    await bus.post(all.slice(n, n + 100));
  }
  await bus.flush();
  for (const worker of [one, two, three]) {
    const { counts, disorder } = await worker.seen();
    assert.deepEqual(counts, { main: 20_000 });
    assert.equal(disorder, 0);
  }
});

Deno.test("Bus hands each message over once, although a worker ceases to listen in the middle of a post", async () => {
  await using bus = open();
  using worker = await TestWorker.listening("leaving", bus);
  const seen: unknown[] = [];
  let leaving: Promise<unknown> | undefined;
  bus.registerHandler(Event, ({ args }) => {
    seen.push(args.n);
    if (leaving !== undefined) return;
    leaving = worker.tell({ do: "unlisten" });
    // Meanwhile the worker does so.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  });
  await bus.ready();
  // More than travels together.
  const text = "x".repeat(2 ** 13);
  const all = events(100).map((event) => ({
    ...event,
    args: { ...event.args as Record<string, unknown>, text },
  }));
  const receipt = await bus.post(all);
  await receipt.handled;
  await leaving;
  assert.deepEqual(seen, Array.from(all, (_, n) => n));
});

Deno.test("Bus loses nothing while the worker is blocked and other channels are flooded", async () => {
  await using bus = open();
  using worker = await TestWorker.listening("blocked", bus);
  const other = new BroadcastChannel("test/unrelated");
  const all = events(100_000);
  for (let n = 0; n < all.length; n += 500) {
    if (n % 40_000 === 10_000) {
      await worker.tell({ do: "block", seconds: 0.5 });
    }
    for (let i = 0; i < 100; i++) other.postMessage(i);
    await bus.post(all.slice(n, n + 500));
  }
  await bus.flush();
  other.close();
  const { counts, disorder } = await worker.seen();
  assert.deepEqual(counts, { main: 100_000 });
  assert.equal(disorder, 0);
});

Deno.test("Bus carries a message that is larger than the ring", async () => {
  await using bus = open();
  using worker = await TestWorker.listening("large", bus);
  const [small, large] = events(2);
  const text = "ä".repeat(2_500_000);
  await bus.post([small!, {
    ...large,
    args: { ...large!.args as object, text },
  }]);
  await bus.flush();
  const { counts, longest } = await worker.seen();
  assert.deepEqual(counts, { main: 2 });
  assert.equal(longest, text.length);
});

Deno.test("Bus.post waits for a worker that does not read, and memory stays bounded", async () => {
  await using bus = open();
  using worker = await TestWorker.listening("still", bus);
  const release = await worker.hold();
  const batch = events(500);
  let posted = 0;
  const posting = (async () => {
    for (; posted < 100; posted++) await bus.post(batch);
  })();
  await standstill(() => posted);
  // A ring of 1 MiB holds about 12 frames of 500 such messages.
  assert.ok(posted < 40, `${posted} batches were taken`);
  release();
  await posting;
  await bus.flush();
  assert.equal((await worker.seen()).counts["main"], 100 * 500);
});

Deno.test("Bus reports what a handler in a worker throws, with the message and the worker's name", async () => {
  await using bus = open();
  using worker = new TestWorker("thrower");
  await worker.tell({ do: "open", options: { name: bus.name } });
  await worker.tell({ do: "fail" });
  const receipt = await bus.post(events(3));
  const [failure, ...others] = await receipt.handled;
  assert.deepEqual(others, []);
  const { index, reason, subscriber, error } = failure!;
  assert.deepEqual([index, reason, subscriber], [1, "failed", "thrower"]);
  assert.deepEqual([error.name, error.message], [
    "TypeError",
    "thrown in the worker",
  ]);
});

Deno.test("Bus builds bytes in the worker and reports what is wrong with them once", async () => {
  await using bus = open();
  using _one = await TestWorker.listening("one", bus);
  using _two = await TestWorker.listening("two", bus);
  const bytes = [
    "rubbish",
    JSON.stringify({ ...events(1)[0], target: "attic" }),
  ]
    .map((text) => new TextEncoder().encode(text));
  const receipt = await bus.post(bytes, { target: "hall" });
  const failures = await receipt.handled;
  assert.deepEqual(
    failures.map(({ index, reason }) => [index, reason]),
    [[0, "malformed"], [1, "foreign"]],
  );
});

Deno.test("Bus carries what workers post, to each other and to the main thread", async () => {
  await using bus = open();
  const counts: Record<string, number> = {};
  bus.registerHandler(Event, ({ args: { from, n } }) => {
    assert.equal(n, counts[String(from)] ?? 0);
    counts[String(from)] = Number(n) + 1;
  });
  using one = await TestWorker.listening("one", bus);
  using two = await TestWorker.listening("two", bus);
  await Promise.all([
    one.tell({ do: "post", from: "one", count: 5000, batch: 7 }),
    two.tell({ do: "post", from: "two", count: 5000, batch: 300 }),
    bus.post(events(5000)).then(() => bus.flush()),
  ]);
  const expected = { main: 5000, one: 5000, two: 5000 };
  assert.deepEqual(counts, expected);
  for (const worker of [one, two]) {
    const { counts, disorder } = await worker.seen();
    assert.deepEqual(counts, expected);
    assert.equal(disorder, 0);
  }
});

Deno.test("Bus lets workers come and go at any time, and those who stay miss nothing", async () => {
  await using bus = open();
  using stays = await TestWorker.listening("stays", bus);
  let stop = false;
  let posted = 0;
  const posting = (async () => {
    while (!stop) {
      await bus.post(Array.from({ length: 50 }, () => ({
        type: "event",
        args: { type: "custom.Number", from: "main", n: posted++ },
      })));
    }
  })();
  for (let round = 0; round < 5; round++) {
    using visitor = await TestWorker.listening(`visitor ${round}`, bus);
    await until(async () => (await visitor.seen()).counts["main"]! > 0);
    if (round % 2 === 0) await visitor.tell({ do: "close" });
  }
  stop = true;
  await posting;
  await bus.flush();
  const { counts, disorder } = await stays.seen();
  assert.equal(counts["main"], posted);
  assert.equal(disorder, 0);
});

Deno.test("Bus works when it is opened as soon as another one is closed", async () => {
  for (let round = 0; round < 20; round++) {
    await using bus = open();
    using worker = await TestWorker.listening("worker", bus);
    await bus.post(events(1));
    await bus.flush();
    assert.deepEqual((await worker.seen()).counts, { main: 1 });
  }
});

Deno.test("Bus works when it is opened in the turn in which the last channel was closed", async () => {
  new BroadcastChannel("test/other").close();
  await using bus = open();
  using worker = await TestWorker.listening("worker", bus);
  await bus.post(events(1));
  await bus.flush();
  assert.deepEqual((await worker.seen()).counts, { main: 1 });
});

Deno.test("Bus delivers what a worker has posted before it closed its bus", async () => {
  for (const count of [1, 20_000]) {
    await using bus = open();
    const all = Promise.withResolvers<void>();
    let seen = 0;
    bus.registerHandler(Event, () => {
      if (++seen === count) all.resolve();
    });
    using worker = new TestWorker("brief");
    await worker.tell({
      do: "open",
      options: { name: bus.name, deviceId: "hall", plain: false },
    });
    const from = "brief";
    if (count === 1) {
      const closed = worker.tell({ do: "postAndClose", from });
      // Meanwhile this thread stands still, and takes up no offer.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      await closed;
    } else {
      await Promise.all([
        worker.tell({ do: "post", from, count, batch: count }),
        worker.tell({ do: "close" }),
      ]);
    }
    await inTime(all.promise, () => `${count} messages, after ${seen}`);
  }
});
