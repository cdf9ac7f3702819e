import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Inbox, type RedisError } from "../../src/redis/mod.ts";
import { callsOf } from "../calls.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { numbers, open, queued, texts } from "./inboxes.ts";
import { blocked, nextBatch } from "./next_batch.ts";

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`Inbox (${delivery}) reads in order what was and what will be pushed`, async () => {
    await using server = await TestServer.start();
    const sent = numbers(3000);
    await server.run("RPUSH", "queue", ...sent);
    await using inbox = await open(server, { delivery });
    const received: string[] = [];
    while (received.length < 3000) {
      const batch = await nextBatch(inbox);
      received.push(...texts(batch));
      await batch!.settle();
    }
    const waiting = nextBatch(inbox);
    await server.run("RPUSH", "queue", "late");
    const late = await waiting;
    await late!.settle();
    assert.deepEqual(received, sent);
    assert.deepEqual(texts(late), ["late"]);
    await inbox.stop();
    assert.deepEqual(await server.run("KEYS", "*"), []);
    const stats = inbox.stats();
    assert.deepEqual([stats.received, stats.acknowledged, stats.inFlight], [
      3001,
      3001,
      0,
    ]);
  });

  Deno.test(`Inbox (${delivery}) keeps every byte`, async () => {
    await using server = await TestServer.start();
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    const large = new Uint8Array(9 * 2 ** 20).fill(0);
    await server.run("RPUSH", "queue", bytes, "", large, bytes);
    await using inbox = await open(server, { delivery });
    const received: Uint8Array[] = [];
    while (received.length < 4) {
      const batch = await nextBatch(inbox);
      received.push(...batch!.payloads);
      await batch!.settle();
    }
    assert.deepEqual(
      received.map((payload) => payload.byteLength),
      [256, 0, large.byteLength, 256],
    );
    assert.deepEqual([...received[3]!], [...bytes]);
  });

  Deno.test(`Inbox (${delivery}) puts back what nobody took when it pauses and stops`, async () => {
    await using server = await TestServer.start();
    const sent = numbers(2000);
    await server.run("RPUSH", "queue", ...sent);
    const inbox = await open(server, { delivery, batchSize: 100 });
    const first = await nextBatch(inbox);
    const rest = sent.slice(first!.payloads.length);
    await inbox.pause();
    assert.deepEqual(await queued(server), rest);
    const waiting = nextBatch(inbox);
    inbox.resume();
    const second = await waiting;
    assert.deepEqual(second!.deliveries.filter(Boolean), []);
    assert.deepEqual(texts(second)[0], rest[0]);
    await first!.settle();
    await second!.settle();
    await inbox.stop();
    assert.equal(await nextBatch(inbox), undefined);
    assert.deepEqual(
      await queued(server),
      rest.slice(second!.payloads.length),
    );
  });

  Deno.test(`Inbox (${delivery}) pauses while as much as it may have is in hand`, async () => {
    await using server = await TestServer.start();
    const messages = numbers(100);
    await server.run("RPUSH", "queue", ...messages);
    await using inbox = await open(server, {
      delivery,
      batchSize: 2,
      maxInFlight: 2,
    });
    const batch = await nextBatch(inbox);
    // By the next turn of the event loop it waits for its batch to be settled.
    await new Promise((resolve) => setTimeout(resolve));
    await inTime(inbox.pause(), "the pause");
    assert.deepEqual(
      await queued(server),
      messages.slice(batch!.payloads.length),
    );
    await batch!.settle();
  });

  Deno.test(`Inbox (${delivery}) takes nothing when it is opened paused`, async () => {
    await using server = await TestServer.start();
    await server.run("RPUSH", "queue", "one");
    await using inbox = await open(server, { delivery, paused: true });
    const waiting = nextBatch(inbox);
    assert.deepEqual(await queued(server), ["one"]);
    // Once to find out whether it may.
    assert.equal(
      await callsOf(server, "lpop"),
      delivery === "at-most-once" ? 1 : 0,
    );
    inbox.resume();
    const batch = await waiting;
    assert.deepEqual(texts(batch), ["one"]);
    await batch!.settle();
  });

  Deno.test(`Inbox (${delivery}) pauses while it waits in an empty queue`, async () => {
    await using server = await TestServer.start();
    await using inbox = await open(server, { delivery });
    const waiting = nextBatch(inbox);
    await blocked(server);
    await inbox.pause();
    await server.run("RPUSH", "queue", "one");
    assert.deepEqual(await queued(server), ["one"]);
    inbox.resume();
    const batch = await waiting;
    assert.deepEqual(texts(batch), ["one"]);
    await batch!.settle();
  });

  Deno.test(`Inbox (${delivery}) reads several queues`, async () => {
    await using server = await TestServer.start();
    await server.run("RPUSH", "a", ...numbers(1000));
    await server.run("RPUSH", "b", ...numbers(1000));
    await using inbox = await open(server, {
      delivery,
      queue: ["a", "b", "c", "a"],
      batchSize: 64,
    });
    const received: Record<string, string[]> = { a: [], b: [], c: [] };
    for (let count = 0; count < 2000;) {
      const batch = await nextBatch(inbox);
      received[batch!.queue]!.push(...texts(batch));
      count += batch!.payloads.length;
      await batch!.settle();
    }
    const waiting = nextBatch(inbox);
    await server.run("RPUSH", "c", "x");
    const last = await waiting;
    assert.equal(last!.queue, "c");
    await last!.settle();
    assert.deepEqual(received.a, numbers(1000));
    assert.deepEqual(received.b, numbers(1000));
  });

  Deno.test(`Inbox (${delivery}) shares a queue with others`, async () => {
    await using server = await TestServer.start();
    const inboxes = await Promise.all(
      [1, 2, 3].map(() => open(server, { delivery, batchSize: 50 })),
    );
    const received: string[] = [];
    const reading = inboxes.map(async (inbox) => {
      let count = 0;
      for (let batch; (batch = await inbox.next());) {
        received.push(...texts(batch));
        count += batch.payloads.length;
        await batch.settle();
        if (received.length === 5000) {
          for (const other of inboxes) void other.stop();
        }
      }
      return count;
    });
    await server.run("RPUSH", "queue", ...numbers(5000));
    const counts = await Promise.all(reading);
    await Promise.all(inboxes.map((inbox) => inbox.stop()));
    assert.deepEqual(received.toSorted(), numbers(5000).toSorted());
    assert.ok(counts.every((count) => count > 0), String(counts));
  });

  Deno.test(`Inbox (${delivery}) refuses a queue that is no list`, async () => {
    await using server = await TestServer.start();
    await server.run("SET", "queue", "text");
    await assert.rejects(
      open(server, { delivery }),
      (error: RedisError) =>
        error.code === "wrong-type" &&
        /Cannot read "queue" at \S+: the key exists, but is no list/.test(
          error.message,
        ),
    );
  });

  Deno.test(`Inbox (${delivery}) goes on after its connections were killed`, async () => {
    await using server = await TestServer.start();
    await using inbox = await open(server, { delivery });
    const waiting = nextBatch(inbox);
    const killed = await server.run<number>(
      ...["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
    );
    assert.equal(killed, 2);
    await server.run("RPUSH", "queue", "one");
    const batch = await waiting;
    assert.deepEqual(texts(batch), ["one"]);
    await batch!.settle();
    assert.ok(inbox.stats().reconnects >= 1);
  });

  Deno.test(`Inbox (${delivery}) stops although the server is gone`, async () => {
    const server = await TestServer.start();
    await server.run("RPUSH", "queue", "one");
    const inbox = await open(server, { delivery });
    const batch = await nextBatch(inbox);
    await server[Symbol.asyncDispose]();
    const settling = batch!.settle();
    await inbox.stop(0.1);
    await settling;
  });

  Deno.test(`Inbox (${delivery}) stops although the server does not answer`, async () => {
    await using server = await TestServer.start();
    await server.run("RPUSH", "queue", "one");
    // It does not find out by itself.
    const args = { ...server.args, health_check_interval: 0 };
    const inbox = await Inbox.open(args, { queue: "queue", delivery });
    const batch = await nextBatch(inbox);
    Deno.kill(server.pid, "SIGSTOP");
    try {
      const settling = batch!.settle();
      await inTime(inbox.stop(0.1), "the inbox has stopped");
      await settling;
    } finally {
      Deno.kill(server.pid, "SIGCONT");
    }
  });

  Deno.test(`Inbox (${delivery}) consumes although the server is out of memory`, async () => {
    await using server = await TestServer.start();
    await server.run("RPUSH", "queue", ...numbers(1000));
    await server.run("CONFIG", "SET", "maxmemory", "1");
    const logger = new LineLogger();
    await using inbox = await open(server, { delivery, logger });
    for (let count = 0; count < 1000;) {
      const batch = await nextBatch(inbox);
      count += batch!.payloads.length;
      await batch!.settle();
    }
    const waiting = nextBatch(inbox);
    await server.run("CONFIG", "SET", "maxmemory", "0");
    await server.run("RPUSH", "queue", "one");
    const last = await waiting;
    assert.deepEqual(texts(last), ["one"]);
    await last!.settle();
    assert.deepEqual(logger.lines.filter((line) => /^error/.test(line)), []);
  });
}

