import assert from "node:assert/strict";
import {
  type Batch,
  Inbox,
  type InboxOptions,
  Outbox,
  pauseQueue,
  type RedisArgs,
} from "../../src/redis/mod.ts";
import { ClusterSetup } from "../cluster.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { numbers, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const HIGH = "{jobs}:high";
const LOW = "{jobs}";

function open(
  args: RedisArgs,
  options: Partial<InboxOptions> = {},
): Promise<Inbox> {
  return Inbox.open(args, {
    queue: [HIGH, LOW],
    batchSize: 10,
    logger: new LineLogger(),
    ...options,
  });
}

/** Takes the next batch, settles it, and returns the queue of each message. */
async function take(inbox: Inbox): Promise<string[]> {
  const batch = await nextBatch(inbox);
  await batch!.settle();
  return texts(batch).map(() => batch!.queue);
}

/** A user without the right to be told of changes: each queue has a connection. */
async function untold(server: TestServer): Promise<RedisArgs> {
  await server.run(
    ...["ACL", "SETUSER", "listener", "on", ">secret", "~*", "+@all"],
    "-client|tracking",
  );
  return { ...server.args, username: "listener", password: "secret" };
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  for (const isTold of [true, false]) {
    const name = `${delivery}, ${isTold ? "one connection" : "one each"}`;
    Deno.test(`What is in the first queue goes first (${name})`, async () => {
      await using server = await TestServer.start();
      const args = isTold ? server.args : await untold(server);
      await server.run("RPUSH", LOW, ...numbers(100));
      await server.run("RPUSH", HIGH, ...numbers(100));
      await using inbox = await open(args, { delivery });
      const seen: string[] = [];
      while (seen.length < 200) seen.push(...await take(inbox));
      // One batch may have been on its way before the first look.
      const early = seen.slice(0, 100).filter((queue) => queue === LOW);
      assert.ok(early.length <= 10, `${early.length}`);
    });

    Deno.test(`A flood in the second queue does not hold up the first (${name})`, async () => {
      await using server = await TestServer.start();
      const args = isTold ? server.args : await untold(server);
      await using inbox = await open(args, { delivery });
      await server.run("RPUSH", LOW, ...numbers(1000));
      for (let count = 0; count < 5; count++) {
        for (let taken = 0; taken < 50;) taken += (await take(inbox)).length;
        await server.run("RPUSH", HIGH, "one");
        const before: string[] = [];
        for (;;) {
          const queues = await take(inbox);
          if (queues[0] === HIGH) break;
          before.push(...queues);
        }
        assert.ok(before.length <= 30, `${before.length} went before it`);
      }
    });
  }
}

Deno.test("A flood of 200,000 in the last of 20 queues lets each of the others go before its third batch", async () => {
  await using server = await TestServer.start();
  const queues = Array.from({ length: 20 }, (_, at) => `queue${at}`);
  const last = queues.pop()!;
  await using inbox = await Inbox.open(server.args, {
    queue: [...queues, last],
    logger: new LineLogger(),
  });
  const some = numbers(10_000);
  for (let count = 0; count < 20; count++) {
    await server.run("RPUSH", last, ...some);
  }
  for (const sent of [...queues.map((queue) => [queue]), queues]) {
    while ((await take(inbox))[0] !== last);
    for (const queue of sent) await server.run("RPUSH", queue, "one");
    const waiting = new Set(sent);
    let turns = 0;
    while (waiting.size > 0) {
      const [queue] = await take(inbox);
      if (queue === last) turns++;
      waiting.delete(queue!);
    }
    assert.ok(turns < 3, `${turns} batches went before ${sent}`);
  }
  assert.ok(await server.run<number>("LLEN", last) > 0);
  await inbox.stop(0);
});

for (
  const [delivery, size] of [
    ["at-least-once", 1],
    ["at-least-once", 100 * 2 ** 10],
    ["at-most-once", 1],
    ["at-most-once", 100 * 2 ** 10],
  ] as const
) {
  Deno.test(`A backlog of the first queue goes first where each has a connection (${delivery}, ${size} bytes each)`, async () => {
    await using server = await TestServer.start();
    const args = await untold(server);
    const messages = new Array<string>(60).fill("x".repeat(size));
    await server.run("RPUSH", LOW, ...messages);
    await server.run("RPUSH", HIGH, ...messages);
    await using inbox = await open(args, { delivery, batchSize: 2 });
    const seen: string[] = [];
    while (seen.length < 120) seen.push(...await take(inbox));
    // What was on its way before the first look.
    const early = seen.slice(0, 60).filter((queue) => queue === LOW);
    assert.ok(early.length <= 4, `${early.length}`);
  });
}

Deno.test("A first queue that others empty does not hold up the second", async () => {
  await using server = await TestServer.start();
  const args = await untold(server);
  await using inbox = await open(args);
  const large = "x".repeat(100 * 2 ** 10);
  for (let round = 0; round < 5; round++) {
    await server.run("RPUSH", HIGH, large, large, large, large);
    assert.deepEqual(new Set(await take(inbox)), new Set([HIGH]));
    // Whatever it knew of the first queue is not true any more.
    await server.run("DEL", HIGH);
    await server.run("RPUSH", LOW, "one");
    while ((await take(inbox))[0] !== LOW);
  }
});

Deno.test("Of the second queue, no more than a batch is in hand", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", LOW, ...numbers(100));
  await using inbox = await open(server.args);
  const inHand: Batch[] = [];
  for (let count = 0; count < 10; count += inHand.at(-1)!.payloads.length) {
    inHand.push((await nextBatch(inbox))!);
  }
  await server.run("RPUSH", HIGH, "one");
  // Nothing of the second queue comes before what is in hand is settled.
  assert.deepEqual(await take(inbox), [HIGH]);
  for (const batch of inHand) await batch.settle();
  assert.equal((await take(inbox))[0], LOW);
});

Deno.test("A first queue that is paused, or cannot be read, does not hold up the second", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await pauseQueue(server.args, { queue: HIGH });
  await using inbox = await open(server.args, { logger });
  await server.run("RPUSH", HIGH, "one");
  await server.run("RPUSH", LOW, "two");
  assert.deepEqual(await take(inbox), [LOW]);
  await server.run("DEL", HIGH);
  await server.run("SET", HIGH, "no list");
  await server.run("DEL", `${HIGH}:paused`);
  await logger.line(/^error: .*WRONGTYPE|^error: .*list/);
  await server.run("RPUSH", LOW, "three");
  assert.deepEqual(await take(inbox), [LOW]);
});

Deno.test("Queues go in their order in a cluster, on whichever node they are", async () => {
  await using setup = await ClusterSetup.start();
  await using outbox = new Outbox(setup.args);
  const queues = ["first", "second", "{jobs}"];
  for (const queue of queues) await outbox.push(queue, numbers(50));
  await using inbox = await open(setup.args, { queue: queues });
  const seen: string[] = [];
  while (seen.length < 150) seen.push(...await take(inbox));
  const rank = seen.map((queue) => queues.indexOf(queue));
  const moved = rank.filter((each, at) => each !== rank.toSorted()[at]);
  assert.ok(moved.length <= 40, `${moved.length} came too early or too late`);
  assert.equal(seen.at(-1), "{jobs}");
});
