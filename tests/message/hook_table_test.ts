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
  ...["hall", "Hall", "the hall", "", [1], [true], {}, { a: 1 }, {
    b: { a: "x" },
  }],
);
const expected = fc.oneof(
  value,
  value.map(($eq) => ({ $eq })),
  fc.constantFrom<unknown>(
    { $gt: 0 },
    { $gt: 0, $eq: 1 },
    "${x}",
    "(the)? hall",
  ),
);
const names = ["a", "b", "toString"];
const condition = fc.record({
  type: fc.oneof(type, fc.constant("platypush.message.event.Event")),
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

Deno.test("an event meets only those of 10,000 hooks that it may match", () => {
  const table = new HookTable<number>();
  let looked = 0;
  for (let index = 0; index < 10_000; index++) {
    const read = readCondition(
      [
        { type: "custom.A", room: `room ${index}` },
        { type: `custom.${index}`, level: { $gt: 3 } },
        { type: "custom.A", data: { id: index } },
        { type: "custom.A", [`key ${index}`]: 1 },
        { type: "custom.A", room: { $eq: `room ${index}` } },
      ][index % 5]! as Condition,
      logger,
    );
    table.add(index, {
      ...read,
      match: (event) => {
        looked++;
        return read.match(event);
      },
    }, 0);
  }
  const choose = (args: Record<string, unknown>): number[] => {
    looked = 0;
    const event = new Event({ args: { type: "custom.A", ...args } });
    return table.choose(event).map(({ hook }) => hook);
  };
  assert.deepEqual(choose({ room: "attic", level: 5, data: { id: -1 } }), []);
  assert.equal(looked, 0);
  assert.deepEqual(choose({ room: "room 4", data: { id: 7 } }), [4, 7]);
  assert.equal(looked, 2);
});
