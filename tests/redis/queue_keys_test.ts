import assert from "node:assert/strict";
import { keySlot, queueKeys } from "../../src/redis/queue_keys.ts";

Deno.test("keySlot agrees with the specification of Redis Cluster", () => {
  assert.equal(keySlot("123456789"), 0x31c3);
  assert.equal(keySlot("{user1000}.following"), keySlot("user1000"));
  // All of it, since what the first braces enclose is empty.
  assert.equal(keySlot("foo{}{bar}"), 8363);
  assert.equal(keySlot("foo{{bar}}zap"), keySlot("{bar"));
  assert.equal(keySlot("foo{bar}{zap}"), keySlot("bar"));
});

Deno.test("queueKeys keeps every key in the queue's slot", () => {
  for (
    const queue of [
      "platypush/backend/redis",
      "jobs:{tag}:x",
      "a{b",
      "a{b{c}",
      "ä{ö}",
    ]
  ) {
    const keys = queueKeys(queue, "host.1");
    for (const [name, key] of Object.entries(keys)) {
      assert.equal(keySlot(key), keySlot(queue), `${name} of ${queue}: ${key}`);
    }
  }
  assert.equal(
    queueKeys("platypush/backend/redis", "me").processing,
    "{platypush/backend/redis}:processing:me",
  );
  assert.equal(queueKeys("jobs:{tag}:x", "me").dead, "jobs:{tag}:x:dead");
});
