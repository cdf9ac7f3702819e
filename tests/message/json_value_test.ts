import assert from "node:assert/strict";
import { Event, Message, MessageError } from "../../src/message/mod.ts";
import { jsonValue } from "../../src/message/json_value.ts";
import { refuses } from "./helpers.ts";

class Point {
  x = 1;
  #secret = 2;
  get y(): number {
    return this.#secret;
  }
}

const invalidDate = new Date(NaN);
const cases: [string, unknown, unknown][] = [
  ["a date", new Date(0), "1970-01-01T00:00:00.000Z"],
  ["an invalid date", invalidDate, null],
  ["a URL", new URL("redis://a"), "redis://a"],
  ["toJSON of its own", { toJSON: () => ({ a: new Set([1]) }) }, { a: [1] }],
  [
    "a map",
    new Map<unknown, unknown>([["a", 1], [2, new Map()], [null, 3], [true, 4]]),
    { a: 1, 2: {}, null: 3, true: 4 },
  ],
  ["a set", new Set([1, new Set(["a"])]), [1, ["a"]]],
  ["a small big integer", 5n, 5],
  ["a negative one", -(2n ** 53n) + 1n, -(2 ** 53) + 1],
  ["a large one", 2n ** 64n, 2n ** 64n],
  ["bytes", new Uint8Array([0, 255, 128]), "AP+A"],
  ["a part of a buffer", new Uint8Array([1, 2, 3]).subarray(1, 2), "Ag=="],
  ["a buffer", new Uint8Array([1]).buffer, "AQ=="],
  ["other numbers", new Float32Array([1.5, NaN]), [1.5, null]],
  ["big numbers", new BigInt64Array([1n]), [1]],
  ["an error", new TypeError("no"), "TypeError: no"],
  ["undefined in an object", { a: undefined, b: 1 }, { b: 1 }],
  ["undefined in an array", [undefined, , 1], [null, null, 1]],
  ["a function", { a: () => {}, b: [() => {}] }, { b: [null] }],
  ["a symbol", { a: Symbol() }, {}],
  ["no number", NaN, null],
  ["infinities", [Infinity, -Infinity], [null, null]],
  ["an object of a class", new Point(), { x: 1 }],
  ["a lone surrogate", "\uD800", "\uD800"],
];

for (const [name, value, expected] of cases) {
  Deno.test(`${name} has a form on the wire`, () => {
    assert.deepEqual(jsonValue(value), expected);
    const event = new Event({ args: { type: "x", value: [value] } });
    const [json = null] = [expected];
    assert.deepEqual(event.args["value"], [json]);
    const options = { bigint: true };
    assert.deepEqual(Message.build(event.toString(), options), event);
    event.args["value"] = value;
    assert.deepEqual(
      (event.toJSON().args as Record<string, unknown>)["value"],
      expected,
    );
  });
}

Deno.test("a megabyte of bytes is written", () => {
  const bytes = new Uint8Array(1_000_000).fill(7);
  const text = jsonValue(bytes) as string;
  assert.equal(text.length, Math.ceil(1_000_000 / 3) * 4);
  assert.equal(atob(text).length, bytes.length);
});

Deno.test("what contains itself is refused", () => {
  const object: Record<string, unknown> = { type: "x" };
  object["self"] = { object };
  const array: unknown[] = [];
  array.push(array);
  const map = new Map<string, unknown>();
  map.set("self", map);
  const set = new Set<unknown>();
  set.add(set);
  const own = {
    toJSON(): unknown {
      return own;
    },
  };
  for (const value of [object, array, map, set, own]) {
    refuses(() => jsonValue(value), /contains itself/);
  }
  const event = new Event({ args: { type: "x" } });
  event.args["event"] = event.args;
  assert.throws(() => event.toString(), MessageError);
});

Deno.test("a promise that nobody has awaited is refused", () => {
  for (
    const args of [{ level: Promise.resolve(1) }, { all: [Promise.resolve()] }]
  ) {
    refuses(() => jsonValue(args), /a promise: .*; await it first$/);
    refuses(() => new Event({ args: { type: "x", ...args } }), /a promise/);
  }
});

Deno.test("the same object twice is no cycle", () => {
  const shared = { a: new Date(0) };
  const expected = { a: "1970-01-01T00:00:00.000Z" };
  assert.deepEqual(jsonValue([shared, shared]), [expected, expected]);
});

Deno.test("keys that JSON cannot have, or that are not safe, are refused", () => {
  refuses(() => jsonValue(new Map([[{}, 1]])), /a Map whose key/);
  refuses(() => jsonValue(new Map([["__proto__", 1]])), /"__proto__"/);
  refuses(() => jsonValue(JSON.parse('{"__proto__":1}')), /"__proto__"/);
});

Deno.test("what is JSON already is not copied, the rest is not changed", () => {
  const plain = { a: [1, { b: null }], c: "x" };
  assert.equal(jsonValue(plain), plain);
  const mixed = { plain, at: new Date(0) };
  const result = jsonValue(mixed) as typeof mixed;
  assert.equal(result.plain, plain);
  assert.ok(mixed.at instanceof Date);
});
