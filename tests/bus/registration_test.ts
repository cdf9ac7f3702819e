import assert from "node:assert/strict";
import {
  type Bus,
  Event,
  Message,
  type MessageClass,
  Request,
} from "../../src/bus/mod.ts";
import { event, open } from "./buses.ts";

type Register = (
  bus: Bus,
  seen: unknown[],
  options?: { signal?: AbortSignal },
) => Disposable & (() => void);

const ways: Record<string, Register> = {
  registerHandler: (bus, seen, options) =>
    bus.registerHandler(
      Event,
      ({ args: { n } }) => seen.push(n),
      undefined,
      options,
    ),
  on: (bus, seen, options) =>
    bus.on(
      { type: "custom.Number" },
      ({ args: { n } }) => seen.push(n),
      options,
    ),
};

for (const [name, register] of Object.entries(ways)) {
  Deno.test(`Bus.${name} ends by a call, at the end of a block, and by a signal`, async () => {
    await using bus = open();
    const seen: unknown[] = [];
    const end = register(bus, seen);
    await bus.post(event(1));
    end();
    end();
    {
      using _registration = register(bus, seen);
      await bus.post(event(2));
    }
    const controller = new AbortController();
    const aborted = register(bus, seen, { signal: controller.signal });
    await bus.post(event(3));
    controller.abort();
    await bus.post(event(4));
    aborted();
    register(bus, seen, { signal: AbortSignal.abort() })();
    await bus.post(event(5));
    assert.deepEqual(seen, [1, 2, 3]);
    assert.equal(bus.subscribers, 0);
    assert.throws(
      () => register(bus, seen, { signal: "no" as unknown as AbortSignal }),
      TypeError,
    );
  });
}

Deno.test("Bus.get ends by a signal, and what comes afterwards waits for the next call", async () => {
  await using bus = open();
  const controller = new AbortController();
  const waiting = [
    bus.get(undefined, { signal: controller.signal }),
    bus.get(10, { signal: controller.signal }),
  ];
  controller.abort(new Error("no longer"));
  for (const wait of waiting) {
    await assert.rejects(wait, { message: "no longer" });
  }
  await assert.rejects(
    bus.get(1, { signal: controller.signal }),
    { message: "no longer" },
  );
  assert.equal(bus.subscribers, 1);
  await bus.post([event(1), event(2)]);
  const { signal } = new AbortController();
  assert.equal((await bus.get(1, { signal }) as Event).args.n, 1);
  assert.equal((await bus.get() as Event).args.n, 2);
});

Deno.test("Bus refuses classes that no message is of, and names the import", async () => {
  await using bus = open();
  const refused = (type: unknown, message: RegExp): void =>
    assert.throws(
      () => bus.registerHandler(type as MessageClass, () => {}),
      { name: "TypeError", message },
    );
  refused(
    globalThis.Event,
    /the global Event of the web, .*: import \{ Event \} from "@platypush\/redis\/bus"/,
  );
  refused(
    globalThis.Request,
    /the global Request of the web, .*: import \{ Request \}/,
  );
  const copy = { Event: class Event {} };
  refused(
    copy.Event,
    /the class Event, no message class .* of another copy of it: import \{ Event \}/,
  );
  refused(Date, /the global Date of the web/);
  refused(() => {}, /no message class/);
  class Motion extends Event {}
  for (const type of [Message, Event, Request, Motion]) {
    bus.registerHandler(type as MessageClass, () => {})();
  }
});

Deno.test("Bus refuses filters that can never match, and names the nearest path", async () => {
  await using bus = open();
  const refused = (
    type: MessageClass | string,
    filter: Record<string, unknown>,
    message: RegExp,
  ): void =>
    assert.throws(
      () => bus.registerHandler(type, () => {}, filter),
      { name: "TypeError", message },
    );
  refused(Event, { "arg.type": "a" }, /no message has "arg"; .* "args\.type"/);
  refused(Event, { room: "hall" }, /no event has "room"; .* "args\.room"/);
  refused("custom.Motion", { "data.t": 1 }, /"args\.data\.t"/);
  refused(Request, { acton: "light.on" }, /the nearest path is "action"/);
  refused("custom.Motion", { orign: "hall" }, /the nearest path is "origin"/);
  refused(
    Event,
    { type: "custom.Motion" },
    /"type" is "event" there; .*"args\.type"/,
  );
  refused(
    Message,
    { type: "custom.Motion" },
    /"event" or "request" or "response"/,
  );
  for (
    const [type, filter] of [
      [Event, { type: "event", "args.type": "a", target: "hall" }],
      [Message, { type: "response", output: 3, action: undefined }],
      [Request, { action: "light.on", "args.room": "hall", token: "t" }],
      [Event, { _logging_level: 20, "_custom.x": 1, redelivered: 1 }],
    ] as const
  ) bus.registerHandler(type as MessageClass, () => {}, filter)();
});
