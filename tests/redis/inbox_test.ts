import assert from "node:assert/strict";
import {
  type Batch,
  Inbox,
  type InboxOptions,
  type RedisError,
} from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { freePort, TestLogger, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { nextBatch } from "./next_batch.ts";

const decoder = new TextDecoder();

function texts(batch: Batch | undefined): string[] {
  return batch?.payloads.map((payload) => decoder.decode(payload)) ?? [];
}

function failed(...indexes: number[]): Parameters<Batch["settle"]>[0] {
  return indexes.map((index) => ({
    index,
    reason: "failed",
    error: new Error("the handler failed"),
  }));
}

function numbers(count: number, start = 0): string[] {
  return Array.from({ length: count }, (_, index) => `n${start + index}`);
}

/** Opens an inbox whose times are short. */
function open(
  server: TestServer,
  options: Partial<InboxOptions> = {},
): Promise<Inbox> {
  return Inbox.open(server.args, {
    queue: "queue",
    heartbeatTimeout: 0.6,
    retryPause: 0.02,
    logger: new TestLogger(),
    ...options,
  });
}

async function queued(server: TestServer, queue = "queue"): Promise<string[]> {
  return await server.run("LRANGE", queue, "0", "-1");
}

/** The names of the consumers that nobody took for dead. */
async function alive(server: TestServer): Promise<string[]> {
  const states = await server.run<Record<string, string>>(
    "HGETALL",
    "{queue}:consumers",
  );
  return Object.keys(states).filter((name) => states[name] === "alive");
}

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
    await inTime(inbox.pause(), "the pause", 5);
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
    const { calls } = parseCommandStats(
      await server.run("INFO", "all"),
      "lpop",
    );
    assert.equal(calls, 0);
    inbox.resume();
    const batch = await waiting;
    assert.deepEqual(texts(batch), ["one"]);
    await batch!.settle();
  });

  Deno.test(`Inbox (${delivery}) pauses while it waits in an empty queue`, async () => {
    await using server = await TestServer.start();
    await using inbox = await open(server, { delivery });
    const waiting = nextBatch(inbox);
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
        /Cannot read "queue": the key exists, but is no list/.test(
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
    const inbox = await open(server, { delivery });
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
    const logger = new TestLogger();
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

Deno.test("Inbox puts back at its end, in order and without a failure, what nobody got round to", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(7));
  for (let delivery = 0; delivery < 5; delivery++) {
    await using inbox = await open(server, { batchSize: 3, maxDeliveries: 2 });
    const first = await nextBatch(inbox);
    const second = await nextBatch(inbox);
    assert.deepEqual(first!.deliveries, [0, delivery, delivery]);
    assert.deepEqual(
      second!.deliveries,
      delivery ? [delivery, delivery, delivery] : [0, 0, 0],
    );
    await first!.settle([], failed(2, 1));
    await second!.settle([], failed(0, 1, 2));
    await inbox.stop(1);
    assert.equal(inbox.stats().retried, 0);
    assert.deepEqual(await queued(server), numbers(6, 1));
    await server.run("LPUSH", "queue", "n0");
  }
  assert.deepEqual(await server.run("KEYS", "*:retry"), []);
  assert.deepEqual(await server.run("KEYS", "*:dead"), []);
});

Deno.test("Inbox settles batches in any order", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(300));
  await using inbox = await open(server, { batchSize: 100 });
  const batches = [
    await nextBatch(inbox),
    await nextBatch(inbox),
    await nextBatch(inbox),
  ];
  await batches[2]!.settle();
  await batches[1]!.settle();
  const held = await server.run<string[]>("KEYS", "{queue}:processing:*:*");
  assert.equal(held.length, 1);
  assert.deepEqual(
    await server.run("LRANGE", held[0]!, "0", "-1"),
    numbers(100),
  );
  await batches[0]!.settle();
  assert.deepEqual(await server.run("KEYS", "{queue}:processing:*:*"), []);
});

