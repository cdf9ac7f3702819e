import assert from "node:assert/strict";
import { RedisBackend } from "../../mod.ts";

/** What each of Platypush's names is here, and how many arguments it passes on. */
const METHODS: readonly [alias: string, name: string, count: number][] = [
  ["is_alive", "isAlive", 0],
  ["should_stop", "shouldStop", 0],
  ["wait_stop", "waitStop", 1],
  ["on_stop", "onStop", 0],
  ["on_message", "onMessage", 1],
  ["send_message", "sendMessage", 2],
  ["send_event", "sendEvent", 2],
  ["send_request", "sendRequest", 2],
  ["send_response", "sendResponse", 2],
  ["register_service", "registerService", 1],
  ["unregister_service", "unregisterService", 0],
];

Deno.test("Backend has Platypush's names for its methods", () => {
  for (const [alias, name, count] of METHODS) {
    const backend = new RedisBackend();
    const given = Array.from({ length: count }, (_, n) => n);
    Object.defineProperty(backend, name, {
      value: (...args: unknown[]) => [name, ...args],
    });
    const method = Reflect.get(backend, alias) as (...args: unknown[]) => void;
    assert.deepEqual(method.apply(backend, given), [name, ...given]);
  }
});

Deno.test("Backend has Platypush's names for its options and properties", () => {
  const redisArgs = { host: "127.0.0.1", port: 1 };
  const backend = new RedisBackend({
    redis_args: redisArgs,
    poll_seconds: 3,
    device_id: "livingroom",
  });
  assert.equal(backend.redisArgs, redisArgs);
  assert.equal(backend.redis_args, redisArgs);
  assert.equal(backend.pollSeconds, 3);
  assert.equal(backend.poll_seconds, 3);
  assert.equal(backend.device_id, "livingroom");
  assert.equal(backend.native_id, undefined);
  const both = new RedisBackend({ pollSeconds: 1, poll_seconds: 2 });
  assert.equal(both.pollSeconds, 1);
});

Deno.test("Backend calls on_stop() where a class defines that", async () => {
  let stopped = 0;
  class Mine extends RedisBackend {
    override on_stop(): void {
      stopped++;
    }
  }
  await new Mine().stop();
  assert.equal(stopped, 1);
});
