import assert from "node:assert/strict";
import { Bus } from "../../src/bus/mod.ts";
import { Consumption, Counters } from "../../src/backend/consumption.ts";
import { Inbox } from "../../src/redis/mod.ts";
import type { TakenBatch } from "../../src/redis/consumer.ts";
import { LineLogger } from "../line_logger.ts";
import { nextBatch } from "../redis/next_batch.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

function consumption(
  bus: Bus,
  { logger = new LineLogger(), counters = new Counters() } = {},
): Consumption {
  return new Consumption({
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
}

/** An event of so many bytes and some more. */
function image(size: number): string {
  const args = { type: "custom.Image", image: "x".repeat(size) };
  return JSON.stringify({ type: "event", args });
}

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
  const consuming = consumption(bus, { logger, counters });
  {
    await using inbox = await Inbox.open(server.args, options);
    const batch = await nextBatch(inbox);
    assert.ok(await consuming.post(batch as TakenBatch));
    await logger.line(
      /^error: A batch of "queue" could not be settled, .*: this is a mistake in the program\.$/,
    );
    assert.ok(await consuming.settled(5));
    await inbox.stop(0);
  }
  await using inbox = await Inbox.open(server.args, options);
  const again = await nextBatch(inbox);
  assert.deepEqual(again!.deliveries, [1]);
  await again!.settle();
});

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`The memory of large messages is given back once they are settled (${delivery})`, async () => {
    await using server = await TestServer.start();
    const large = image(2 ** 16);
    const huge = image(2 ** 18);
    await server.run("RPUSH", "queue", large, large, huge, image(0));
    const options = { queue: "queue", delivery, logger: new LineLogger() };
    await using inbox = await Inbox.open(server.args, options);
    await using bus = new Bus({ name: "tests/consumption", daemon: true });
    bus.registerHandler("custom.Image", () => {});
    const consuming = consumption(bus);
    const lengths: number[] = [];
    while (lengths.length < 4) {
      const batch = await nextBatch(inbox) as TakenBatch;
      assert.ok(await consuming.post(batch));
      assert.ok(await consuming.settled(5));
      lengths.push(...batch.payloads.map(({ byteLength }) => byteLength));
    }
    assert.deepEqual(lengths, [0, 0, huge.length, image(0).length]);
  });
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`The memory of what came together is given back where no other answer can be in it (${delivery})`, async () => {
    await using server = await TestServer.start();
    const texts = Array.from({ length: 100 }, (_, n) => image(2 ** 12 + n));
    await server.run("RPUSH", "queue", ...texts);
    const options = { queue: "queue", delivery, logger: new LineLogger() };
    await using inbox = await Inbox.open(server.args, options);
    await using bus = new Bus({ name: "tests/consumption", daemon: true });
    const lengths: number[] = [];
    bus.registerHandler("custom.Image", ({ args }) => {
      lengths.push(String(args.image).length);
    });
    const consuming = consumption(bus);
    let given = 0;
    while (lengths.length < texts.length) {
      const batch = await nextBatch(inbox) as TakenBatch;
      const before = batch.payloads.map(({ buffer, byteLength }) => ({
        buffer,
        isAlone: buffer.byteLength === byteLength,
      }));
      const ends = [before[0], before.at(-1)].map((end) => end?.buffer);
      assert.ok(await consuming.post(batch));
      assert.ok(await consuming.settled(5));
      for (const [at, { buffer, isAlone }] of before.entries()) {
        const isGiven = batch.payloads[at]!.byteLength === 0;
        assert.equal(isGiven, isAlone || !ends.includes(buffer));
        given += isGiven && !isAlone ? 1 : 0;
      }
    }
    assert.ok(given > 10, `${given} were given back`);
    // While some memory is given back, the next ones come.
    assert.deepEqual(lengths, texts.map((_, n) => 2 ** 12 + n));
  });
}

Deno.test("The memory of large messages stays as long as the server has refused to settle them", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", image(2 ** 16));
  const options = { queue: "queue", logger: new LineLogger() };
  await using inbox = await Inbox.open(server.args, options);
  await using bus = new Bus({ name: "tests/consumption", daemon: true });
  bus.registerHandler("custom.Image", () => {});
  const batch = await nextBatch(inbox) as TakenBatch;
  await server.run("ACL", "SETUSER", "default", "-del");
  const consuming = consumption(bus);
  assert.ok(await consuming.post(batch));
  assert.ok(await consuming.settled(5));
  // By its text, it is found where somebody else has put it back.
  assert.equal(batch.payloads[0]!.byteLength, image(2 ** 16).length);
  await server.run("ACL", "SETUSER", "default", "+del");
  await until(() => inbox.stats().acknowledged === 1);
});