Deno.test("Inbox waits when too much is in flight", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(400));
  await using inbox = await open(server, { batchSize: 100, maxInFlight: 200 });
  const first = await nextBatch(inbox);
  await nextBatch(inbox);
  await inbox.pause();
  inbox.resume();
  assert.equal((await queued(server)).length, 200);
  const third = nextBatch(inbox);
  {
    // What is left goes to others, until they leave.
    await using other = await open(server, { batchSize: 100 });
    assert.equal(texts(await nextBatch(other))[0], "n200");
    await other.stop(0);
  }
  await first!.settle();
  assert.deepEqual(texts(await third)[0], "n200");
  await inbox.stop(0);
});

Deno.test("Inbox retries what failed and then buries it", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "good", "bad", "bad", "good");
  await using inbox = await open(server);
  const first = await nextBatch(inbox);
  await first!.settle(failed(1, 2));
  const deliveries: number[] = [];
  while (inbox.stats().deadLettered < 2) {
    const batch = await nextBatch(inbox);
    deliveries.push(...batch!.deliveries);
    assert.ok(texts(batch).every((text) => text === "bad"));
    await batch!.settle(failed(...batch!.payloads.keys()));
  }
  // Two equal messages, three deliveries each.
  assert.deepEqual(deliveries.toSorted(), [1, 1, 2, 2]);
  const dead = (await server.run<string[]>("LRANGE", "{queue}:dead", "0", "-1"))
    .map((text) => JSON.parse(text));
  assert.deepEqual(
    dead.map(({ reason, error, deliveries, message }) => ({
      reason,
      error,
      deliveries,
      message,
    })),
    Array(2).fill({
      reason: "failed",
      error: "the handler failed",
      deliveries: 3,
      message: "bad",
    }),
  );
  assert.deepEqual(await queued(server), []);
  assert.equal(inbox.stats().retried, 4);
});

Deno.test("Inbox does not let a pausing message block others", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "bad");
  await using inbox = await open(server, { retryPause: 60 });
  await (await nextBatch(inbox))!.settle(failed(0));
  await server.run("RPUSH", "queue", "good");
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), ["good"]);
  await batch!.settle();
  assert.equal(await server.run("ZCARD", "{queue}:retry"), 1);
});

Deno.test("Inbox buries at once what no retry can help", async () => {
  await using server = await TestServer.start();
  const rubbish = new Uint8Array([123, 255, 0]);
  await server.run("RPUSH", "queue", rubbish, "large", "foreign");
  await using inbox = await open(server, { maxDeadLetters: 2 });
  const batch = await nextBatch(inbox);
  await batch!.settle([
    { index: 0, reason: "malformed", error: new Error("no JSON") },
    { index: 1, reason: "too-large", error: new Error("too large") },
    { index: 2, reason: "foreign", error: new Error("for another device") },
  ]);
  const dead = await server.run<string[]>("LRANGE", "{queue}:dead", "0", "-1");
  assert.deepEqual(dead.map((text) => JSON.parse(text).reason), [
    "too-large",
    "foreign",
  ]);
  const { deadLettered, deadLettersLost } = inbox.stats();
  assert.deepEqual([deadLettered, deadLettersLost], [3, 1]);
});

Deno.test("Inbox drops what is for another device if told so", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "foreign");
  await using inbox = await open(server, { foreign: "drop" });
  const batch = await nextBatch(inbox);
  await batch!.settle([
    { index: 0, reason: "foreign", error: new Error("for another device") },
  ]);
  assert.equal(inbox.stats().dropped, 1);
  assert.equal(await server.run("EXISTS", "{queue}:dead"), 0);
});

Deno.test("Inbox buries what failed when messages are delivered at most once", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "good", "bad");
  await using inbox = await open(server, { delivery: "at-most-once" });
  await (await nextBatch(inbox))!.settle(failed(1));
  const dead = await server.run<string[]>("LRANGE", "{queue}:dead", "0", "-1");
  assert.deepEqual(dead.map((text) => JSON.parse(text).message), ["bad"]);
});

