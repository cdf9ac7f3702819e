import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Batch, Inbox, queueStatus } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { numbers, open, queued, texts } from "./inboxes.ts";
import { blocked, nextBatch } from "./next_batch.ts";
import { mostOf, watchScripts } from "./watch_scripts.ts";

const DELIVERIES = "{queue}:deliveries";

/** The names of the consumers that nobody took for dead. */
async function alive(server: TestServer): Promise<string[]> {
  const states = await server.run<Record<string, string>>(
    "HGETALL",
    "{queue}:consumers",
  );
  return Object.keys(states).filter((name) => states[name] === "alive");
}

/**
 * Opens an inbox that takes nothing more while it has a message in hand, and whose
 * heartbeat is too slow to be what notices that it was taken for dead.
 */
function openSlow(server: TestServer, logger: LineLogger): Promise<Inbox> {
  return open(server, { logger, heartbeatTimeout: 600, maxInFlight: 1 });
}

/** Lets an inbox take a message, and others believe that it is dead. */
async function loseHeartbeat(
  server: TestServer,
  inbox: Inbox,
): Promise<Batch | undefined> {
  await server.run("RPUSH", "queue", "one");
  const batch = await nextBatch(inbox);
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!);
  return batch;
}

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
  await inTime(Promise.all([read(a), read(b)]), "everything is read");
  assert.deepEqual(received.toSorted(), numbers(1000).toSorted());
  assert.deepEqual(marked.toSorted(), numbers(700).toSorted());
  assert.equal(a.stats().reclaimed + b.stats().reclaimed, 700);
  assert.equal(await server.run("EXISTS", DELIVERIES), 0);
});

Deno.test("Inbox puts back what one dead consumer had in hand at a time, and the others' at once after that", async () => {
  const [CONSUMERS, COUNT] = [5, 20];
  await using server = await TestServer.start();
  for (let at = 0; at < CONSUMERS; at++) {
    const name = `dead.0000000${at}`;
    await server.run("HSET", "{queue}:consumers", name, "alive");
    await server.run("HSET", `{queue}:processing:${name}`, "1", "@1 ");
    await server.run(
      ...["RPUSH", `{queue}:processing:${name}:1`],
      ...numbers(COUNT, at * COUNT),
    );
  }
  const scripts = await watchScripts(server, async () => {
    await using inbox = await open(server, { paused: true });
    assert.equal(inbox.stats().reclaimed, CONSUMERS * COUNT);
    const waiting = await queued(server);
    assert.equal(new Set(waiting).size, CONSUMERS * COUNT);
  });
  const back = scripts.map((script) =>
    (script.get("LPUSH") ?? []).flatMap(([_queue, ...payloads]) => payloads)
  );
  assert.equal(Math.max(...back.map(({ length }) => length)), COUNT);
});

for (
  const { what, notes, before, after } of [
    { what: "taken", notes: "@1 ", before: 0, after: 1 },
    { what: "moved unseen", notes: "?", before: 2, after: 3 },
  ]
) {
  Deno.test(`What is known of equal messages is written a few times when they go back that were ${what}`, async () => {
    const [COUNT, batch] = [800, "{queue}:processing:dead.00000000:1"];
    await using server = await TestServer.start();
    await server.run("HSET", "{queue}:consumers", "dead.00000000", "alive");
    await server.run("HSET", batch.slice(0, -2), "1", notes);
    await server.run("RPUSH", batch, ...Array(COUNT).fill("equal"));
    const digest = createHash("sha1").update("equal").digest("hex");
    const known = Array(COUNT).fill(`${before}.0.0.0`).join(" ");
    if (before > 0) await server.run("HSET", DELIVERIES, digest, known);
    const scripts = await watchScripts(server, async () => {
      await using inbox = await open(server, { paused: true });
      assert.equal(inbox.stats().reclaimed, COUNT);
    });
    // A batch goes back in eight parts, of which each reads and writes once.
    const written = mostOf("HSET", scripts);
    assert.ok(written <= 2 * 8 + 2, `it was written ${written} times`);
    await using inbox = await open(server, { batchSize: 2 * COUNT });
    const again = await nextBatch(inbox);
    assert.deepEqual(again!.deliveries, Array(COUNT).fill(after));
    await again!.settle();
  });
}

Deno.test("Equal messages that were moved unseen do not get what is known of each other when they go back", async () => {
  const [COUNT, batch] = [16, "{queue}:processing:dead.00000000:1"];
  await using server = await TestServer.start();
  await server.run("HSET", "{queue}:consumers", "dead.00000000", "alive");
  await server.run("HSET", batch.slice(0, -2), "1", "?");
  await server.run("RPUSH", batch, ...Array(COUNT).fill("equal"));
  // Of other messages something is known.
  await server.run("HSET", DELIVERIES, "0".repeat(40), "1.1.0.0");
  await using inbox = await open(server);
  const deliveries: number[] = [];
  while (deliveries.length < COUNT) {
    const again = await nextBatch(inbox);
    deliveries.push(...again!.deliveries);
    await again!.settle();
  }
  assert.deepEqual(deliveries, Array(COUNT).fill(1));
});

