import assert from "node:assert/strict";
import {
  Bus,
  BusError,
  type BusOptions,
  type Condition,
  Event,
  MessageError,
  RegexError,
} from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestWorker } from "./test_worker.ts";

function open(options: BusOptions = {}): Bus {
  return new Bus({
    name: crypto.randomUUID(),
    deviceId: "hall",
    plain: false,
    ...options,
  });
}

function motion(args: Record<string, unknown>): Record<string, unknown> {
  return { type: "event", args: { type: "custom.Motion", ...args } };
}

Deno.test("Bus.on calls the handler for the events that meet the condition, until it is ended", async () => {
  await using bus = open();
  const seen: unknown[] = [];
  const end = bus.on(
    {
      type: "custom.Motion",
      at: { room: { $regex: "(?i)^HALL" }, floor: 1 },
      level: { $gt: 3, $lte: 5 },
    },
    ({ args }) => seen.push(args.n),
  );
  const at = { room: "hallway", floor: 1, lamp: "left" };
  const messages = [
    motion({ n: 0, at, level: 4 }),
    motion({ n: 1, at, level: 3 }),
    motion({ n: 2, at: { ...at, floor: 2 }, level: 4 }),
    motion({ n: 3, at: { ...at, room: "kitchen" }, level: 4 }),
    motion({ n: 4, at, level: "5" }),
    motion({ n: 5, at }),
    { type: "event", args: { type: "custom.Other", n: 6, at, level: 4 } },
    { type: "request", action: "custom.Motion", args: { n: 7, at, level: 4 } },
  ];
  await bus.post(messages);
  await bus.flush();
  assert.deepEqual(seen, [0, 4]);
  end();
  await bus.post(messages);
  await bus.flush();
  assert.deepEqual(seen, [0, 4]);
});

Deno.test("Bus.on reads the condition at once", async () => {
  await using bus = open();
  const seen: unknown[] = [];
  const condition: Record<string, unknown> = { room: "hall" };
  bus.on(condition, ({ args }) => seen.push(args.room));
  condition.room = "kitchen";
  await bus.post([motion({ room: "hall" }), motion({ room: "kitchen" })]);
  await bus.flush();
  assert.deepEqual(seen, ["hall"]);
});

Deno.test("Bus.on waits for its handler, and fails no event but those that meet the condition", async () => {
  await using bus = open();
  bus.on({ level: { $gte: 2 } }, async ({ args }) => {
    await Promise.resolve();
    throw new Error(`too bright: ${args.level}`);
  });
  const receipt = await bus.post([1, 2, 3].map((level) => motion({ level })));
  const failures = await receipt.handled;
  assert.deepEqual(
    failures.map(({ index, reason, error }) => [index, reason, error.message]),
    [[1, "failed", "too bright: 2"], [2, "failed", "too bright: 3"]],
  );
});

Deno.test("Bus.on refuses at once a condition that cannot be used", async () => {
  await using bus = open();
  const refused = (condition: unknown, error: unknown): void =>
    assert.throws(
      () => bus.on(condition as Condition, () => {}),
      error as Error,
    );
  refused({ room: { $regex: "(" } }, RegexError);
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  refused(cycle, MessageError);
  for (
    const [value, kind] of [
      ["custom.Motion", "a string"],
      [undefined, "missing"],
      [null, "null"],
      [["custom.Motion"], "an array"],
      [new Date(0), "a string"],
    ]
  ) {
    refused(value, {
      name: "TypeError",
      message:
        `Cannot use the condition: it is ${kind}, expected an object of ` +
        `what the event's "args" have to be`,
    });
  }
  assert.equal(bus.subscribers, 0);
});

Deno.test("Bus.on tells the bus's logger of an operator that it does not know", async () => {
  const logger = new LineLogger();
  await using bus = open({ logger });
  let calls = 0;
  bus.on({ level: { $above: 3 } }, () => calls++);
  assert.match(logger.lines.join(), /warn: .* unknown operator "\$above"/);
  await bus.post(motion({ level: 4 }));
  await bus.flush();
  assert.equal(calls, 0);
});

Deno.test("Bus.on refuses to begin on a closed bus", async () => {
  const bus = open();
  await bus.close();
  assert.throws(() => bus.on({ room: "hall" }, () => {}), BusError);
});

