import assert from "node:assert/strict";
import { Event } from "../../src/message/mod.ts";
import { until } from "../until.ts";
import { event, open } from "./buses.ts";

/** A handler whose work ends when the test says so. */
function makeWork(): {
  readonly begun: number[];
  end(n: number): void;
  fail(n: number): void;
  most(): number;
  handle(event: Event): Promise<void>;
} {
  const begun: number[] = [];
  const ends = new Map<number, PromiseWithResolvers<void>>();
  let running = 0;
  let most = 0;
  return {
    begun,
    end: (n: number): void => ends.get(n)!.resolve(),
    fail: (n: number): void => ends.get(n)!.reject(new Error("no")),
    most: (): number => most,
    handle: async ({ args }: Event): Promise<void> => {
      const n = Number(args["n"]);
      begun.push(n);
      most = Math.max(most, ++running);
      const end = Promise.withResolvers<void>();
      ends.set(n, end);
      await end.promise.finally(() => running--);
    },
  };
}

for (const way of ["registerHandler", "on"] as const) {
  Deno.test(`A handler has no more at work at once than its concurrency (${way}), in order`, async () => {
    await using bus = open();
    const work = makeWork();
    const options = { concurrency: 2 };
    if (way === "on") bus.on({ type: "custom.Number" }, work.handle, options);
    else bus.registerHandler(Event, work.handle, undefined, options);
    const all: number[] = [];
    bus.registerHandler(Event, ({ args }) => void all.push(Number(args["n"])));
    const receipt = await bus.post([0, 1, 2, 3, 4].map((n) => event(n)));
    // Others do not wait for it.
    assert.deepEqual(all, [0, 1, 2, 3, 4]);
    assert.deepEqual(work.begun, [0, 1]);
    work.fail(1);
    await until(() => work.begun.length === 3);
    work.end(0);
    await until(() => work.begun.length === 4);
    for (const n of [2, 3]) work.end(n);
    await until(() => work.begun.length === 5);
    work.end(4);
    const failures = await receipt.handled;
    assert.deepEqual(failures.map(({ index }) => index), [1]);
    assert.deepEqual(work.begun, [0, 1, 2, 3, 4]);
    assert.equal(work.most(), 2);
  });
}

Deno.test("The time of a message begins with its turn, and one that hangs does not hold up the others for ever", async () => {
  await using bus = open();
  const called: number[] = [];
  bus.on({ type: "custom.Number" }, ({ args }) => {
    called.push(Number(args["n"]));
    return args["n"] === 0 ? new Promise(() => {}) : undefined;
  }, { concurrency: 1, timeout: 0.2 });
  const receipt = await bus.post([0, 1, 2].map((n) => event(n)));
  const failures = await receipt.handled;
  assert.deepEqual(called, [0, 1, 2]);
  assert.deepEqual(failures.map(({ index }) => index), [0]);
});

Deno.test("Who waits for a turn goes back when the handler is removed, and is not called", async () => {
  await using bus = open();
  const work = makeWork();
  const hook = bus.on({ type: "custom.Number" }, work.handle, {
    concurrency: 1,
  });
  const receipt = await bus.post([0, 1, 2].map((n) => event(n)));
  hook();
  work.end(0);
  const failures = await receipt.handled;
  assert.deepEqual(
    failures.map(({ index, reason }) => [index, reason]),
    [[1, "left"], [2, "left"]],
  );
  assert.deepEqual(work.begun, [0]);
});

Deno.test("A concurrency that makes no sense is refused", async () => {
  await using bus = open();
  for (const concurrency of [0, -1, 1.5, NaN]) {
    assert.throws(
      () => bus.on({ type: "custom.Number" }, () => {}, { concurrency }),
      /`concurrency` is .*, expected a whole number above 0/,
    );
  }
});

Deno.test("What waits for a turn goes back when its bus is closed, and is not handled", async () => {
  await using bus = open();
  const other = open({ name: bus.name });
  const work = makeWork();
  other.on({ type: "custom.Number" }, work.handle, { concurrency: 1 });
  const receipt = await bus.post([0, 1, 2].map((n) => event(n)));
  await other.close();
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ reason }) => reason), Array(3).fill("left"));
  assert.deepEqual(work.begun, [0]);
  work.end(0);
});