Deno.test("What was moved unseen is read once when it goes back, where nothing is known of any message", async () => {
  const [COUNT, batch] = [8, "{queue}:processing:dead.00000000:1"];
  await using server = await TestServer.start();
  await server.run("HSET", "{queue}:consumers", "dead.00000000", "1");
  await server.run("HSET", batch.slice(0, -2), "1", "?");
  await server.run("RPUSH", batch, ...numbers(COUNT));
  const scripts = await watchScripts(server, async () => {
    await using _inbox = await open(server, { paused: true });
  });
  assert.deepEqual(await queued(server), numbers(COUNT));
  assert.equal(mostOf("LRANGE", scripts), COUNT);
});

for (const notes of ["?", "@1 0:rubbish 2:1.0.0.0"]) {
  Deno.test(`Inbox puts back what a dead consumer had in hand although rubbish is noted of it (${notes})`, async () => {
    const batch = "{queue}:processing:dead.00000000:1";
    await using server = await TestServer.start();
    const digest = createHash("sha1").update("n0").digest("hex");
    await server.run("HSET", DELIVERIES, digest, "rubbish");
    await server.run("HSET", "{queue}:consumers", "dead.00000000", "alive");
    await server.run("HSET", batch.slice(0, -2), "1", notes);
    await server.run("RPUSH", batch, ...numbers(3));
    await using _inbox = await open(server, { paused: true });
    assert.deepEqual(await queued(server), numbers(3));
  });
}

for (
  const [key, field, value] of [
    ["{queue}:consumers", "odd.00000000", "rubbish"],
    ["{queue}:processing:dead.00000000", "rubbish", "?"],
  ] as const
) {
  Deno.test(`Inbox puts back what a dead consumer had in hand although there is rubbish in ${key}`, async () => {
    const batch = "{queue}:processing:dead.00000000:1";
    await using server = await TestServer.start();
    await server.run("HSET", "{queue}:consumers", "dead.00000000", "1");
    await server.run("HSET", batch.slice(0, -2), "1", "?");
    await server.run("HSET", key, field, value);
    await server.run("RPUSH", batch, ...numbers(3));
    await using _inbox = await open(server, { paused: true });
    await until(async () => (await queued(server)).length === 3);
    await until(async () => await server.run("HEXISTS", key, field) === 0);
  });
}

Deno.test("What somebody has handled meanwhile does not count as put back", async () => {
  const batch = "{queue}:processing:dead.00000000:1";
  await using server = await TestServer.start();
  await server.run("HSET", "{queue}:consumers", "dead.00000000", "alive");
  const notes = "@1 0:1.0.1.0~~a@1 1:1.0.1.0~~b@1";
  await server.run("HSET", batch.slice(0, -2), "1", notes);
  await server.run("RPUSH", batch, ...numbers(3));
  await server.run("HSET", "{queue}:handled", "b", "1");
  await using inbox = await open(server, { paused: true });
  assert.deepEqual(await queued(server), ["n0", "n2"]);
  assert.equal(inbox.stats().reclaimed, 2);
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
  const logger = new LineLogger();
  await using inbox = await openSlow(server, logger);
  const batch = await loseHeartbeat(server, inbox);
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
  assert.ok(logger.lines.some((line) => /took it for dead/.test(line)));
});

Deno.test("Inbox takes nothing more once it was taken for dead", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await openSlow(server, logger);
  const batch = await loseHeartbeat(server, inbox);
  await using _other = await open(server, { paused: true });
  assert.deepEqual(await queued(server), ["one"]);
  await server.run("RPUSH", "queue", "two");
  // It settles too late, but in time to cancel that it comes again.
  await batch!.settle();
  const again = await nextBatch(inbox);
  assert.deepEqual(texts(again), ["two"]);
  assert.ok(logger.lines.some((line) => /took it for dead/.test(line)));
  assert.equal((await alive(server)).length, 2);
  await again!.settle();
  assert.deepEqual(await server.run("KEYS", "{queue}:processing:*:*"), []);
});

