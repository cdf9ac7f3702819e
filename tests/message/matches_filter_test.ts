import assert from "node:assert/strict";
import fc from "fast-check";
import { Event, type Filter, matchesFilter } from "../../src/message/mod.ts";

const event = new Event({
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
    assert.ok(matchesFilter(event, filter));
  });
}

for (const filter of others) {
  Deno.test(`the filter ${Deno.inspect(filter)} does not match`, () => {
    assert.ok(!matchesFilter(event, filter));
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
