import assert from "node:assert/strict";
import fc from "fast-check";
import {
  attribute,
  Event,
  type Filter,
  matchesFilter,
  Response,
} from "../../src/message/mod.ts";

const event = Event.build({
  type: "event",
  target: "hall",
  _logging_level: { name: "info" },
  args: {
    type: "x",
    data: { temperature: 21.5, list: [{ a: 1 }], none: null },
  },
});

Deno.test("attributes are read by their path", () => {
  assert.equal(attribute(event, "target"), "hall");
  assert.equal(attribute(event, "timestamp"), event.timestamp);
  assert.equal(attribute(event, "args.type"), "x");
  assert.equal(attribute(event, "args.data.temperature"), 21.5);
  assert.equal(attribute(event, "args.data.list.0.a"), 1);
  assert.equal(attribute(event, "args.data.none"), null);
  assert.equal(attribute(event, "_logging_level.name"), "info");
  const response = new Response({ target: "a", output: { on: true } });
  assert.equal(attribute(response, "output.on"), true);
});

Deno.test("what is missing, inherited or no object is undefined", () => {
  for (
    const path of [
      "",
      ".",
      "args.",
      "args.other",
      "args.data.none.x",
      "args.type.length",
      "args.data.list.1.a",
      "toString",
      "constructor",
      "args.constructor.name",
      "args.__proto__",
      "args.data.list.map",
    ]
  ) {
    assert.equal(attribute(event, path), undefined, path);
  }
});

const filtered = new Event({
  target: "hall",
  args: {
    type: "x",
    data: { temperature: 21.5, "a.b": [1, { c: 2, d: 3 }], none: null },
  },
});

const matching: Filter[] = [
  {},
  { target: "hall" },
  { "args.type": "x", "args.data.temperature": 21.5 },
  { args: { type: "x" } },
  { args: {} },
  { "args.data": { temperature: 21.5 } },
  { "args.data": { "a.b": [1, { c: 2 }] } },
  { "args.data.none": null },
  { "args.data.missing": undefined },
  { args: { missing: undefined } },
];

const others: Filter[] = [
  { target: "kitchen" },
  { target: "hall", "args.type": "y" },
  { "args.data.temperature": "21.5" },
  { "args.data": { temperature: 21.5, humidity: 40 } },
  { "args.data": { "a.b": [1] } },
  { "args.data": { "a.b": { 0: 1 } } },
  { "args.data": [] },
  { "args.data.none": undefined },
  { "args.data.none": {} },
  { "args.data.missing": null },
  { "args.type": { length: 1 } },
  { action: "x" },
];

for (const filter of matching) {
  Deno.test(`the filter ${Deno.inspect(filter)} matches`, () => {
    assert.ok(matchesFilter(filtered, filter));
  });
}

for (const filter of others) {
  Deno.test(`the filter ${Deno.inspect(filter)} does not match`, () => {
    assert.ok(!matchesFilter(filtered, filter));
  });
}

Deno.test("every event matches its own args", () => {
  const key = fc.string().filter((name) => name !== "__proto__");
  const json = fc.jsonValue().map((value) =>
    JSON.parse(JSON.stringify(value).replaceAll("__proto__", "proto"))
  );
  fc.assert(fc.property(fc.dictionary(key, json), (values) => {
    const args = { ...values, type: "x" };
    assert.ok(matchesFilter(new Event({ args }), { args: { ...args } }));
  }));
});
