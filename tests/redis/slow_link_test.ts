import assert from "node:assert/strict";
import { Inbox, Outbox } from "../../src/redis/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { ThrottledProxy } from "../throttled_proxy.ts";

interface Case {
  readonly bytesPerSecond: number;
  readonly size: number;
  readonly count: number;
  readonly delivery?: "at-most-once";
}

/** Each takes some seconds, more than `socket_timeout` where that is the point. */
const CASES: readonly Case[] = [
  { bytesPerSecond: 20e3, size: 1000, count: 80 },
  { bytesPerSecond: 20e3, size: 8000, count: 12 },
  { bytesPerSecond: 400e3, size: 1000, count: 2000 },
  { bytesPerSecond: 400e3, size: 8000, count: 300 },
  { bytesPerSecond: 400e3, size: 8000, count: 300, delivery: "at-most-once" },
  { bytesPerSecond: 5e6, size: 8000, count: 3000 },
  { bytesPerSecond: 1.5e6, size: 8e6, count: 2 },
];

for (const { bytesPerSecond, size, count, delivery } of CASES) {
  const name =
    `${count} messages of ${size} bytes at ${bytesPerSecond} bytes/s`;
  Deno.test(`Inbox ${delivery ?? "at-least-once"} consumes ${name} without a loss`, async () => {
    const port = freePort();
    await using server = await TestServer.start({ port });
    const payload = "x".repeat(size);
    for (let number = 0; number < count; number += 100) {
      const part = Array.from(
        { length: Math.min(100, count - number) },
        (_, at) => `${number + at} ${payload}`,
      );
      await server.run("RPUSH", "queue", ...part);
    }
    await using link = new ThrottledProxy(port, bytesPerSecond);
    const logger = new LineLogger();
    await using inbox = await Inbox.open({
      port: link.port,
      socket_timeout: 2,
    }, {
      queue: "queue",
      logger,
      delivery: delivery ?? "at-least-once",
    });
    let largest = 0;
    const numbers: number[] = [];
    while (numbers.length < count) {
      const batch = (await inbox.next())!;
      const sizes = batch.payloads.map(({ length }) => length);
      largest = Math.max(largest, sizes.reduce((sum, length) => sum + length));
      for (const message of batch.payloads) {
        numbers.push(
          parseInt(new TextDecoder().decode(message.subarray(0, 8))),
        );
      }
      await batch.settle();
    }
    assert.deepEqual(numbers, Array.from({ length: count }, (_, at) => at));
    assert.equal(inbox.stats().reconnects, 0);
    assert.deepEqual(logger.lines, []);
    // About what comes in a second; no message is split.
    const limit = 1.5 * bytesPerSecond + 2 * size;
    assert.ok(largest <= limit, `${largest} bytes in one batch`);
  });
}

Deno.test("Outbox sends a large message over a slow link", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using link = new ThrottledProxy(port, 400e3, 400e3);
  const logger = new LineLogger();
  await using outbox = new Outbox({ port: link.port, socket_timeout: 2 }, {
    logger,
  });
  await outbox.push("queue", "x".repeat(2e6));
  assert.equal(await server.run("LLEN", "queue"), 1);
  assert.deepEqual(logger.lines, []);
});
