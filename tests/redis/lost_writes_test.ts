import assert from "node:assert/strict";
import { Inbox, Outbox, queueStatus } from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { caughtUp, ReplicaPair } from "../replicas.ts";
import { TestServer } from "../servers.ts";
import { open, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

/** From here on the replica gets nothing any more. */
async function part({ master, replica }: ReplicaPair): Promise<void> {
  await caughtUp(replica, master);
  await replica.run("REPLICAOF", "NO", "ONE");
}

/** The old master dies, and the replica takes its place. */
async function promote(pair: ReplicaPair): Promise<void> {
  pair.proxy.target = pair.replica.args.port!;
  await pair.master.kill();
  pair.proxy.cut();
}

/** Warnings and errors, without the place. */
function problems(logger: LineLogger): string[] {
  return logger.lines.filter((line) => /^(warn|error)/.test(line))
    .map((line) => line.replaceAll(/127\.0\.0\.1:\d+/g, "PLACE"));
}

Deno.test("What is counted is true after a failover that has lost batches and messages", async () => {
  await using pair = await ReplicaPair.start();
  const logger = new LineLogger();
  const args = { port: pair.proxy.port };
  await using outbox = new Outbox(args, { logger });
  await using inbox = await Inbox.open(args, {
    queue: "queue",
    logger,
    heartbeatTimeout: HEARTBEAT,
    paused: true,
  });
  await outbox.push("queue", ["both 1", "both 2"]);
  inbox.resume();
  const first = await inbox.next();
  assert.deepEqual(texts(first), ["both 1", "both 2"]);
  await inbox.pause();
  await outbox.push("queue", ["queued 1", "queued 2"]);
  await part(pair);
  // The new master will know neither this batch nor these messages.
  await outbox.push("queue", ["lost 1", "lost 2", "lost 3"]);
  inbox.resume();
  const handled: string[] = [];
  const second = await inbox.next();
  const inHand = texts(second);
  assert.ok(inHand.includes("queued 1"));
  await promote(pair);
  await logger.line(/info: Connected/);

  // A batch that it knows is acknowledged, the other one is told of.
  await first!.settle();
  handled.push(...texts(first));
  const knows = inbox.stats().acknowledged;
  assert.equal(knows, 2);
  await second!.settle();
  handled.push(...inHand);
  const lost = await logger.line(
    /warn: Settled \d+ messages? of "queue" too late/,
  );
  assert.match(
    lost,
    new RegExp(
      `^warn: Settled ${inHand.length} message.*the server has lost it`,
    ),
  );
  const settled = inbox.stats();
  assert.equal(settled.acknowledged, 2);
  assert.equal(settled.taken, inHand.length);

  // What the new master has in its queue comes again: nobody told it otherwise.
  const comes = (text: string): number => inHand.includes(text) ? 2 : 1;
  while (
    !["queued 1", "queued 2"].every((text) => count(text) === comes(text))
  ) {
    const batch = await inTime(inbox.next(), "what is in the queue");
    handled.push(...texts(batch));
    await batch!.settle();
  }
  function count(text: string): number {
    return handled.filter((other) => other === text).length;
  }
  const { received, acknowledged, taken, inFlight } = inbox.stats();
  assert.equal(received, handled.length);
  assert.equal(received, acknowledged + taken);
  assert.equal(inFlight, 0);

  // New messages go on as if nothing had been.
  await outbox.push("queue", "after");
  const last = await inTime(inbox.next(), "the new message");
  assert.deepEqual(texts(last), ["after"]);
  const status = await queueStatus(args, { queue: "queue" });
  assert.deepEqual([status.length, status.inFlight], [0, 1]);
  await last!.settle();
  await inbox.stop();
  // What is remembered of settled messages expires by itself.
  const keys = await pair.replica.run<string[]>("KEYS", "*");
  assert.deepEqual(keys.filter((key) => !key.endsWith(":handled")), []);
  const told = problems(logger);
  assert.equal(told.length, 2, told.join("\n"));
});

Deno.test("A consumer that the new master has never heard of says so once, and begins anew", async () => {
  await using pair = await ReplicaPair.start();
  const logger = new LineLogger();
  const args = { port: pair.proxy.port };
  await part(pair);
  await using outbox = new Outbox(args, { logger });
  await using inbox = await Inbox.open(args, {
    queue: "queue",
    logger,
    heartbeatTimeout: HEARTBEAT,
  });
  await outbox.push("queue", "lost");
  const batch = await inbox.next();
  await promote(pair);
  await logger.line(
    /warn: .*is no consumer of "queue" any more.*lost its data/,
  );
  await batch!.settle();
  const { received, taken, acknowledged, inFlight } = inbox.stats();
  assert.deepEqual([received, taken, acknowledged, inFlight], [1, 1, 0, 0]);
  await outbox.push("queue", "after");
  const next = await inTime(inbox.next(), "the new message");
  assert.deepEqual(texts(next), ["after"]);
  await next!.settle();
  await inbox.stop();
  // What is remembered of settled messages expires by itself.
  const keys = await pair.replica.run<string[]>("KEYS", "*");
  assert.deepEqual(keys.filter((key) => !key.endsWith(":handled")), []);
  const told = problems(logger);
  assert.equal(told.length, 3, told.join("\n"));
});

Deno.test("What was in hand comes again when the data are back that the server had lost", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { logger });
  await server.run("RPUSH", "queue", "one");
  const one = await nextBatch(inbox);
  assert.deepEqual(texts(one), ["one"]);
  await server.run("SWAPDB", "0", "1");
  await logger.line(/warn: .*is no consumer of "queue" any more/);
  await server.run("SWAPDB", "0", "1");
  const again = await nextBatch(inbox);
  assert.deepEqual(texts(again), ["one"]);
  assert.deepEqual(again!.deliveries, [1]);
  await again!.settle();
  await one!.settle();
  await inbox.stop();
});
