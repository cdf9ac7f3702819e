import assert from "node:assert/strict";
import { decodeTxt, encodeTxt } from "../../src/zeroconf/txt.ts";

Deno.test("encodeTxt() takes strings, numbers, booleans and bytes", () => {
  const strings = encodeTxt({
    a: "ü=1",
    b: 2.5,
    c: false,
    d: new Uint8Array([255]),
    e: null,
    f: "",
  });
  assert.deepEqual(strings.slice(-3), [
    new Uint8Array([100, 61, 255]),
    new Uint8Array([101]),
    new Uint8Array([102, 61]),
  ]);
  const { properties, propertyBytes } = decodeTxt(strings);
  assert.deepEqual(properties, {
    a: "ü=1",
    b: "2.5",
    c: "false",
    d: "\ufffd",
    e: null,
    f: "",
  });
  assert.deepEqual(propertyBytes["d"], new Uint8Array([255]));
  assert.deepEqual(propertyBytes["e"], null);
  assert.deepEqual(propertyBytes["f"], new Uint8Array());
});

Deno.test("encodeTxt() names the property that does not fit", () => {
  const key = "offender";
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ "a=b": 1 }, /"a=b"/],
    [{ "": 1 }, /""/],
    [{ "schlüssel": 1 }, /"schlüssel"/],
    [{ [key]: "x".repeat(247) }, /"offender".* 256 bytes/],
    [{ [key]: undefined }, /"offender".*undefined/],
    [{ [key]: { a: 1 } }, /"offender".*object/],
    [{ key: 1, KEY: 2 }, /"KEY".*"key"/],
    [
      Object.fromEntries(
        Array.from({ length: 8 }, (_, i) => [`k${i}`, "x".repeat(200)]),
      ),
      /"k6"/,
    ],
  ];
  for (const [properties, message] of cases) {
    assert.throws(
      () => encodeTxt(properties as Parameters<typeof encodeTxt>[0]),
      { message },
    );
  }
});

Deno.test("encodeTxt() takes a property of 255 bytes", () => {
  const [string] = encodeTxt({ offender: "x".repeat(246) });
  assert.equal(string?.length, 255);
});

Deno.test("decodeTxt() takes the first of equal keys and flags without a value", () => {
  const strings = ["a=1", "A=2", "flag", "", "=x", "__proto__=y"].map((text) =>
    new TextEncoder().encode(text)
  );
  const { properties } = decodeTxt(strings);
  assert.deepEqual(Object.entries(properties), [["a", "1"], ["flag", null], [
    "__proto__",
    "y",
  ]]);
});
