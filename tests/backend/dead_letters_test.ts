import assert from "node:assert/strict";
import type { RedisError } from "../../mod.ts";
import { DEAD, Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";

Deno.test("deadLetters() looks after all queues of a backend, which need not consume", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { queue: [QUEUE, "second"] });
  const { backend } = listener;
  const dead = backend.deadLetters();
  await server.run("RPUSH", QUEUE, "waiting");
  for (const [key, id] of [[DEAD, "a"], ["{second}:dead", "b"]] as const) {
    const letter = {
      id,
      reason: "failed",
      error: "no",
      time: 1,
      deliveries: 3,
      message:
        `{"type": "event", "args": {"type": "custom.${id}"}, "target": "livingroom"}`,
    };
    await server.run("RPUSH", key, JSON.stringify(letter));
  }
  const queues = await Array.fromAsync(dead.list(), ({ queue }) => queue);
  assert.deepEqual(queues, [QUEUE, "second"]);
  assert.equal(await server.run("LLEN", QUEUE), 1);

  assert.equal(await dead.requeue({ id: ["a", "b"] }), 2);
  await listener.start();
  const messages = await listener.messages(2);
  assert.deepEqual(
    messages.map(({ redelivered }) => redelivered),
    [0, 0],
  );
  await backend.stop();
  const left = await Array.fromAsync(
    (await server.run<string[]>("LRANGE", DEAD, "0", "-1")).map((text) =>
      JSON.parse(text).message
    ),
  );
  assert.deepEqual(left, ["waiting"]);
  await assert.rejects(
    dead.count(),
    (error: RedisError) => error.code === "closed",
  );
  assert.throws(() => backend.deadLetters(), { name: "AbortError" });
});
