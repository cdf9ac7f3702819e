import assert from "node:assert/strict";
import { cutLabel } from "../../src/zeroconf/names.ts";

Deno.test("cutLabel() keeps what fits in 63 bytes", () => {
  assert.equal(cutLabel("x".repeat(63)), "x".repeat(63));
  assert.equal(cutLabel("living.room ü😀"), "living.room ü😀");
});

Deno.test("cutLabel() cuts between characters", () => {
  assert.equal(cutLabel("x".repeat(64)), "x".repeat(63));
  assert.equal(cutLabel("ü".repeat(32)), "ü".repeat(31));
  const family = "👨‍👩‍👧";
  assert.equal(cutLabel("x".repeat(50) + family), "x".repeat(50));
});
