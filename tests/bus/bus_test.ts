import assert from "node:assert/strict";
import {
  Bus,
  Event,
  Message,
  MessageError,
  Request,
} from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { standstill } from "./standstill.ts";
import { event, open } from "./buses.ts";

for (
  const [name, where] of [
    ["locks", Navigator.prototype],
    ["SharedArrayBuffer", globalThis],
    ["waitAsync", Atomics],
  ] as const
) {
  Deno.test(`Bus says which runtime it needs, before it opens anything: ${name}`, () => {
    const there = Object.getOwnPropertyDescriptor(where, name)!;
    delete (where as Record<string, unknown>)[name];
    try {
      assert.throws(() => open(), {
        name: "BusError",
        message:
          /needs Web Locks, SharedArrayBuffer and Atomics.waitAsync, of which this runtime \(Deno\/.*\) does not have all: use Deno 2.9 or newer/,
      });
    } finally {
      Object.defineProperty(where, name, there);
    }
  });
}

Deno.test("Bus calls the handlers of a class, of its base class, and of an event type", async () => {
  await using bus = open();
  const calls: string[] = [];
  bus.registerHandler(Message, ({ type }) => calls.push(`message ${type}`));
  bus.registerHandler(Event, ({ args }) => calls.push(`event ${args.type}`));
  bus.registerHandler("custom.Light", () => calls.push("light"));
  bus.registerHandler(Request, ({ action }) => calls.push(`request ${action}`));
  await bus.post([
    event(1, "custom.Light"),
    event(2),
    { type: "request", action: "light.on" },
  ]);
  await bus.flush();
  assert.deepEqual(calls, [
    "message event",
    "event custom.Light",
    "light",
    "message event",
    "event custom.Number",
    "message request",
    "request light.on",
  ]);
});

Deno.test("Bus compares attributes with a handler's filter", async () => {
  await using bus = open();
  const seen: unknown[] = [];
  bus.registerHandler(Event, (event) => seen.push(event.args.n), {
    "args.n": 2,
    target: "hall",
  });
  await bus.post([event(1), event(2), { ...event(2), target: "attic" }]);
  await bus.flush();
  assert.deepEqual(seen, [2]);
});

Deno.test("Bus calls a handler no more once it is unregistered", async () => {
  await using bus = open();
  let calls = 0;
  const unregister = bus.registerHandler(Event, () => calls++);
  await bus.post(event(1));
  unregister();
  unregister();
  await bus.post(event(2));
  assert.equal(calls, 1);
  assert.equal(bus.subscribers, 0);
});

Deno.test("Bus hands one message to all buses of its name in the thread, and to no other", async () => {
  await using bus = open();
  await using same = new Bus({ name: bus.name });
  await using other = open();
  const seen: Message[] = [];
  bus.registerHandler(Message, (message) => seen.push(message));
  same.registerHandler(Message, (message) => seen.push(message));
  const elsewhere: Message[] = [];
  other.registerHandler(Message, (message) => elsewhere.push(message));
  await bus.post(event(1));
  assert.equal(seen.length, 2);
  assert.equal(seen[0], seen[1]);
  assert.deepEqual(elsewhere, []);
});

Deno.test("Bus keeps the order of posts that nobody waits for, and of posts by handlers", async () => {
  await using bus = open();
  const seen: unknown[] = [];
  bus.registerHandler(Event, async ({ args: { n } }) => {
    seen.push(n);
    if (n === 1) await bus.post(event(1002));
  });
  // So many are not handed out in one go.
  const many = Array.from({ length: 1000 }, (_, n) => event(n));
  const posts = [
    bus.post(many),
    bus.post(event(1000)),
    bus.post(event(1001)),
  ];
  await Promise.all(posts);
  await bus.flush();
  await bus.flush();
  assert.deepEqual(seen, Array.from({ length: 1003 }, (_, n) => n));
});

Deno.test("Bus.post refuses all when one is no message", async () => {
  await using bus = open();
  let calls = 0;
  bus.registerHandler(Message, () => calls++);
  await assert.rejects(
    bus.post([event(1), { type: "nonsense" }]),
    MessageError,
  );
  assert.equal(calls, 0);
});

