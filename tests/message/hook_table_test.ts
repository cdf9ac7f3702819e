import assert from "node:assert/strict";
import fc from "fast-check";
import { createLogger } from "../../src/logger.ts";
import { readCondition } from "../../src/message/condition.ts";
import { HookTable } from "../../src/message/hook_table.ts";
import { type Condition, Event } from "../../src/message/mod.ts";

const SPEECH = "platypush.message.event.assistant.SpeechRecognizedEvent";
const logger = createLogger("message");

const type = fc.constantFrom("custom.A", "custom.B", SPEECH);
const value = fc.constantFrom<unknown>(
  ...[0, -0, 1, true, false, null, 1.5, 2 ** 53, 2n ** 60n, 2 ** 60],
  ...["hall", "Hall", "the hall", "HALL 1", "", [], [1], [true], [1, "hall"]],
  ...[{}, { a: 1 }, { b: { a: "x" } }, { a: [1] }, [{ a: 1 }], [[1], 1.5]],
  ...[{ a: 1, b: true }, { b: 1, a: 1 }, { 0: 1, length: 1 }],
);
const expected = fc.oneof(
  value,
  value.map(($eq) => ({ $eq })),
  fc.constantFrom<unknown>(
    { $gt: 0 },
    { $gt: 0, $eq: 1 },
    "${x}",
    "(the)? hall",
    ...["^hall", "(?i)HALL", "the|1", "[Tt]he .*hall$", "h.*l", "[a-z]+$"]
      .map(($regex) => ({ $regex })),
    ...["(?=.*ll)(?=.*[tT]he)", "(?!the)h", "(?<=the )hall", "((?=h)|.)al", ""]
      .map(($regex) => ({ $regex })),
    { a: { $gt: 0 } },
    { b: { $ne: 1 }, a: { $lt: 3 } },
    { $ne: "hall", $regex: "hall" },
    { $eq: "hall", $regex: "a" },
  ),
);
const names = ["a", "b", "toString"];
const condition = fc.record({
  type: fc.oneof(
    type,
    fc.constantFrom<unknown>(
      "platypush.message.event.Event",
      ...[{ $regex: "[AB]$" }, { $regex: "Speech" }, { $eq: "custom.B" }],
    ),
  ),
  ...Object.fromEntries(names.map((name) => [name, expected])),
}, { requiredKeys: [] }) as fc.Arbitrary<Condition>;
const args = fc.record({
  type,
  ...Object.fromEntries(names.map((name) => [name, value])),
}, { requiredKeys: ["type"] });

Deno.test("the table finds the hooks that match, and no others", () => {
  const hook = fc.record({
    condition,
    priority: fc.constantFrom(-1, 0, 0, 0, 2),
    isRemoved: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(hook), fc.array(args), (hooks, events) => {
      const table = new HookTable<number>();
      const removals = hooks.map(({ condition, priority }, index) =>
        table.add(index, readCondition(condition, logger), priority)
      );
      hooks.forEach(({ isRemoved }, index) => isRemoved && removals[index]!());
      const left = hooks.map((hook, index) => ({ ...hook, index }))
        .filter(({ isRemoved }) => !isRemoved);
      assert.equal(table.size, left.length);
      for (const args of events) {
        const event = new Event({ args, target: "a", origin: "a" });
        const matching = left.flatMap((hook) => {
          const match = event.match(hook.condition);
          return match ? [{ ...hook, match }] : [];
        });
        const score = Math.max(...matching.map(({ match }) => match.score));
        const priority = Math.max(0, ...matching.map((one) => one.priority));
        assert.deepEqual(
          table.choose(event).map(({ hook, match }) => ({
            index: hook,
            match,
          })),
          matching.filter((one) =>
            one.match.score === score || one.priority === priority
          ).map(({ index, match }) => ({ index, match })),
        );
      }
    }),
    { numRuns: 1000 },
  );
});

/** Makes a table of hooks, and a function that says which it calls and how many it has looked at. */
function lookingAt(
  conditions: readonly Condition[],
): (args: Record<string, unknown>) => { hooks: number[]; looked: number } {
  const table = new HookTable<number>();
  let looked = 0;
  conditions.forEach((condition, index) => {
    const read = readCondition(condition, logger);
    table.add(index, {
      ...read,
      match: (event) => {
        looked++;
        return read.match(event);
      },
    }, 0);
  });
  return (args) => {
    looked = 0;
    const event = new Event({ args: { type: "custom.A", ...args } });
    const hooks = table.choose(event).map(({ hook }) => hook);
    return { hooks, looked };
  };
}

Deno.test("an event meets only those of 10,000 hooks that it may match", () => {
  const choose = lookingAt(
    Array.from({ length: 10_000 }, (_, index) =>
      [
        { type: "custom.A", room: `room ${index}` },
        { type: `custom.${index}`, level: { $gt: 3 } },
        { type: "custom.A", data: { id: index } },
        { type: "custom.A", [`key ${index}`]: 1 },
        { type: "custom.A", room: { $eq: `room ${index}` } },
      ][index % 5]! as Condition),
  );
  assert.deepEqual(
    choose({ room: "attic", level: 5, data: { id: -1 } }),
    { hooks: [], looked: 0 },
  );
  assert.deepEqual(
    choose({ room: "room 4", data: { id: 7 } }),
    { hooks: [4, 7], looked: 2 },
  );
});

