import assert from "node:assert/strict";
import { Bus, Event } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { until } from "../until.ts";
import { TestWorker } from "./test_worker.ts";
import { events, open } from "./worker_buses.ts";

/** Posts messages as often as any of them has failed, at most five times, and gives the number. */
async function postUntilHandled(bus: Bus, count: number): Promise<number> {
  let inputs = events(count);
  let retries: (string | undefined)[] = inputs.map(() => undefined);
  for (let round = 1; round <= 5; round++) {
    const receipt = await bus.post(inputs, { retries });
    const failures = await inTime(receipt.handled, `the end of ${round}`);
    const failed = [...new Set(failures.map(({ index }) => index))];
    if (failed.length === 0) return round;
    retries = failed.map((index) => receipt.retry(index));
    inputs = failed.map((index) => inputs[index]!);
  }
  return Infinity;
}

Deno.test("Bus gives what has failed again only to those who have failed with it", async () => {
  await using bus = open();
  await using same = new Bus({ name: bus.name });
  using worker = await TestWorker.listening("worker", bus);
  const seen: Record<string, unknown[]> = { good: [], bad: [], other: [] };
  bus.registerHandler(Event, ({ args: { n } }) => seen.good!.push(n));
  let attempts = 0;
  bus.registerHandler(Event, async ({ args: { n } }) => {
    seen.bad!.push(n);
    await Promise.resolve();
    if (n === 2 && ++attempts === 1) throw new Error("no light bulb");
  });
  same.registerHandler(Event, ({ args: { n } }) => seen.other!.push(n));
  await same.ready();
  // More than a chunk.
  assert.equal(await postUntilHandled(bus, 600), 2);
  const all = Array.from({ length: 600 }, (_, n) => n);
  assert.deepEqual(seen, { good: all, bad: [...all, 2], other: all });
  assert.deepEqual((await worker.seen()).counts, { main: 600 });
});

Deno.test("Bus gives what has failed in a worker again only there", async () => {
  await using bus = open();
  const seen: unknown[] = [];
  bus.registerHandler(Event, ({ args: { n } }) => seen.push(n));
  using good = await TestWorker.listening("good", bus);
  using bad = await TestWorker.listening("bad", bus);
  await bad.tell({ do: "fail" });
  await bus.ready();
  assert.equal(await postUntilHandled(bus, 3), Infinity);
  assert.deepEqual(seen, [0, 1, 2]);
  assert.deepEqual((await good.seen()).counts, { main: 3 });
  // In the bad one a handler that counts has not failed.
  assert.deepEqual((await bad.seen()).counts, { main: 3 });
});

Deno.test("Bus gives what has failed again also to who has subscribed since", async () => {
  await using bus = open();
  bus.registerHandler(Event, () => {
    throw new Error("no light bulb");
  })();
  const end = bus.registerHandler(Event, () => {
    throw new Error("no light bulb");
  });
  const receipt = await bus.post(events(1));
  await receipt.handled;
  end();
  let seen = 0;
  bus.registerHandler(Event, () => seen++);
  using worker = await TestWorker.listening("new", bus);
  await bus.post(events(1), { retries: [receipt.retry(0)] });
  await bus.flush();
  assert.equal(seen, 1);
  assert.deepEqual((await worker.seen()).counts, { main: 1 });
});

Deno.test("Bus gives everybody what has failed on a bus that is no more", async () => {
  const name = crypto.randomUUID();
  const first = open({ name });
  first.registerHandler(Event, () => {
    throw new Error("no light bulb");
  });
  const receipt = await first.post(events(1));
  await receipt.handled;
  const retries = [receipt.retry(0)];
  assert.ok(/^[ -~]{1,100}$/.test(retries[0]!), retries[0]);
  await first.close();
  await using second = open({ name });
  let seen = 0;
  second.registerHandler(Event, () => seen++);
  await second.post([...events(1), ...events(1)], {
    retries: [...retries, "no such thing"],
  });
  assert.equal(seen, 2);
});

