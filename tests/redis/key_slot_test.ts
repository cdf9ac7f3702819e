import assert from "node:assert/strict";
import { keySlot } from "../../src/redis/key_slot.ts";

Deno.test("keySlot agrees with the specification of Redis Cluster", () => {
  assert.equal(keySlot("123456789"), 0x31c3);
  assert.equal(keySlot("{user1000}.following"), keySlot("user1000"));
  // All of it, since what the first braces enclose is empty.
  assert.equal(keySlot("foo{}{bar}"), 8363);
  assert.equal(keySlot("foo{{bar}}zap"), keySlot("{bar"));
  assert.equal(keySlot("foo{bar}{zap}"), keySlot("bar"));
});