Deno.test("an event meets only those of 10,000 patterns whose literals it contains", () => {
  const choose = lookingAt(
    Array.from({ length: 10_000 }, (_, index) => ({
      type: "custom.A",
      topic: {
        $regex: [
          `^sensor\\.kitchen_${index}\\.`,
          `temperature_${index}_|humidity_${index}_`,
          `.*door.*_${index}_.*open.*`,
          `(?i)Window_${index}_`,
        ][index % 4]!,
      },
    })),
  );
  const attic = "sensor.attic.temperature: the door is open";
  // Whoever asks first for what all ask for may be found by that.
  assert.deepEqual(choose({ topic: attic }), { hooks: [], looked: 2 });
  assert.deepEqual(choose({}), { hooks: [], looked: 0 });
  // One of them says in the log that this is no text.
  assert.deepEqual(choose({ topic: 5 }), { hooks: [], looked: 1 });
  assert.deepEqual(
    choose({ topic: "sensor.kitchen_4.temperature_5_ and humidity_5_" }),
    { hooks: [4, 5], looked: 2 },
  );
  assert.deepEqual(
    choose({ topic: "door _6_ is ajar, then open: WINDOW_7_" }),
    { hooks: [6, 7], looked: 3 },
  );
});

Deno.test("an event meets no hook that asks for what it does not have", () => {
  const choose = lookingAt(
    Array.from({ length: 10_000 }, (_, index) =>
      [
        { type: "custom.A", [`level ${index}`]: { $gt: 3 } },
        { type: "custom.A", data: { [`level ${index}`]: { $lt: 3 } } },
        { type: "custom.A", data: { [`room ${index}`]: { id: index } } },
        { type: "custom.A", hub: 1, [`state ${index}`]: { $ne: "off" } },
        { type: "custom.A", hub: 1, [`name ${index}`]: { $regex: "^\\d+$" } },
      ][index % 5]! as Condition),
  );
  // Whoever asks first for what many ask for may be found by that.
  const data = { level: 5, room: { id: 1 } };
  assert.deepEqual(choose({ hub: 1, data }), { hooks: [], looked: 1 });
  assert.deepEqual(
    choose({ "level 5": 4, data: { "level 6": 2, "room 2": { id: 2 } } }),
    { hooks: [2, 5, 6], looked: 3 },
  );
});

Deno.test("a list and a whole object are found by what is in them", () => {
  const choose = lookingAt(
    Array.from({ length: 1_000 }, (_, index) =>
      [
        { type: "custom.A", rooms: ["hall", `room ${index}`] },
        { type: "custom.A", rooms: { $eq: [["hall"], index] } },
        { type: "custom.A", place: { $eq: { floor: { is: 1, room: index } } } },
      ][index % 3]!),
  );
  assert.deepEqual(
    choose({ rooms: ["hall", "attic"], place: { floor: { is: 1, room: -1 } } }),
    { hooks: [], looked: 2 },
  );
  assert.deepEqual(
    choose({ rooms: ["hall", "room 3"], place: { floor: { is: 1, room: 5 } } }),
    { hooks: [3, 5], looked: 4 },
  );
});

Deno.test("an event meets no pattern that looks ahead for what it does not contain", () => {
  const choose = lookingAt(
    Array.from({ length: 1_000 }, (_, index) => ({
      type: "custom.A",
      topic: {
        $regex: [
          `^(?=.*door)(?=.*kitchen_${index}_)`,
          `(?<=hall_${index}_)open`,
        ][index % 2]!,
      },
    })),
  );
  assert.deepEqual(
    choose({ topic: "the door of kitchen_1_ is open" }),
    { hooks: [], looked: 0 },
  );
  assert.deepEqual(
    choose({ topic: "kitchen_2_ has a door, hall_3_open" }),
    { hooks: [2, 3], looked: 2 },
  );
});

Deno.test("a hook is found by what few others ask for", () => {
  const choose = lookingAt(
    Array.from({ length: 1_000 }, (_, index) => ({
      type: "custom.A",
      state: "on",
      ...(index % 2 === 0
        ? { room: `room ${index}` }
        : { room: { $regex: `^door.*-${index}-` } }),
    })),
  );
  const { hooks, looked } = choose({ state: "on", room: "door -5-" });
  assert.deepEqual(hooks, [5]);
  assert.ok(looked < 5, `${looked} were looked at`);
});

Deno.test("what was said meets only those of 10,000 phrases whose words it contains", () => {
  const choose = lookingAt(
    Array.from({ length: 10_000 }, (_, index) => ({
      type: SPEECH,
      phrase: [
        `turn (on|off)? the lamp_${index}_`,
        `play \${title} by artist_${index}_`,
        `c++ lesson_${index}_`,
      ][index % 3]!,
    })),
  );
  assert.deepEqual(
    choose({ type: SPEECH, phrase: "what is the time" }),
    { hooks: [], looked: 0 },
  );
  assert.deepEqual(
    choose({ type: SPEECH, phrase: "Turn the LAMP_33_" }),
    { hooks: [33], looked: 1 },
  );
});

Deno.test("phrases are found as if each were looked at", () => {
  const words = [
    ...["on", "ON", "the", "(the)?", "[tf]he", "on|off", "o.", "a.c+", "c++"],
    ...["${x}", "to${x}", "\\${x}", "^on$", "$", "", "(", "\\", "{", "1", "."],
    ...["İ", "i̇", "ı", "ΟΔΟΣ", "οδος", "straße", "STRASSE", "ŉ", "ﬁ", "K"],
  ];
  const text = fc.array(fc.constantFrom(...words), { maxLength: 4 })
    .map((words) => words.join(" "));
  fc.assert(
    fc.property(fc.array(text), text, (phrases, said) => {
      const conditions = phrases.map((phrase) => ({ type: SPEECH, phrase }));
      const { hooks } = lookingAt(conditions)({ type: SPEECH, phrase: said });
      const event = new Event({ args: { type: SPEECH, phrase: said } });
      assert.deepEqual(
        hooks,
        [...conditions.keys()].filter((at) => event.match(conditions[at]!)),
      );
    }),
    { numRuns: 3000 },
  );
});
