import assert from "node:assert/strict";
import type { Logger } from "../../src/logger.ts";
import {
  compileCondition,
  type Condition,
  Event,
  MessageError,
  RegexError,
} from "../../src/message/mod.ts";

const event = new Event({
  args: {
    type: "platypush.message.event.sensor.SensorDataChangeEvent",
    text: "21.5",
    space: " 7 ",
    word: "seven",
    number: 5,
    zero: 0,
    yes: true,
    none: null,
    list: [1, { a: 2 }],
    data: { temperature: 21.5, room: { name: "hall", floor: 1 } },
    thousand: "1_000",
    arabic: "٣",
    infinite: "Infinity",
    hex: "0x10",
    $odd: 1,
  },
});

const matching: Condition[] = [
  {},
  { type: "platypush.message.event.sensor.SensorDataChangeEvent" },
  { number: 5, word: "seven", none: null, yes: true },
  { list: [1, { a: 2 }] },
  { data: { room: { name: "hall" } } },
  { data: {} },
  { number: { $gt: 4 } },
  { number: { $gte: 5, $lte: 5 } },
  // Python's equality.
  { yes: 1 },
  { zero: false },
  { zero: -0 },
  { list: [true, { a: 2 }] },
  { yes: { $eq: 1 } },
  // Python's numbers.
  { thousand: { $eq: "1_000", $gte: 1000 } },
  { arabic: { $gt: 2.5, $lt: 3.5 } },
  { infinite: { $gt: 1e308 } },
  // After a numeric operator, the value is the number that was read.
  { text: { $gt: 1, $eq: 21.5 } },
  { number: { $gt: "4.5" } },
  { text: { $gt: 21, $lt: "22" } },
  { space: { $eq: " 7 ", $gte: 7 } },
  { yes: { $gte: 1 } },
  { number: { $lt: 10n } },
  { data: { temperature: { $gte: 21 }, room: { floor: { $eq: 1 } } } },
  { list: { $eq: [1, { a: 2 }] } },
  { data: { room: { $eq: { floor: 1, name: "hall" } } } },
  { none: { $eq: null } },
  { none: { $ne: 5 } },
  { number: { $ne: "5" } },
  { type: { $regex: "Sensor(Data)?ChangeEvent$" } },
  { word: { $regex: "(?i)^SEV" } },
  { word: { $regex: "" } },
];

const others: Condition[] = [
  { type: "SensorDataChangeEvent" },
  { number: "5" },
  { number: 5, word: "eight" },
  { missing: null },
  { missing: { $ne: 1 } },
  { missing: { $lt: 1 } },
  { missing: {} },
  { list: [1] },
  { yes: "1" },
  { yes: 2 },
  { none: false },
  { hex: { $gt: 0 } },
  { text: { $gt: 1, $eq: "21.5" } },
  { list: { 0: 1 } },
  { list: { $gt: 0 } },
  { data: { room: "hall" } },
  { data: { room: { $eq: { name: "hall" } } } },
  { data: { room: { constructor: {} } } },
  { word: { length: 5 } },
  { constructor: {} },
  { number: { $gt: 5 } },
  { number: { $gt: 4, $lt: 5 } },
  { word: { $gt: 1 } },
  { none: { $gt: -1 } },
  { none: { $lte: 0 } },
  { none: { $regex: "" } },
  { number: { $regex: "5" } },
  { word: { $regex: "^even" } },
  { zero: { $gt: null } },
  { zero: { $gte: "" } },
  { zero: { $gte: "0x0" } },
  { zero: { $gte: [] } },
  { zero: { $gte: NaN } },
  { word: { $regex: 5 } },
  { number: { $mod: 2 } },
  { number: { $eq: 5, $exists: true } },
  { number: { $eq: 5, other: 1 } },
  { $odd: { $or: 1 } },
];

for (const condition of matching) {
  Deno.test(`the condition ${Deno.inspect(condition)} matches`, () => {
    assert.ok(event.matches(condition));
  });
}

for (const condition of others) {
  Deno.test(`the condition ${Deno.inspect(condition)} does not match`, () => {
    assert.ok(!event.matches(condition));
  });
}

function recorder(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const log = (level: string) => (text: string): void => {
    lines.push(`${level}: ${text}`);
  };
  const logger = {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
  };
  return { logger, lines };
}

Deno.test("what is wrong in a condition is logged once, as a warning", () => {
  const { logger, lines } = recorder();
  const test = compileCondition({
    number: { $mod: 2 },
    data: { temperature: { $gt: "warm" } },
    word: { $regex: null },
  }, logger);
  assert.ok(!test(event));
  assert.ok(!test(event));
  assert.equal(lines.length, 3);
  assert.match(
    lines[0]!,
    /^warn: .* args\.number has the unknown operator "\$mod".*known are \$gt/,
  );
  assert.match(
    lines[1]!,
    /^warn: .* args\.data\.temperature .*\$gt with a string.*expected a number/,
  );
  assert.match(lines[2]!, /^warn: .* args\.word .*null.*expected a string/);
});

Deno.test("a value that cannot be compared is logged without itself", () => {
  const { logger, lines } = recorder();
  assert.ok(!compileCondition({ word: { $gt: 1 } }, logger)(event));
  assert.ok(!compileCondition({ number: { $regex: "5" } }, logger)(event));
  assert.ok(!compileCondition({ none: { $gt: 1 } }, logger)(event));
  assert.deepEqual(lines, [
    "debug: The event's args.word is a string and does not match $gt; expected a number",
    "debug: The event's args.number is a number and does not match $regex; expected a string",
  ]);
});

Deno.test("a regular expression that cannot be used says so at once", () => {
  assert.throws(() => compileCondition({ a: { $regex: "(?=a" } }), RegexError);
  assert.throws(() => event.matches({ a: { $regex: "(" } }), RegexError);
});

Deno.test("a condition is read when it is first used", () => {
  const condition: Record<string, unknown> = { number: 5 };
  assert.ok(event.matches(condition));
  condition["number"] = 6;
  assert.ok(event.matches(condition));
  assert.ok(!event.matches({ ...condition }));
});

Deno.test("a condition that contains itself is refused", () => {
  const condition: Record<string, unknown> = {};
  condition["self"] = condition;
  assert.throws(() => event.matches(condition), MessageError);
});

Deno.test("values made to be slow are searched in time", () => {
  const attack = new Event({
    args: { type: "x", a: "a".repeat(200_000) + "!" },
  });
  for (const $regex of ["^(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)*\\d"]) {
    assert.ok(!attack.matches({ a: { $regex } }));
  }
});

Deno.test("Event.match lets the phrases of a condition capture words under one name", () => {
  const type = "platypush.message.event.assistant.SpeechRecognizedEvent";
  const event = new Event({ args: { type, phrase: "a c", answer: "b d" } });
  const condition = { type, phrase: "a ${x}", answer: "b ${x}" };
  const match = event.match(condition);
  assert.deepEqual(match, { score: 3.25, captures: { x: "c d" } });
});
