import assert from "node:assert/strict";
import { Bus, Event, type Receipt } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { event, open } from "./buses.ts";

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

Deno.test("Bus looks at the clock once for all handlers that are called together", async () => {
  await using bus = open();
  let handled = 0;
  // deno-lint-ignore require-await -- only the promise matters
  bus.registerHandler(Event, async () => void handled++);
  const loop = (async () => {
    for await (const message of bus) {
      if ((message as Event).args["n"] === 99) break;
    }
  })();
  const now = performance.now;
  let looks = 0;
  performance.now = () => {
    looks++;
    return now.call(performance);
  };
  try {
    const all = Array.from({ length: 100 }, (_, n) => event(n));
    const receipt = await bus.post(all);
    assert.deepEqual(await receipt.handled, []);
  } finally {
    performance.now = now;
  }
  await loop;
  assert.equal(handled, 100);
  assert.ok(looks < 10, `${looks} looks at the clock for 100 messages`);
});

Deno.test("A message that is posted when another has taken too long has a time limit, too", async () => {
  await using bus = open({ handlerTimeout: 0.05, stallTimeout: 0.2 });
  const second = Promise.withResolvers<Receipt>();
  bus.addEventListener(
    "error",
    () => second.resolve(bus.post(event(2))),
    { once: true },
  );
  bus.registerHandler(Event, () => new Promise(() => {}));
  await bus.post(event(1));
  const handled = second.promise.then((receipt) => receipt.handled);
  const [failure] = await inTime(handled, "the second failure");
  assert.match(failure!.error.message, /has not finished .* within 0.05 s/);
});

Deno.test("Bus gives back what handlers are busy with when it is closed, which has not failed", async () => {
  await using bus = open();
  const other = new Bus({ name: bus.name });
  other.registerHandler(Event, () => new Promise(() => {}));
  const receipt = await bus.post(event(1));
  await other.close();
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ reason }) => reason), ["left"]);
  assert.equal(other.stats().failed, 0);
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
  "an error with a number for a stack": Object.assign(new Error("weird"), {
    stack: 5,
  }),
  "an error with a stack that is no text": Object.assign(new Error("weird"), {
    stack: Object.create(null),
  }),
  "an error whose stack cannot be read": Object.defineProperty(
    new Error("weird"),
    "stack",
    { get: () => assert.fail("there is no stack") },
  ),
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
