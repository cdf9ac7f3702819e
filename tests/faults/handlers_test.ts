import assert from "node:assert/strict";
import type { BatchFailure } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { Flow, numberOf } from "./flow.ts";

Deno.test("Handlers that throw, hang or are slow hold up nobody else", async () => {
  await using server = await TestServer.start();
  await using flow = new Flow();
  const held = Promise.withResolvers<void>();
  const slow: Promise<void>[] = [];
  const { inbox, stop } = await flow.consume(
    server.args,
    { retryPause: 0.05 },
    (batch) => {
      const numbers = batch.payloads.map(numberOf);
      const failures: BatchFailure[] = [];
      for (const [index, number] of numbers.entries()) {
        if (number % 1000 === 7) {
          const error = new Error(`cannot handle ${number}`);
          failures.push({ index, reason: "failed", error });
        }
      }
      if (numbers.includes(500)) {
        slow.push(held.promise.then(() => batch.settle(failures)));
        return;
      }
      return batch.settle(failures);
    },
  );
  await flow.produce(server.args, 10_000);
  await flow.complete();
  // All but the batch that is held.
  await until(() =>
    inbox.stats().deadLettered >= 9 && inbox.stats().inFlight <= 100
  );
  const { acknowledged, inFlight } = inbox.stats();
  assert.ok(inFlight > 0, String(inFlight));
  assert.ok(acknowledged >= 9800, String(acknowledged));
  held.resolve();
  await inTime(Promise.all(slow), "the held batches are settled");
  await stop();
  // Ten messages, each handled three times.
  flow.verify(20);
  assert.ok((await server.run<number>("LLEN", "{queue}:dead")) >= 9);
});
