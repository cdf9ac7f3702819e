import assert from "node:assert/strict";
import { Bus, defineEventType } from "../../src/bus/mod.ts";

const SPEECH = "platypush.message.event.assistant.SpeechRecognizedEvent";

function open(name: string): Bus {
  return new Bus({
    name: `test/hooks/${name}`,
    deviceId: "hall",
    plain: false,
  });
}

/** Posts an event and waits until it is handled; returns the failures. */
async function post(
  bus: Bus,
  args: Record<string, unknown>,
): Promise<readonly Error[]> {
  const receipt = await bus.post({ type: "event", args });
  return (await receipt.handled).map(({ error }) => error);
}

Deno.test("A hook on a class gets the events of those derived from it", async () => {
  await using bus = open("classes");
  const seen: string[] = [];
  for (
    const type of [
      "platypush.message.event.Event",
      "platypush.message.event.assistant.AssistantEvent",
      "platypush.events.assistant.AssistantEvent",
      "platypush.message.event.assistant.ConversationEndEvent",
      SPEECH,
    ]
  ) bus.on({ type }, () => seen.push(type));
  await post(bus, { type: SPEECH, phrase: "hello" });
  assert.deepEqual(seen, [
    "platypush.message.event.Event",
    "platypush.message.event.assistant.AssistantEvent",
    "platypush.events.assistant.AssistantEvent",
    SPEECH,
  ]);
  seen.length = 0;
  await post(bus, { type: "custom.Motion" });
  assert.deepEqual(seen, ["platypush.message.event.Event"]);
});

Deno.test("A hook on a type of one's own gets what is derived from it, whenever that is defined", async () => {
  await using bus = open("own");
  const seen: unknown[] = [];
  bus.on({ type: "test.DoorEvent" }, (event) => seen.push(event.args.n));
  await post(bus, { type: "test.DoorOpened", n: 1 });
  defineEventType("test.DoorOpened", {
    extends: ["test.Other", "test.DoorEvent"],
  });
  await post(bus, { type: "test.DoorOpened", n: 2 });
  assert.deepEqual(seen, [2]);
});

Deno.test("A handler gets the words that a phrase has caught", async () => {
  await using bus = open("captures");
  const seen: unknown[] = [];
  bus.on(
    { type: SPEECH, phrase: "This is (the)? answer: ${answer}" },
    (event, captures) => seen.push([event.args["phrase"], captures]),
  );
  await post(bus, { type: SPEECH, phrase: "GARBAGE this is the answer: 42" });
  await post(bus, { type: SPEECH, phrase: "what is not the answer? 43" });
  assert.deepEqual(seen, [
    ["GARBAGE this is the answer: 42", { answer: "42" }],
  ]);
});

Deno.test("Without priorities every hook that matches is called, in order", async () => {
  await using bus = open("all");
  const seen: string[] = [];
  bus.on({ type: "custom.A" }, () => seen.push("type"));
  bus.on({ type: "custom.A", room: "hall", n: 1 }, () => seen.push("both"));
  bus.on({}, () => seen.push("any"));
  bus.on({ room: "hall" }, () => seen.push("room"));
  await post(bus, { type: "custom.A", room: "hall", n: true });
  assert.deepEqual(seen, ["type", "both", "any", "room"]);
});

Deno.test("Beside a hook with a priority only the best matches are called", async () => {
  await using bus = open("priority");
  const seen: string[] = [];
  const on = (name: string, condition: object, priority?: number): void => {
    bus.on(
      condition as Record<string, unknown>,
      () => seen.push(name),
      priority === undefined ? {} : { priority },
    );
  };
  on("exact", { type: SPEECH, phrase: "lights on" });
  on("pattern", { type: SPEECH, phrase: "lights ${state}" });
  on("5", { type: SPEECH }, 5);
  on("5 too", {}, 5);
  on("4", { type: SPEECH }, 4);
  await post(bus, { type: SPEECH, phrase: "lights on" });
  assert.deepEqual(seen, ["exact", "5", "5 too"]);
  seen.length = 0;
  await post(bus, { type: SPEECH, phrase: "lights off" });
  assert.deepEqual(seen, ["pattern", "5", "5 too"]);
});

Deno.test("A hook with a priority below 0 is called where it matches best", async () => {
  await using bus = open("below");
  const seen: string[] = [];
  bus.on({ room: "hall" }, () => seen.push("low"), { priority: -1 });
  await post(bus, { type: "custom.A", room: "hall" });
  bus.on({ room: { $ne: "attic" } }, () => seen.push("normal"));
  await post(bus, { type: "custom.A", room: "hall" });
  bus.on({ room: "hall" }, () => seen.push("best"));
  bus.on({ type: { $regex: "A$" }, n: 1 }, () => seen.push("other"));
  await post(bus, { type: "custom.A", room: "attic", n: 1 });
  assert.deepEqual(seen, ["low", "low", "normal", "other"]);
});

Deno.test("Each hook fails for itself, and one that was removed meanwhile is not called", async () => {
  await using bus = open("failing");
  const seen: string[] = [];
  bus.on({}, () => {
    end();
    throw new Error("one");
  });
  const end = bus.on({}, () => seen.push("removed"));
  bus.on({}, () => Promise.reject(new Error("two")));
  bus.on({}, () => seen.push("last"));
  const errors = await post(bus, { type: "custom.A" });
  assert.deepEqual(errors.map(({ message }) => message).sort(), ["one", "two"]);
  assert.deepEqual(seen, ["last"]);
});

Deno.test("Hooks have their own time limits", async () => {
  await using bus = open("timeouts");
  const { promise, resolve } = Promise.withResolvers<void>();
  bus.on({}, () => promise, { timeout: 0.1 });
  bus.on({}, () => promise.then(() => {}));
  const receipt = await bus.post({ type: "event", args: { type: "custom.A" } });
  const failed = new Promise((resolve) =>
    bus.addEventListener("error", resolve)
  );
  await failed;
  resolve();
  const failures = await receipt.handled;
  assert.deepEqual(failures.length, 1);
  assert.match(failures[0]!.error.message, /within 0\.1 s/);
});

Deno.test("A bus subscribes with its first hook, and no longer after its last", async () => {
  await using bus = open("subscribes");
  assert.equal(bus.subscribers, 0);
  const first = bus.on({ n: 1 }, () => {});
  const second = bus.on({ n: 1 }, () => {});
  await bus.ready();
  assert.equal(bus.subscribers, 1);
  first();
  first();
  assert.equal(bus.subscribers, 1);
  second();
  assert.equal(bus.subscribers, 0);
  const seen: number[] = [];
  bus.on({ n: 1 }, () => seen.push(1));
  await post(bus, { type: "custom.A", n: 1 });
  assert.deepEqual(seen, [1]);
});

Deno.test("Options of hooks are checked", async () => {
  await using bus = open("options");
  assert.throws(
    () => bus.on({}, () => {}, { priority: NaN }),
    /`priority` has to be a finite number/,
  );
  assert.throws(
    () => bus.on({}, () => {}, { prio: 1 } as unknown as { priority: number }),
    /`prio`.*`priority`/,
  );
  assert.throws(
    () => bus.on({ a: { $regex: "(" } }, () => {}),
    /at character 1/,
  );
  assert.throws(
    () => defineEventType("test.A", { extends: "test.A" }),
    /itself/,
  );
  assert.throws(() => defineEventType("", { extends: "a" }), /empty/);
  assert.throws(
    () => defineEventType(SPEECH, { extends: "a" }),
    /Platypush's own/,
  );
});
