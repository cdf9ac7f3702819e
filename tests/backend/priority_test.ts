import assert from "node:assert/strict";
import { Event, RedisBackend } from "../../mod.ts";
import { sleep } from "../../src/waiting.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const HIGH = "{jobs}:high";
const LOW = "{jobs}";

Deno.test("A loop gets what is in the first queue after the batch in hand, at the latest", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: [HIGH, LOW],
    batchSize: 10,
    logger: new LineLogger(),
  });
  const job = (n: number) => ({
    type: "event" as const,
    args: { type: "custom.Job", n },
  });
  const send = async (queue: string, count: number): Promise<void> => {
    const jobs = Array.from({ length: count }, (_, n) => job(n));
    await backend.sendMessage(
      queue === HIGH ? jobs.map((_, n) => job(1000 + n)) : jobs,
      queue,
    );
  };
  await send(LOW, 500);
  await backend.start();
  let handled = 0;
  let pushedAt = Infinity;
  for await (const message of backend.bus) {
    if (!(message instanceof Event)) continue;
    if (Number(message.args["n"]) >= 1000) break;
    if (++handled !== 50) continue;
    pushedAt = handled;
    // Time enough to take more than a batch, for whoever would.
    await sleep(0.5);
    await send(HIGH, 1);
    await until(async () => await server.run("EXISTS", HIGH) === 0);
  }
  const before = handled - pushedAt;
  assert.ok(before <= 30, `${before} went before it`);
});