Deno.test("Inbox puts the messages of a dead consumer back in order, once", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(1000));
  await using proxy = await KillableInbox.open(server);
  await proxy.take(5);
  await proxy.kill();
  await using a = await open(server, { batchSize: 100, paused: true });
  await using b = await open(server, { batchSize: 100, paused: true });
  await until(() => a.stats().reclaimed + b.stats().reclaimed > 0);
  assert.deepEqual(await queued(server), numbers(1000));
  a.resume();
  b.resume();
  const received: string[] = [];
  const marked: string[] = [];
  const read = async (inbox: Inbox): Promise<void> => {
    for (let batch; (batch = await inbox.next());) {
      received.push(...texts(batch));
      marked.push(
        ...texts(batch).filter((_, at) => batch!.deliveries[at]! > 0),
      );
      await batch.settle();
      if (received.length >= 1000) {
        void a.stop();
        void b.stop();
      }
    }
  };
  await inTime(Promise.all([read(a), read(b)]), "everything is read", 60);
  assert.deepEqual(received.toSorted(), numbers(1000).toSorted());
  assert.deepEqual(marked.toSorted(), numbers(700).toSorted());
  assert.equal(a.stats().reclaimed + b.stats().reclaimed, 700);
  assert.equal(await server.run("EXISTS", "{queue}:deliveries"), 0);
});

Deno.test("Inbox puts what was not settled in time back when it stops", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(300));
  const inbox = await open(server, { batchSize: 100 });
  await nextBatch(inbox);
  const second = await nextBatch(inbox);
  await second!.settle();
  await inbox.stop(0);
  assert.deepEqual(await queued(server), [
    ...numbers(100),
    ...numbers(100, 200),
  ]);
  await using next = await open(server, { batchSize: 100 });
  const again = await nextBatch(next);
  assert.deepEqual(again!.deliveries, Array(100).fill(1));
  await again!.settle();
});

Deno.test("Inbox notices that it was taken for dead", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "one");
  const logger = new TestLogger();
  // It takes nothing more while it has a message in hand.
  await using inbox = await open(server, {
    logger,
    heartbeatTimeout: 60,
    maxInFlight: 1,
  });
  const batch = await nextBatch(inbox);
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!);
  await using other = await open(server);
  const again = await nextBatch(other);
  assert.deepEqual(again!.deliveries, [1]);
  await batch!.settle();
  assert.equal(inbox.stats().taken, 1);
  await again!.settle();
  assert.equal(other.stats().acknowledged, 1);
  await other.stop();
  const waiting = nextBatch(inbox);
  await server.run("RPUSH", "queue", "two");
  const two = await waiting;
  assert.deepEqual(texts(two), ["two"]);
  await two!.settle();
  assert.ok(logger.lines.some((line) => /took .* for dead/.test(line)));
});

Deno.test("Inbox takes nothing more once it was taken for dead", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "one");
  const logger = new TestLogger();
  // Its heartbeat is too slow to be what notices it.
  await using inbox = await open(server, {
    logger,
    heartbeatTimeout: 60,
    maxInFlight: 1,
  });
  const batch = await nextBatch(inbox);
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!);
  await using _other = await open(server, { paused: true });
  assert.deepEqual(await queued(server), ["one"]);
  await batch!.settle();
  const again = await nextBatch(inbox);
  assert.deepEqual(texts(again), ["one"]);
  assert.ok(logger.lines.some((line) => /took .* for dead/.test(line)));
  assert.equal((await alive(server)).length, 2);
  await again!.settle();
  assert.deepEqual(await server.run("KEYS", "{queue}:processing:*"), []);
});

Deno.test("Inbox notices in time that it was taken for dead while it was stopped", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(1000));
  // All it does from then on is to show that it is alive.
  await using stopped = await KillableInbox.open(server);
  await stopped.take(5);
  const [before] = await alive(server);
  await using other = await open(server, { paused: true });
  stopped.signal("SIGSTOP");
  await until(() => other.stats().reclaimed === 700);
  assert.deepEqual(await queued(server), numbers(1000));
  stopped.signal("SIGCONT");
  await until(
    async () => (await alive(server)).length === 2,
    "the stopped consumer has a new life",
  );
  assert.ok(!(await alive(server)).includes(before!));
});

