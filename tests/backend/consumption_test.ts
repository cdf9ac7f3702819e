import assert from "node:assert/strict";
import { Bus } from "../../src/bus/mod.ts";
import { Consumption, Counters } from "../../src/backend/consumption.ts";
import { Inbox } from "../../src/redis/mod.ts";
import type { TakenBatch } from "../../src/redis/consumer.ts";
import { LineLogger } from "../line_logger.ts";
import { nextBatch } from "../redis/next_batch.ts";
import { TestServer } from "../servers.ts";

Deno.test("A batch that cannot be settled is told, and comes again", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "no message");
  const options = { queue: "queue", logger: new LineLogger() };
  await using bus = new Bus({ name: "tests/consumption", daemon: true });
  bus.registerHandler("custom.Motion", () => {});
  const logger = new LineLogger();
  const counters = new Counters();
  counters.add = () => {
    throw new TypeError("this is a mistake in the program");
  };
  const consumption = new Consumption({
    bus,
    counters,
    deviceId: "livingroom",
    target: undefined,
    maxSize: undefined,
    maxAge: undefined,
    bigint: false,
    signal: new AbortController().signal,
    refuse: () => Promise.resolve(),
    logger,
  });
  {
    await using inbox = await Inbox.open(server.args, options);
    const batch = await nextBatch(inbox);
    assert.ok(await consumption.post(batch as TakenBatch));
    await logger.line(
      /^error: A batch of "queue" could not be settled, .*: this is a mistake in the program\.$/,
    );
    assert.ok(await consumption.settled(5));
    await inbox.stop(0);
  }
  await using inbox = await Inbox.open(server.args, options);
  const again = await nextBatch(inbox);
  assert.deepEqual(again!.deliveries, [1]);
  await again!.settle();
});