for (const isTold of [true, false]) {
  const name = isTold ? "one connection" : "one each";
  Deno.test(`A full server lets no queue wait for another (${name})`, async () => {
    await using server = await TestServer.start();
    await server.run(
      ...["ACL", "SETUSER", "user", "on", ">x", "~*", "+@all"],
      isTold ? "+client|tracking" : "-client|tracking",
    );
    const args = { ...server.args, username: "user", password: "x" };
    const queues = ["first", "second", "third"];
    for (const queue of queues) {
      await server.run("RPUSH", queue, ...numbers(100));
    }
    await server.run("CONFIG", "SET", "maxmemory", "1");
    await using inbox = await Inbox.open(args, {
      queue: queues,
      batchSize: 10,
      logger: new LineLogger(),
    });
    const received: Record<string, string[]> = {};
    for (let count = 0; count < 300;) {
      const batch = await nextBatch(inbox);
      count += batch!.payloads.length;
      (received[batch!.queue] ??= []).push(...texts(batch));
      await batch!.settle();
    }
    for (const queue of queues) {
      assert.deepEqual(received[queue], numbers(100));
    }
    // What comes later is noticed, too.
    await server.run("CONFIG", "SET", "maxmemory", "0");
    for (const queue of queues.toReversed()) {
      await server.run("RPUSH", queue, "late");
      const batch = await nextBatch(inbox);
      assert.deepEqual([batch!.queue, ...texts(batch)], [queue, "late"]);
      await batch!.settle();
    }
  });
}