Deno.test("Bus says nothing of who is to get a message that is wrong itself, or that was handled", async () => {
  await using bus = open();
  bus.registerHandler(Event, () => {});
  const receipt = await bus.post([
    new TextEncoder().encode("rubbish"),
    ...[events(1)[0]!].map((event) =>
      new TextEncoder().encode(JSON.stringify(event))
    ),
  ]);
  assert.deepEqual((await receipt.handled).map(({ index }) => index), [0]);
  assert.equal(receipt.retry(0), undefined);
  assert.equal(receipt.retry(1), undefined);
});

Deno.test("A worker that is lost has dropped what it was at work on, and left the rest", async () => {
  await using bus = open({ stallTimeout: 2 });
  using worker = new TestWorker("lost");
  await worker.tell({ do: "open", options: { name: bus.name } });
  // It handles 0 and 1, fails with 2, has 3 in an asynchronous handler, and
  // stands still in 5.
  const begun = new Int32Array(new SharedArrayBuffer(4));
  await worker.tell({ do: "stop", begun: begun.buffer });
  let here = 0;
  bus.registerHandler(Event, () => here++);
  const receipt = await bus.post(events(8));
  const failures = await inTime(receipt.handled, "its end");
  assert.deepEqual(failures.map(({ index, reason }) => [index, reason]), [
    [2, "failed"],
    [3, "dropped"],
    [5, "dropped"],
    [6, "left"],
    [7, "left"],
  ]);
  assert.equal(here, 8);
  const again = await bus.post(events(8).slice(2), {
    retries: [2, 3, 4, 5, 6, 7].map((index) => receipt.retry(index)),
  });
  await again.handled;
  assert.equal(here, 9, "4 was handled by all, and has no failure");
  Atomics.notify(begun, 0);
});

Deno.test("A worker that closes its bus has failed with nothing", async () => {
  await using bus = open();
  let here = 0;
  bus.registerHandler(Event, () => here++);
  using worker = new TestWorker("leaving");
  await worker.tell({ do: "open", options: { name: bus.name } });
  const begun = new Int32Array(new SharedArrayBuffer(4));
  await worker.tell({ do: "hang", begun: begun.buffer });
  const receipt = await bus.post(events(3));
  await until(() => begun[0] === 3);
  await worker.tell({ do: "close" });
  const failures = await inTime(receipt.handled, "its end");
  assert.deepEqual(
    failures.map(({ index, reason, subscriber }) => [
      index,
      reason,
      subscriber,
    ]),
    [0, 1, 2].map((index) => [index, "left", "leaving"]),
  );
  const again = await bus.post(events(3), {
    retries: [0, 1, 2].map((index) => receipt.retry(index)),
  });
  assert.deepEqual(await again.handled, []);
  assert.equal(here, 3);
});

Deno.test("A worker that stands still leaves the others in peace, and gets what it has missed", async () => {
  await using bus = open({ stallTimeout: 2 });
  let here = 0;
  bus.registerHandler(Event, () => here++);
  using worker = await TestWorker.listening("sleeper", bus);
  await bus.post(events(1, "before"));
  await bus.flush();
  const release = await worker.hold();
  const receipt = await bus.post(events(2));
  const failures = await inTime(receipt.handled, "it is given up");
  assert.deepEqual(failures.map(({ reason }) => reason), ["left", "left"]);
  const back = new Promise((resolve) =>
    bus.addEventListener(
      "subscribers",
      () => bus.subscribers === 2 && resolve(0),
    )
  );
  release();
  await inTime(back, "it is back");
  const again = await bus.post(events(2), {
    retries: [receipt.retry(0), receipt.retry(1)],
  });
  assert.deepEqual(await inTime(again.handled, "the retry"), []);
  assert.equal(here, 3);
  assert.deepEqual((await worker.seen()).counts, { before: 1, main: 2 });
});