Deno.test("Bus.on gets the events that meet the condition in workers too", async () => {
  await using bus = open();
  using worker = new TestWorker("conditional");
  await worker.tell({ do: "open", options: { name: bus.name } });
  const condition = { from: { $regex: "^ev" }, big: { nested: { $ne: null } } };
  await worker.tell({ do: "on", condition });
  await bus.post([
    motion({ from: "even", n: 0, big: { nested: 0 } }),
    motion({ from: "odd", n: 0, big: { nested: 1 } }),
    motion({ from: "even", n: 7, big: { nested: null } }),
    motion({ from: "even", n: 1, big: { nested: 2 } }),
  ]);
  await inTime(bus.flush(), "the worker's report");
  const { counts, disorder } = await worker.seen();
  assert.deepEqual(counts, { even: 2 });
  assert.equal(disorder, 0);
});

Deno.test("Bus gives each handler its own time limit", async () => {
  await using bus = open({ handlerTimeout: 0.03, stallTimeout: 0.06 });
  const slow = Promise.withResolvers<void>();
  bus.on({ n: 0 }, () => slow.promise, { timeout: Infinity });
  bus.on({ n: 1 }, () => slow.promise);
  bus.on({ n: 2 }, () => slow.promise, { timeout: 0.02 });
  const receipts = await Promise.all(
    [0, 1, 2].map((n) => bus.post(motion({ n }))),
  );
  const messages = await Promise.all(
    receipts.slice(1).map(async ({ handled }) =>
      (await handled).map(({ error }) => error.message).join()
    ),
  );
  assert.match(messages[0]!, /within 0.03 s/);
  assert.match(messages[1]!, /within 0.02 s/);
  slow.resolve();
  assert.deepEqual(await receipts[0]!.handled, []);
  for (const timeout of [0, -1, NaN]) {
    assert.throws(() => bus.on({}, () => {}, { timeout }), {
      name: "RangeError",
      message:
        /Cannot register a handler: `timeout` is .*, expected a number of seconds above 0/,
    });
  }
});

Deno.test("Bus refuses conditions that no event could meet, or any would", async () => {
  await using bus = new Bus({ name: "test/on/nonsense", deviceId: "hall" });
  const handler = (): void => {};
  for (
    const [condition, problem] of [
      [{ room: undefined }, /"args\.room" is of the type undefined/],
      [
        { data: { room: () => "hall" } },
        /"args\.data\.room" is of the type fun/,
      ],
      [{ room: /^hall/ }, /"args\.room" is a RegExp.*\$regex/],
    ] as const
  ) {
    assert.throws(
      () => bus.on(condition as never, handler),
      (error) => error instanceof TypeError && problem.test(error.message),
    );
  }
  assert.equal(bus.subscribers, 0);
});

Deno.test("Bus refuses handlers and filters that are none", async () => {
  await using bus = new Bus({ name: "test/on/none", deviceId: "hall" });
  const handler = (): void => {};
  for (
    const [register, problem] of [
      [() => bus.registerHandler(Event, handler, null!), /filter is no object/],
      [() => bus.registerHandler(Event, handler, 5 as never), /filter is no/],
      [() => bus.registerHandler(Event, undefined!), /handler is no function/],
      [() => bus.registerHandler(5 as never, handler), /type is neither/],
      [() => bus.on({ room: "hall" }, undefined!), /handler is no function/],
    ] as const
  ) {
    assert.throws(
      register,
      (error) => error instanceof TypeError && problem.test(error.message),
    );
  }
  assert.equal(bus.subscribers, 0);
});

Deno.test("Bus.on refuses conditions in which something is at the wrong place", async () => {
  await using bus = open();
  for (
    const [condition, message] of [
      [{ type: "custom.Number", $gt: 3 }, /"\$gt" stands for no argument/],
      [{ $or: [{ n: 1 }, { n: 2 }] }, /"\$or" stands for no argument/],
      [{ type: 5 }, /"type" is a number, expected the name/],
      [{ type: "" }, /"type" is empty/],
      [{ type: ["custom.Number"] }, /"type" is an array/],
      [{ "args.n": 1 }, /write "n" for "args\.n"/],
      [{ args: { type: "custom.Number" } }, /without it/],
    ] as const
  ) {
    assert.throws(
      () => bus.on(condition, () => {}),
      { name: "TypeError", message },
    );
  }
  assert.throws(() => bus.registerHandler("", () => {}), TypeError);
  bus.on({ type: { $regex: "Number$" }, args: { n: 1 }, $odd: 1 }, () => {});
});
