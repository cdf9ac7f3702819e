import assert from "node:assert/strict";
import process from "node:process";
import { TestWorker } from "./test_worker.ts";
import { events, open } from "./worker_buses.ts";

Deno.test("Bus costs nothing while nobody posts, however many are on it", async () => {
  await using bus = open();
  const workers = await Promise.all(
    Array.from(
      { length: 12 },
      (_, n) => TestWorker.listening(`idle ${n}`, bus),
    ),
  );
  try {
    assert.equal(bus.subscribers, 12);
    await bus.post(events(1));
    await bus.flush();
    const before = process.cpuUsage();
    const seconds = 3;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / (seconds * 1e6);
    assert.ok(share < 0.02, `${share} of a core`);
    await bus.post(events(1, "again"));
    await bus.flush();
    for (const worker of workers) {
      assert.deepEqual((await worker.seen()).counts, { main: 1, again: 1 });
    }
  } finally {
    for (const worker of workers) worker[Symbol.dispose]();
  }
});
