import assert from "node:assert/strict";
import { Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const REQUESTS = 400;
const CUTS = 10;

Deno.test("Every request is answered although all connections are killed 10 times", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { batchSize: 10 });
  const { backend } = listener;
  const executed = new Map<string, number>();
  backend.registerAction("count", async (_args, { id }) => {
    await Promise.resolve();
    executed.set(id, (executed.get(id) ?? 0) + 1);
  });
  await backend.start();
  const ids = Array.from({ length: REQUESTS }, (_, n) => `request-${n}`);
  for (let cut = 1; cut <= CUTS; cut++) {
    const some = ids.slice((cut - 1) * REQUESTS / CUTS, cut * REQUESTS / CUTS);
    await server.run(
      "RPUSH",
      QUEUE,
      ...some.map((id) =>
        JSON.stringify({
          type: "request",
          target: "livingroom",
          origin: "kitchen",
          id,
          action: "count",
        })
      ),
    );
    // In the middle of it, or nearly so.
    await until(() => executed.has(some[some.length >> 1]!));
    await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  }
  await until(async () => {
    const { inFlight, actionsWaiting } = backend.stats();
    return executed.size === REQUESTS && inFlight + actionsWaiting === 0 &&
      await server.run("LLEN", QUEUE) === 0;
  });
  for (const id of ids) {
    const count = await server.run<number>(
      "LLEN",
      `platypush/responses/${id}`,
    );
    assert.ok(count >= 1, `${id} was executed ${executed.get(id)} times`);
  }
  assert.ok(backend.stats().reconnects >= 1);
});
