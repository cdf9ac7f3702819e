import assert from "node:assert/strict";
import { Inbox } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { ConsumerProcess } from "./consumer_process.ts";
import { Flow, LIMIT } from "./flow.ts";

const KILLS = 20;
/** What one consumer has in hand: a batch that is handled, one that waits, and one on its way. */
const IN_HAND = 300;

Deno.test("Nothing is lost when the consumer is killed 20 times", async () => {
  await using server = await TestServer.start();
  await using flow = new Flow();
  const producing = flow.produce(server.args, 10_000, 5);
  for (let kill = 0; kill < KILLS; kill++) {
    await using consumer = new ConsumerProcess(server.args);
    await consumer.progress();
    await consumer.progress();
  }
  await producing;
  {
    await using consumer = new ConsumerProcess(server.args);
    await noteAll(flow, server, () => consumer.progress());
  }
  flow.verify(KILLS * IN_HAND);
  assert.equal(flow.sent.size, 10_000);
});

Deno.test("A consumer that was stopped until it counted as dead notices it", async () => {
  await using server = await TestServer.start();
  await using flow = new Flow();
  await using stopped = new ConsumerProcess(server.args);
  await using other = new ConsumerProcess(server.args);
  const producing = flow.produce(server.args, 5000, 2);
  await Promise.all([stopped.progress(), other.progress()]);
  stopped.kill("SIGSTOP");
  const consumers = async (): Promise<string[]> =>
    await server.run("HVALS", "{queue}:consumers");
  // A number there is the time at which the consumer was taken for dead.
  await until(async () =>
    (await consumers()).some((state) => /^\d+$/.test(state))
  );
  stopped.kill("SIGCONT");
  await stopped.progress();
  await producing;
  await noteAll(
    flow,
    server,
    () => Promise.race([other.progress(), stopped.progress()]),
  );
  flow.verify(IN_HAND);
  // It may learn of it after the last message only.
  await until(async () =>
    (await consumers()).filter((state) => state === "alive").length === 2
  );
});

/** Notes what the consumers handled, once that is everything. */
async function noteAll(
  flow: Flow,
  server: TestServer,
  progress: () => Promise<void>,
): Promise<void> {
  let handled: string[] = [];
  await until(
    async () => {
      handled = await server.run("LRANGE", "handled", "0", "-1");
      if (new Set(handled).size >= flow.sent.size) return true;
      await progress();
      return false;
    },
    `all ${flow.sent.size} numbers are handled`,
    LIMIT,
  );
  for (const number of handled) flow.note(Number(number));
}

Deno.test("A message tells how often it came, and is not blamed for the first deaths of its consumers", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "poison");
  const logger = new LineLogger();
  const options = {
    queue: "queue",
    maxDeliveries: 2,
    heartbeatTimeout: 600,
    logger,
  };
  for (let deaths = 0; deaths < 2; deaths++) {
    const inbox = await Inbox.open(server.args, options);
    const batch = (await inTime(inbox.next(), "the message"))!;
    assert.deepEqual(batch.deliveries, [deaths]);
    await inbox.pause();
    // Nothing is left of it but what it had in hand.
    const beats = await server.run<string[]>("KEYS", "{queue}:consumer:*");
    await server.run("DEL", ...beats);
    await using _next = await Inbox.open(server.args, {
      ...options,
      paused: true,
    });
    await inbox.stop(0);
  }
  await using inbox = await Inbox.open(server.args, options);
  const batch = (await inTime(inbox.next(), "the message"))!;
  const error = new Error("cannot handle it");
  await batch.settle([{ index: 0, reason: "failed", error }]);
  assert.equal(await server.run("ZCARD", "{queue}:retry"), 1);
  assert.equal(await server.run("EXISTS", "{queue}:dead"), 0);
});
