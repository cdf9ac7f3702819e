import assert from "node:assert/strict";
import { namesOn } from "../../src/bus/bus.ts";
import { Bus } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { until } from "../until.ts";
import { TestWorker } from "./test_worker.ts";
import { events, open } from "./worker_buses.ts";

/** Resolves with the next event of a type that the bus dispatches. */
function next(bus: Bus, type: string): Promise<ErrorEvent> {
  return new Promise((resolve) =>
    bus.addEventListener(type, (event) => resolve(event as ErrorEvent), {
      once: true,
    })
  );
}

Deno.test("Bus finds a subscriber that is too busy to answer, before it posts", async () => {
  await using bus = open();
  using busy = await TestWorker.listening("busy", bus);
  using poster = new TestWorker("poster");
  // What a worker loads with its first bus takes time, in which nobody is busy.
  await poster.tell({ do: "open", options: { name: `${bus.name}/other` } });
  await busy.tell({ do: "block", seconds: 0.5 });
  await poster.tell({
    do: "open",
    options: { name: bus.name, deviceId: "hall" },
  });
  await poster.tell({ do: "post", from: "poster", count: 10, batch: 1 });
  assert.deepEqual((await busy.seen()).counts, { poster: 10 });
});

Deno.test("Bus drops a worker that was terminated, names it, and goes on with the others", async () => {
  await using bus = open();
  using stays = await TestWorker.listening("stays", bus);
  const goes = new TestWorker("goes");
  await goes.tell({ do: "open", options: { name: bus.name } });
  const begun = new Int32Array(new SharedArrayBuffer(4));
  await goes.tell({ do: "hang", begun: begun.buffer });
  const error = next(bus, "error");
  const receipt = await bus.post(events(1));
  await until(() => begun[0] === 1);
  goes[Symbol.dispose]();
  const failures = await receipt.handled;
  assert.deepEqual(
    failures.map(({ reason, subscriber }) => [reason, subscriber]),
    [["dropped", "goes"]],
  );
  assert.match(
    (await error).message,
    /subscriber goes has ended without leaving/,
  );
  assert.equal(bus.subscribers, 1);
  await bus.post(events(1));
  await bus.flush();
  assert.equal((await stays.seen()).counts["main"], 2);
});

Deno.test("Bus drops a worker that stands still, which learns of it and subscribes again", async () => {
  await using bus = open({ stallTimeout: 2 });
  using worker = await TestWorker.listening("sleeper", bus);
  await worker.tell({ do: "iterate" });
  await bus.post(events(1, "before"));
  await bus.flush();
  const dropped = next(bus, "error");
  await worker.tell({ do: "block", seconds: 6 });
  const receipt = await bus.post(events(2, "meanwhile"));
  const failures = await receipt.handled;
  // It had begun with neither.
  assert.deepEqual(failures.map(({ reason }) => reason), ["left", "left"]);
  assert.match(
    (await dropped).message,
    /subscriber sleeper has neither read .* for 2 s/,
  );
  assert.equal(bus.subscribers, 0);
  const back = next(bus, "subscribers");
  await back;
  await bus.post(events(3, "after"));
  await bus.flush();
  const { counts, errors } = await worker.seen();
  assert.equal(counts["after"], 3);
  assert.equal(errors.length, 2);
  assert.match(errors[0]!, /has given this subscriber up/);
  assert.match(errors[1]!, /^loop: The publisher has given this subscriber up/);
});

Deno.test("A named subscriber whose worker stands still is away until that goes on", async () => {
  await using bus = open({ stallTimeout: 2 });
  using worker = await TestWorker.listening("sleeper", bus, {
    subscriber: "lights",
  });
  const names = (): readonly string[] => [...namesOn(bus)];
  assert.deepEqual(names(), ["lights"]);
  const away = next(bus, "names");
  await worker.tell({ do: "block", seconds: 6 });
  const receipt = await bus.post(events(1, "meanwhile"));
  await receipt.handled;
  await inTime(away, "the bus tells of it");
  assert.deepEqual(names(), []);
  await until(() => names().join() === "lights");
});

Deno.test("Bus does not drop a worker that is only slow", async () => {
  await using bus = open({ stallTimeout: 2 });
  using worker = await TestWorker.listening("slow", bus);
  await worker.tell({ do: "block", seconds: 1 });
  const receipt = await bus.post(events(10));
  assert.deepEqual(await receipt.handled, []);
  assert.equal((await worker.seen()).counts["main"], 10);
});

Deno.test("Bus finds a worker again that stops listening and begins at once", async () => {
  await using bus = open();
  using worker = await TestWorker.listening("again", bus);
  await bus.post(events(1));
  await bus.flush();
  await worker.tell({ do: "again" });
  await bus.post(events(2, "after"));
  await bus.flush();
  assert.deepEqual((await worker.seen()).counts, { main: 1, after: 2 });
});

Deno.test("Bus keeps its subscribers when the publisher stands still", async () => {
  await using bus = open({ stallTimeout: 2 });
  using worker = await TestWorker.listening("patient", bus, {
    stallTimeout: 2,
  });
  await bus.post(events(1));
  await bus.flush();
  // Both stand still, as when the machine sleeps, and one wakes first. There is
  // a beat between, after which nothing has changed.
  await worker.tell({ do: "block", seconds: 3.2 });
  await new Promise((resolve) => setTimeout(resolve, 600));
  const end = performance.now() + 2500;
  while (performance.now() < end);
  for (const round of ["one", "two"]) {
    const receipt = await bus.post(events(2, round));
    assert.deepEqual(await receipt.handled, []);
  }
  const { counts, errors } = await worker.seen();
  assert.deepEqual(counts, { main: 1, one: 2, two: 2 });
  assert.deepEqual(errors, []);
});

Deno.test("Bus does not wait for ever for a thread that does not answer", async () => {
  using busy = new TestWorker("busy");
  await using first = open();
  await busy.tell({ do: "open", options: { name: first.name } });
  const release = await busy.hold();
  using poster = new TestWorker("poster");
  const post = async (): Promise<void> => {
    await poster.tell({
      do: "open",
      options: { name: first.name, deviceId: "hall", stallTimeout: 0.3 },
    });
    await poster.tell({ do: "post", from: "poster", count: 1, batch: 1 });
  };
  try {
    await inTime(post(), "the post goes out");
  } finally {
    release();
  }
  await busy.seen();
});