Deno.test("A full server refuses few of the moves that take a backlog of large messages", async () => {
  await using server = await TestServer.start();
  const large = "x".repeat(2 ** 19);
  await server.run("RPUSH", "queue", ...new Array<string>(40).fill(large));
  await server.run("CONFIG", "SET", "maxmemory", "1");
  await using inbox = await open(server);
  // As long as there is more to take.
  for (let count = 0; count < 20;) {
    const batch = await nextBatch(inbox);
    count += batch!.payloads.length;
    await batch!.settle();
  }
  const info = await server.run<string>("INFO", "commandstats");
  const [, refused] = /blmove:.*rejected_calls=(\d+)/.exec(info)!;
  const [, pops = "0"] = /evalsha:calls=(\d+)/.exec(info)!;
  assert.ok(Number(refused) < 5, `${refused} of ${pops} were refused`);
});

Deno.test("A message that consumers may die of is handed out although the server is full", async () => {
  await using server = await TestServer.start();
  const digest = createHash("sha1").update("suspect").digest("hex");
  await server.run("HSET", "{queue}:deliveries", digest, "1.0.1.0");
  await server.run("RPUSH", "queue", "suspect", "other");
  await server.run("CONFIG", "SET", "maxmemory", "1");
  await using inbox = await open(server, { maxDeliveries: 2 });
  const first = await nextBatch(inbox);
  assert.deepEqual([texts(first), first!.deliveries], [["suspect"], [1]]);
  const [batches] = await server.run<string[]>(
    "KEYS",
    "*:processing:*.????????",
  );
  const notes = await server.run<string[]>("HVALS", batches!);
  assert.match(notes.join("\n"), /!$/m);
  await first!.settle();
  const second = await nextBatch(inbox);
  assert.deepEqual(texts(second), ["other"]);
  await second!.settle();
});

Deno.test("Inbox checks its queues", async () => {
  for (const queue of [[], "", ["a", ""]]) {
    await assert.rejects(Inbox.open({}, { queue }), TypeError);
  }
  await assert.rejects(
    Inbox.open({ cluster: ["127.0.0.1:1"] }, { queue: "a}b" }),
    /whole hash tag/,
  );
});

Deno.test("Inbox looks at what waits in each queue, and counts for each", async () => {
  await using server = await TestServer.start();
  const large = "x".repeat(64 * 2 ** 10 + 1);
  await server.run("RPUSH", "one", "first", "second");
  await server.run("RPUSH", "large", large);
  await using inbox = await open(server, {
    queue: ["one", "large", "none"],
    paused: true,
  });
  assert.deepEqual(await inbox.backlogs(), [
    { queue: "one", length: 2, first: "first" },
    { queue: "large", length: 1, first: undefined },
    { queue: "none", length: 0, first: undefined },
  ]);
  assert.deepEqual(await queued(server, "one"), ["first", "second"]);
  inbox.resume();
  while (inbox.stats().acknowledged < 3) {
    await (await nextBatch(inbox))!.settle();
  }
  const acknowledged = [...inbox.queueStats()].map(([queue, stats]) => [
    queue,
    stats.acknowledged,
  ]);
  assert.deepEqual(acknowledged, [["one", 2], ["large", 1], ["none", 0]]);
  assert.equal(inbox.stats().acknowledged, 3);
});

Deno.test("Inbox takes a message for a new one where rubbish is noted of it", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  const digest = createHash("sha1").update("one").digest("hex");
  for (const rubbish of ["rubbish", "1.2", "-1.0.0.0", "1.0.0.0~%~x@1"]) {
    await server.run("HSET", "{queue}:deliveries", digest, rubbish);
    await server.run("RPUSH", "queue", "one");
    const batch = await nextBatch(inbox);
    assert.deepEqual(batch!.deliveries, [0], rubbish);
    await batch!.settle();
  }
});