Deno.test("Bus.post says which bytes are malformed, too large or foreign", async () => {
  await using bus = open();
  const seen: unknown[] = [];
  bus.registerHandler(Event, ({ args, target }) => seen.push([args.n, target]));
  const bytes = [
    JSON.stringify(event(0)),
    "rubbish",
    JSON.stringify({ ...event(2), target: "attic" }),
    JSON.stringify({ ...event(3), text: "x".repeat(1000) }),
    "{'type': 'event', 'args': {'type': 'custom.Number', 'n': 4}}",
  ].map((text) => new TextEncoder().encode(text));
  const receipt = await bus.post(bytes, { target: "hall", maxSize: 500 });
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ index, reason }) => [index, reason]), [
    [1, "malformed"],
    [2, "foreign"],
    [3, "too-large"],
  ]);
  assert.deepEqual(seen, [[0, "hall"], [4, "hall"]]);
});

Deno.test("Bus.post reports bad bytes also when nobody listens", async () => {
  for (const plain of [true, false]) {
    await using bus = open({ plain });
    const receipt = await bus.post(new TextEncoder().encode("rubbish"));
    assert.deepEqual((await receipt.handled).map(({ reason }) => reason), [
      "malformed",
    ]);
  }
});

Deno.test("Bus.post marks what was delivered before", async () => {
  await using bus = open();
  const seen: number[] = [];
  bus.registerHandler(Message, ({ redelivered }) => seen.push(redelivered));
  const bytes = new TextEncoder().encode(JSON.stringify(event(1)));
  await bus.post(Array(600).fill(bytes), {
    redelivered: Array.from({ length: 600 }, (_, i) => i),
  });
  assert.deepEqual(seen, Array.from({ length: 600 }, (_, i) => i));
});

Deno.test("Bus.flush waits for handlers that are busy", async () => {
  await using bus = open();
  const busy = Promise.withResolvers<void>();
  let flushed = false;
  bus.registerHandler(Event, () => busy.promise);
  await bus.post(event(1));
  const flush = bus.flush().then(() => flushed = true);
  await standstill(() => Number(flushed));
  assert.equal(flushed, false);
  busy.resolve();
  await flush;
});

Deno.test("Bus.post waits for another bus that is full, and not for its own handlers", async () => {
  await using bus = open();
  await using slow = new Bus({ name: bus.name });
  const loop = slow[Symbol.asyncIterator]();
  const first = loop.next();
  await bus.post(event(-1));
  await first;
  const own = Promise.withResolvers<void>();
  bus.registerHandler(Event, () => own.promise);
  let posted = 0;
  const posting = (async () => {
    for (; posted < 3000; posted++) await bus.post(event(posted));
  })();
  await standstill(() => posted);
  assert.ok(posted > 1000 && posted < 1100, `posted ${posted}`);
  try {
    for (let n = 0; n < 3000; n++) {
      const { value } = await inTime(loop.next(), "room for more");
      assert.equal((value as Event).args.n, n);
    }
    await posting;
  } finally {
    own.resolve();
    await loop.return();
  }
});

Deno.test("Bus calls a handler that replaces itself once for each message", async () => {
  await using bus = open();
  let calls = 0;
  let unregister = (): void => {};
  const replace = (): void => {
    calls++;
    unregister();
    unregister = bus.registerHandler(Event, replace);
  };
  unregister = bus.registerHandler(Event, replace);
  await bus.post([event(1), event(2)]);
  assert.equal(calls, 2);
});

Deno.test("Bus closes although two of them wait for each other's room", async () => {
  const one = open();
  const two = new Bus({ name: one.name });
  await Promise.all([one.get(0), two.get(0)]);
  const batch = Array.from({ length: 3000 }, (_, n) => event(n));
  const posts = [one.post(batch), two.post(batch)];
  await Promise.all([one.close(), two.close()]);
  await Promise.all(posts);
});

Deno.test("Bus refuses a name that could be another bus's", () => {
  assert.throws(() => new Bus({ name: "hall#control" }), /must not have a "#"/);
});

Deno.test("Bus refuses time limits that are none", () => {
  for (const stallTimeout of [0, -1, NaN]) {
    assert.throws(() => new Bus({ stallTimeout }), RangeError);
  }
});

Deno.test("Bus tells when the number of subscribers changes", async () => {
  await using bus = open();
  const numbers: number[] = [];
  bus.addEventListener("subscribers", () => numbers.push(bus.subscribers));
  await using same = new Bus({ name: bus.name });
  const unregister = [bus, same, bus].map((one) =>
    one.registerHandler(Event, () => {})
  );
  assert.deepEqual(numbers, [1]);
  for (const end of unregister) end();
  assert.deepEqual(numbers, [1, 0]);
});
