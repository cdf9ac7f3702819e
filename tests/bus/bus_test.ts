import assert from "node:assert/strict";
import {
  Bus,
  BusError,
  Event,
  Message,
  MessageError,
  Request,
} from "../../src/bus/mod.ts";
import type { BusOptions } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { standstill } from "./standstill.ts";

let names = 0;

function open(options: BusOptions = {}): Bus {
  return new Bus({ name: `test/bus/${names++}`, deviceId: "hall", ...options });
}

function event(n: number, type = "custom.Number"): Record<string, unknown> {
  return { type: "event", args: { type, n } };
}

Deno.test("Bus says which runtime it needs, before it opens anything", () => {
  Object.defineProperty(navigator, "locks", {
    value: undefined,
    configurable: true,
  });
  try {
    assert.throws(() => open(), {
      name: "BusError",
      message:
        /needs Web Locks, which this runtime \(Deno\/.*\) does not have: use Deno 2.9 or newer/,
    });
  } finally {
    delete (navigator as { locks?: unknown }).locks;
  }
});

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

Deno.test("Bus hands one message to all buses of its name in the isolate, and to no other", async () => {
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

Deno.test("Bus reports handlers that throw or reject, and goes on with the others", async () => {
  const logged: string[] = [];
  const quiet = () => {};
  const logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (text: string) => logged.push(text),
  };
  await using bus = open({ logger, label: "here" });
  const errors: unknown[] = [];
  bus.addEventListener(
    "error",
    (event) => errors.push((event as ErrorEvent).error.message),
  );
  let good = 0;
  bus.registerHandler(Event, ({ args: { n } }) => {
    if (n === 1) throw new Error("thrown");
  });
  bus.registerHandler(Event, async ({ args: { n } }) => {
    await Promise.resolve();
    if (n === 2) throw new Error("rejected");
  });
  bus.registerHandler(Event, () => good++);
  const receipt = await bus.post([event(0), event(1), event(2)]);
  const failures = await receipt.handled;
  assert.deepEqual(
    failures.map((
      { index, reason, subscriber, error },
    ) => [index, reason, subscriber, error.message]),
    [[1, "failed", "here", "thrown"], [2, "failed", "here", "rejected"]],
  );
  assert.deepEqual(errors, ["thrown", "rejected"]);
  assert.equal(logged.length, 2);
  assert.equal(good, 3);
  assert.equal(bus.stats().failed, 2);
});

Deno.test("Bus fails a message whose handler takes too long, and only that one", async () => {
  await using bus = open({ handlerTimeout: 0.05, stallTimeout: 0.2 });
  const hung = Promise.withResolvers<void>();
  bus.registerHandler(
    Event,
    ({ args: { n } }) => n === 1 ? hung.promise : undefined,
  );
  const receipt = await bus.post([event(0), event(1), event(2)]);
  const [failure, ...others] = await receipt.handled;
  assert.equal(failure?.index, 1);
  assert.match(failure.error.message, /has not finished .* within 0.05 s/);
  assert.equal(others.length, 0);
  hung.resolve();
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

Deno.test("Bus is iterated until the loop ends, and a message is handled when the next is asked for", async () => {
  await using bus = open();
  const receipts: Promise<unknown>[] = [];
  const done: number[] = [];
  const seen: unknown[] = [];
  const loop = (async () => {
    for await (const message of bus) {
      seen.push((message as Event).args.n);
      await standstill(() => done.length);
      assert.deepEqual(done, seen.slice(0, -1));
      if (seen.length === 3) break;
    }
  })();
  for (const n of [0, 1, 2]) {
    const receipt = await bus.post(event(n));
    receipts.push(receipt.handled.then(() => done.push(n)));
  }
  await loop;
  await Promise.all(receipts);
  assert.deepEqual(seen, [0, 1, 2]);
  assert.equal(bus.subscribers, 0);
});

Deno.test("Bus counts messages that a loop leaves behind as dropped", async () => {
  await using bus = open();
  const loop = bus[Symbol.asyncIterator]();
  const next = loop.next();
  const receipt = await bus.post([event(0), event(1), event(2)]);
  await next;
  await loop.return();
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ index, reason }) => [index, reason]), [[
    1,
    "dropped",
  ], [2, "dropped"]]);
  assert.equal(bus.stats().failed, 0);
});

