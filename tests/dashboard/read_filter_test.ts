import assert from "node:assert/strict";
import { Message } from "../../mod.ts";
import { readFilter } from "../../src/dashboard/read_filter.ts";

const MOTION = Message.build({
  type: "event",
  target: "hall",
  origin: "sensor-3",
  args: {
    type: "custom.Motion",
    room: "Hallway",
    level: 4,
    deep: { on: true },
  },
});
const REQUEST = Message.build({
  type: "request",
  target: "lamp",
  origin: "hall",
  action: "light.on",
  args: { room: "front door" },
  token: "t0ken",
});

/** Which of the two messages a filter lets through. */
function passing(text: string): string {
  const wanted = readFilter(text);
  return [MOTION, REQUEST].filter(wanted).map(({ type }) => type).join(" ");
}

Deno.test("Words, names and conditions filter messages", () => {
  const cases: [filter: string, passing: string][] = [
    ["", "event request"],
    ["  ", "event request"],
    ["hallway", "event"],
    ["motion hallway", "event"],
    ["motion attic", ""],
    ["type:motion", "event"],
    ["type:light", "request"],
    ["type:request", "request"],
    ["kind:event", "event"],
    ["kind:even", ""],
    ["from:sensor", "event"],
    ["to:lamp", "request"],
    ["room:hall", "event"],
    ['room:"front door"', "request"],
    ["-room:hall", "request"],
    ["level:4", "event"],
    ["level:40", ""],
    ["deep.on:true", "event"],
    ["nothing:4", ""],
    ["-nothing:4", "event request"],
    ["action:light", "request"],
    ["t0k", ""],
    ["token:t0k", ""],
    [`id:${MOTION.id.slice(0, 12)}`, "event"],
    ['{"type": "custom.Motion"}', "event"],
    ['{"type": "custom.Motion", "level": {"$gt": 3}}', "event"],
    ['{"level": {"$gt": 4}}', ""],
    [":", "event request"],
    ["-", "event"],
    ["(", ""],
  ];
  for (const [filter, expected] of cases) {
    assert.equal(passing(filter), expected, filter);
  }
});

Deno.test("A condition that cannot be read says so", () => {
  for (const text of ["{", '{"level": {"$more": 3}}', '{"level": }']) {
    assert.throws(() => readFilter(text), Error, text);
  }
});