Deno.test("Inbox survives FLUSHALL and SCRIPT FLUSH", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  await server.run("RPUSH", "queue", "one");
  await (await nextBatch(inbox))!.settle();
  await server.run("FLUSHALL");
  await server.run("SCRIPT", "FLUSH");
  await server.run("RPUSH", "queue", "two");
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), ["two"]);
  await batch!.settle();
  await inbox.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Inbox finds what BLMOVE moved after its answer was lost", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  const waiting = nextBatch(inbox);
  const [consumer] = await server.run<string[]>("HKEYS", "{queue}:consumers");
  const processing = `{queue}:processing:${consumer}`;
  await server.run("HSET", processing, "77", "?");
  await server.run("RPUSH", `${processing}:77`, "stray");
  const batch = await waiting;
  assert.deepEqual(texts(batch), ["stray"]);
  await batch!.settle();
  assert.equal(await server.run("EXISTS", `${processing}:77`), 0);
});

Deno.test("Inbox waits with BLPOP where the server has no BLMPOP", async () => {
  await using server = await TestServer.start({
    config: ['rename-command BLMPOP ""'],
  });
  await using inbox = await open(server, { delivery: "at-most-once" });
  const waiting = nextBatch(inbox);
  await server.run("RPUSH", "queue", "one");
  const batch = await waiting;
  assert.deepEqual(texts(batch), ["one"]);
  await batch!.settle();
});

Deno.test("Inbox can be paused while the server is gone", async () => {
  const options = { port: freePort() };
  const server = await TestServer.start(options);
  await using inbox = await open(server);
  await server[Symbol.asyncDispose]();
  await inbox.pause();
  const waiting = nextBatch(inbox);
  await using again = await TestServer.start(options);
  await again.run("RPUSH", "queue", "one");
  inbox.resume();
  const batch = await waiting;
  assert.deepEqual(texts(batch), ["one"]);
  await batch!.settle();
});

Deno.test("Inbox does not start with wrong credentials", async () => {
  await using server = await TestServer.start({
    port: freePort(),
    config: ["requirepass hunter2"],
    redisArgs: { password: "hunter2" },
  });
  await assert.rejects(
    Inbox.open({ ...server.args, password: "hunter3" }, { queue: "queue" }),
    (error: RedisError) => error.code === "auth",
  );
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

/** How often a command was called, from `INFO commandstats`. */
function parseCommandStats(info: string, command: string): { calls: number } {
  const found = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info);
  return { calls: Number(found?.[1] ?? 0) };
}

/** An inbox in a process of its own that can be killed. */
class KillableInbox implements AsyncDisposable {
  #process: Deno.ChildProcess;
  #reader: ReadableStreamDefaultReader<string>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#reader = process.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  // deno-lint-ignore require-await
  static async open(server: TestServer): Promise<KillableInbox> {
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        new URL("./hold_batches.ts", import.meta.url).pathname,
        JSON.stringify(server.args),
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    return new KillableInbox(process);
  }

  /** Waits until it has this many batches, and one more on its way. */
  async take(count: number): Promise<void> {
    for (let text = ""; !text.includes(`${count}\n`);) {
      const read = this.#reader.read();
      const { value, done } = await inTime(read, "the process has a batch");
      assert.ok(!done);
      text += value;
    }
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#reader.cancel();
    await this.#process.status;
  }
}

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
  for (let batches = 0; batches < 2; batches++) {
    await (await nextBatch(inbox))!.settle();
  }
  const acknowledged = [...inbox.queueStats()].map(([queue, stats]) => [
    queue,
    stats.acknowledged,
  ]);
  assert.deepEqual(acknowledged, [["one", 2], ["large", 1], ["none", 0]]);
  assert.equal(inbox.stats().acknowledged, 3);
});
