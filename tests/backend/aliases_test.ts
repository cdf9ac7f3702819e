import assert from "node:assert/strict";
import { Backend, RedisBackend } from "../../mod.ts";

/** Platypush's name of each method, ours, and how many arguments it takes. */
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
  for (const [alias, name] of METHODS) {
    const { prototype } = Backend;
    assert.equal(typeof Reflect.get(prototype, alias), "function", alias);
    assert.equal(Reflect.get(prototype, alias), Reflect.get(prototype, name));
  }
});

Deno.test("Backend calls what a class defines by either name", () => {
  for (const [alias, name, count] of METHODS) {
    for (const [defined, called] of [[alias, name], [name, alias]]) {
      class Mine extends RedisBackend {}
      Object.defineProperty(Mine.prototype, defined!, {
        value: (...args: unknown[]) => [defined, ...args],
      });
      const given = Array.from({ length: count }, (_, n) => n);
      const backend = new (class extends Mine {})();
      const method = Reflect.get(backend, called!) as (
        ...args: unknown[]
      ) => unknown;
      assert.deepEqual(method.apply(backend, given), [defined, ...given]);
    }
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
  assert.throws(() => new RedisBackend({ pollSeconds: 1, poll_seconds: 2 }), {
    name: "TypeError",
    message:
      "Cannot make the backend: `pollSeconds` and `poll_seconds` are the same option; give one of them",
  });
});

Deno.test("Backend calls on_stop() where a class defines that", async () => {
  const calls: string[] = [];
  class Mine extends RedisBackend {
    override async on_stop(): Promise<void> {
      calls.push("mine");
      await super.on_stop();
    }
  }
  class Derived extends Mine {
    override async onStop(): Promise<void> {
      calls.push("derived");
      await super.onStop();
    }
  }
  await new Derived().stop();
  assert.deepEqual(calls, ["derived", "mine"]);
});

Deno.test("null says as little as None does in Python", async () => {
  const nothing = {
    bus: null,
    redis_args: null,
    poll_seconds: null,
    name: null,
    daemon: null,
  };
  await using backend = new Backend(nothing);
  assert.equal(backend.getName(), "Backend");
  assert.equal(backend.isDaemon(), false);
  const got = backend.bus.get(null);
  await backend.on_message({ type: "event", args: { type: "custom.A" } });
  assert.equal((await got)?.type, "event");
});