Deno.test("Inbox keeps for itself what comes to a wait that began before it was taken for dead", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  const waiting = nextBatch(inbox);
  await blocked(server);
  const [name] = await alive(server);
  // What others do who take it for dead, and what makes it look.
  const now = String(Math.floor(Date.now() / 1000));
  await server.run("HSET", "{queue}:consumers", name!, now);
  await server.run("DEL", `{queue}:consumer:${name}`);
  await until(async () => {
    const [next] = await alive(server);
    return next !== undefined && next !== name;
  }, "it has a new life");
  const message = JSON.stringify({ id: "one", _timestamp: 1 });
  await server.run("RPUSH", "queue", message);
  const batch = await waiting;
  assert.deepEqual(texts(batch), [message]);
  // This one puts back what is in the hands of the dead.
  await using other = await open(server, { paused: true });
  assert.equal(other.stats().reclaimed, 0);
  await batch!.settle();
  assert.equal(inbox.stats().acknowledged, 1);
});

Deno.test("Inbox shows that it is alive although the server is full", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  await using other = await open(server, { paused: true });
  await server.run("RPUSH", "queue", "one");
  const batch = await nextBatch(inbox);
  const beats = async (): Promise<(string | null)[]> => {
    const keys = await server.run<string[]>("KEYS", "{queue}:consumer:*");
    return await server.run("MGET", ...keys.toSorted());
  };
  await server.run("CONFIG", "SET", "maxmemory", "1");
  for (let round = 0; round < 4; round++) {
    const before = await beats();
    await until(async () => {
      const now = await beats();
      return before.every((beat, at) => now[at] !== beat);
    }, "both have beaten");
  }
  await batch!.settle();
  assert.equal(other.stats().reclaimed, 0);
  assert.equal(inbox.stats().acknowledged, 1);
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

Deno.test("Inbox learns that it was taken for dead although its key is there", async () => {
  await using server = await TestServer.start();
  // It does not beat meanwhile, as if it were stopped, and its key has long to go, as
  // if the server's clock had gone back.
  await using inbox = await open(server, { heartbeatTimeout: 600 });
  const [name] = await alive(server);
  await using _other = await open(server, { paused: true });
  await server.run("SET", `{queue}:consumer:${name}`, "500 0", "KEEPTTL");
  await until(async () => !(await alive(server)).includes(name!));
  const message = JSON.stringify({ id: "one", _timestamp: 1 });
  await server.run("RPUSH", "queue", message);
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), [message]);
  // This one puts back what is in the hands of the dead.
  await using third = await open(server, { paused: true });
  assert.equal(third.stats().reclaimed, 0);
  await batch!.settle();
  assert.equal(inbox.stats().acknowledged, 1);
});

Deno.test("Inbox finds what BLMOVE moved after its answer was lost", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  const waiting = nextBatch(inbox);
  const [consumer] = await server.run<string[]>("HKEYS", "{queue}:consumers");
  const processing = `{queue}:processing:${consumer}`;
  await server.run("HSET", processing, "77", "?");
  await server.run("RPUSH", `${processing}:77`, "stray");
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  const batch = await waiting;
  assert.deepEqual(texts(batch), ["stray"]);
  await batch!.settle();
  assert.equal(await server.run("EXISTS", `${processing}:77`), 0);
});

Deno.test("Inbox finds what a dead consumer had in hand whom the index does not know any more", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ...numbers(1000));
  await using killed = await KillableInbox.open(server);
  await killed.take(5);
  await server.run("DEL", "{queue}:consumers");
  await killed.kill();
  // A list that not even its consumer's hash knows.
  const list = "{queue}:processing:some:device.0123abcd:7";
  await server.run("RPUSH", list, "stray");
  const logger = new LineLogger();
  await using inbox = await open(server, { paused: true, logger });
  await until(() => inbox.stats().reclaimed === 701);
  assert.deepEqual(
    (await queued(server)).toSorted(),
    [...numbers(1000), "stray"].toSorted(),
  );
  await logger.line(/^warn: Somebody has removed 2 consumers of "queue"/);
});

Deno.test("Inbox does without looking for what the index does not know where it may not", async () => {
  await using server = await TestServer.start();
  await server.run(
    "ACL",
    "SETUSER",
    "user",
    "on",
    ">x",
    "~*",
    "+@all",
    "-scan",
  );
  await server.run("RPUSH", "queue", "one");
  const args = { ...server.args, username: "user", password: "x" };
  await using inbox = await Inbox.open(args, { queue: "queue" });
  await (await nextBatch(inbox))!.settle();
});

Deno.test("Inbox and queueStatus do without what the server has under no name", async () => {
  await using server = await TestServer.start({
    config: ["SCAN", "INFO"].map((name) => `rename-command ${name} ""`),
  });
  await server.run("RPUSH", "queue", "one");
  await using inbox = await open(server);
  const batch = await nextBatch(inbox);
  const { consumers, server: { usedMemory } } = await queueStatus(
    server.args,
    { queue: "queue" },
  );
  assert.equal(consumers[0]!.inFlight, 1);
  assert.equal(usedMemory, undefined);
  await batch!.settle();
});

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