Deno.test("Bus.get waits for a message, or for its time", async () => {
  await using bus = open();
  assert.equal(await bus.get(0.01), undefined);
  const later = bus.get();
  await bus.post([event(1), event(2)]);
  assert.equal((await later as Event).args.n, 1);
  assert.equal((await bus.get(0) as Event).args.n, 2);
});

Deno.test("Bus ends loops, waiting and posting when it is closed", async () => {
  const bus = open();
  const loop = bus[Symbol.asyncIterator]().next();
  const waiting = bus.get();
  const closed = bus.close();
  assert.deepEqual(await loop, { value: undefined, done: true });
  assert.equal(await waiting, undefined);
  await closed;
  await bus.stop();
  const unused = open();
  await unused.close();
  for (const one of [bus, unused]) {
    assert.equal(await inTime(one.get(), "the end of get"), undefined);
  }
  await assert.rejects(bus.post(event(1)), BusError);
  assert.throws(
    () => bus.registerHandler(Event, () => {}),
    /the bus "test\/bus\/\d+" is closed/,
  );
});

Deno.test("Bus settles what several readers take at once", async () => {
  await using bus = open();
  const readers = [bus.get(), bus.get()];
  const receipt = await bus.post([event(1), event(2)]);
  await Promise.all(readers);
  await bus.get(0);
  await bus.get(0);
  assert.deepEqual(await receipt.handled, []);
});

Deno.test("Bus counts what handlers are busy with as dropped when it is closed", async () => {
  await using bus = open();
  const other = new Bus({ name: bus.name });
  other.registerHandler(Event, () => new Promise(() => {}));
  const receipt = await bus.post(event(1));
  await other.close();
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ reason }) => reason), ["dropped"]);
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

const weird: Record<string, unknown> = {
  "undefined": undefined,
  "an object without prototype": Object.create(null),
  "an error with a symbol for a message": Object.assign(new Error(), {
    message: Symbol("weird"),
  }),
  "an error with a circular message": Object.assign(new Error(), {
    get message() {
      return this;
    },
  }),
};

for (const [what, reason] of Object.entries(weird)) {
  Deno.test(`Bus survives a handler that throws ${what}`, async () => {
    await using bus = open();
    bus.registerHandler(Event, () => {
      throw reason;
    });
    const receipt = await bus.post([event(1), event(2)]);
    const failures = await receipt.handled;
    assert.deepEqual(failures.map(({ index }) => index), [0, 1]);
    for (const { error } of failures) {
      assert.equal(typeof error.message, "string");
    }
  });
}

Deno.test("Bus survives a handler that returns a broken promise", async () => {
  await using bus = open();
  bus.registerHandler(Event, () => ({
    then: () => {
      throw new Error("broken");
    },
  }));
  const receipt = await bus.post(event(1));
  assert.equal((await receipt.handled)[0]?.error.message, "broken");
});

Deno.test("Bus gives a loop the time that it takes", async () => {
  await using bus = open({ handlerTimeout: 0.02, stallTimeout: 0.04 });
  const loop = bus[Symbol.asyncIterator]();
  const first = loop.next();
  const receipt = await bus.post([event(0), event(1)]);
  await first;
  // Several beats, each of which would end a handler that took so long.
  assert.equal(await bus.get(0.1), undefined);
  await loop.next();
  await loop.return();
  assert.deepEqual(await receipt.handled, []);
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

Deno.test("Bus.release ends what get has begun, and a later get begins anew", async () => {
  await using bus = open();
  bus.release();
  const waiting = [bus.get(), bus.get()];
  assert.equal(bus.subscribers, 1);
  bus.release();
  const ended = await inTime(Promise.all(waiting), "the end of get");
  assert.deepEqual(ended, [undefined, undefined]);
  assert.equal(bus.subscribers, 0);
  await bus.get(0);
  const receipt = await bus.post([event(0), event(1), event(2)]);
  assert.equal((await bus.get() as Event).args.n, 0);
  assert.equal((await bus.get() as Event).args.n, 1);
  bus.release();
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ index, reason }) => [index, reason]), [
    [2, "dropped"],
  ]);
  const next = bus.get();
  const later = await bus.post(event(3));
  assert.equal((await next as Event).args.n, 3);
  bus.release();
  assert.deepEqual(await later.handled, []);
});
