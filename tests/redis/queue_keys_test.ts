import assert from "node:assert/strict";
import { keySlot } from "../../src/redis/key_slot.ts";
import { QueueKeys } from "../../src/redis/queue_keys.ts";

Deno.test("QueueKeys keeps every key in the queue's slot", () => {
  for (
    const queue of [
      "platypush/backend/redis",
      "jobs:{tag}:x",
      "a{b",
      "a{b{c}",
      "ä{ö}",
    ]
  ) {
    const keys = new QueueKeys(queue, "host.1");
    const names = Object.getOwnPropertyNames(QueueKeys.prototype)
      .filter((name) => name !== "constructor") as Exclude<
        keyof QueueKeys,
        "start"
      >[];
    assert.ok(names.length > 10);
    for (const name of names) {
      const key = name === "batch" ? keys.batch(1) : keys[name];
      assert.equal(keySlot(key), keySlot(queue), `${name} of ${queue}: ${key}`);
    }
  }
  assert.equal(
    new QueueKeys("platypush/backend/redis", "me").processing,
    "{platypush/backend/redis}:processing:me",
  );
  assert.equal(new QueueKeys("jobs:{tag}:x", "me").dead, "jobs:{tag}:x:dead");
});
