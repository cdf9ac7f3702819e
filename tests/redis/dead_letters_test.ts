import assert from "node:assert/strict";
import {
  type DeadLetter,
  type DeadLetterFilter,
  DeadLetters,
  type FailureReason,
  Inbox,
  type RedisError,
} from "../../src/redis/mod.ts";
import { encodeDeadLetter } from "../../src/redis/dead_letter.ts";
import { ClusterSetup } from "../cluster.ts";
import { inTime } from "../in_time.ts";
import { TestLogger, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { nextBatch } from "./next_batch.ts";

const DEAD = "{queue}:dead";
const encoder = new TextEncoder();

/** Makes dead letters of these messages, as consuming does. */
async function bury(
  server: TestServer,
  messages: (string | Uint8Array)[],
): Promise<void> {
  await server.run("RPUSH", "queue", ...messages);
  await using inbox = await Inbox.open(server.args, { queue: "queue" });
  const batch = await nextBatch(inbox);
  await batch!.settle([...messages.keys()].map((index) => ({
    index,
    reason: "malformed" as FailureReason,
    error: new Error(`bad message ${index}`),
  })));
}

/** A dead letter as it is in Redis. */
function letter(
  id: string,
  parts: Partial<DeadLetter> & { age?: number } = {},
): string {
  const { age = 0, ...rest } = parts;
  return encodeDeadLetter({
    id,
    queue: "queue",
    reason: "failed",
    error: `${id} failed`,
    time: Date.now() / 1000 - age,
    deliveries: 3,
    payload: encoder.encode(`message ${id}`),
    ...rest,
  });
}

/** Numbered ones, as many as wanted. */
async function buryMany(
  server: TestServer,
  count: number,
  dead = DEAD,
): Promise<void> {
  for (let start = 0; start < count; start += 1000) {
    const letters = Array.from(
      { length: Math.min(1000, count - start) },
      (_, index) => letter(String(start + index)),
    );
    await server.run("RPUSH", dead, ...letters);
  }
}

function open(server: TestServer): DeadLetters {
  return new DeadLetters(server.args, {
    queue: "queue",
    logger: new TestLogger(),
  });
}

async function idsOf(
  dead: DeadLetters,
  filter?: DeadLetterFilter,
): Promise<string[]> {
  return await Array.fromAsync(dead.list(filter), ({ id }) => id);
}

function queued(server: TestServer, queue = "queue"): Promise<string[]> {
  return server.run("LRANGE", queue, "0", "-1");
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index));
}

function messages(ids: readonly string[]): string[] {
  return ids.map((id) => `message ${id}`);
}

Deno.test("DeadLetters lists what could not be handled, byte for byte", async () => {
  await using server = await TestServer.start();
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  const bom = new Uint8Array([0xef, 0xbb, 0xbf, 0x61]);
  const texts = [bytes, "text ä\u0000", bom, ""];
  const before = Date.now() / 1000;
  await bury(server, texts);
  await using dead = open(server);
  const list = await Array.fromAsync(dead.list());
  assert.equal(await dead.count(), 4);
  assert.deepEqual(
    list.map(({ payload }) => [...payload]),
    texts.map((text) => [
      ...(typeof text === "string" ? encoder.encode(text) : text),
    ]),
  );
  for (const [index, found] of list.entries()) {
    assert.equal(found.index, index);
    assert.equal(found.queue, "queue");
    assert.equal(found.reason, "malformed");
    assert.equal(found.error, `bad message ${index}`);
    assert.equal(found.deliveries, 1);
    assert.ok(found.time >= before && found.time <= Date.now() / 1000);
  }
});

Deno.test("DeadLetters requeues bytes that are no text, and empty messages", async () => {
  await using server = await TestServer.start();
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  await bury(server, [bytes, ""]);
  await using dead = open(server);
  assert.equal(await dead.requeue("all"), 2);
  const [first, empty] = await server.redis.command<Uint8Array[]>(
    ["LRANGE", "queue", "0", "-1"],
    { bytes: true },
  );
  assert.deepEqual([...first!], [...bytes]);
  assert.equal(empty!.byteLength, 0);
  assert.equal(await dead.count(), 0);
});

Deno.test("DeadLetters are chosen by id, index, reason, age and queue", async () => {
  await using server = await TestServer.start();
  await server.run(
    "RPUSH",
    DEAD,
    letter("a", { age: 1000 }),
    letter("b", { age: 500, reason: "malformed" }),
    letter("c", { age: 100 }),
    letter("d", { reason: "foreign" }),
  );
  await using dead = open(server);
  const choices: [DeadLetterFilter, string][] = [
    [{}, "abcd"],
    [{ id: "b" }, "b"],
    [{ id: ["d", "a", "x"] }, "ad"],
    [{ id: [] }, ""],
    [{ index: 0 }, "a"],
    [{ index: [3, 1, 9] }, "bd"],
    [{ reason: "failed" }, "ac"],
    [{ reason: ["foreign", "malformed"] }, "bd"],
    [{ olderThan: 300 }, "ab"],
    [{ newerThan: 300 }, "cd"],
    [{ olderThan: 50, newerThan: 700 }, "bc"],
    [{ olderThan: 300, reason: "failed" }, "a"],
    [{ queue: "queue", id: "c" }, "c"],
    [{ queue: "another" }, ""],
  ];
  for (const [filter, expected] of choices) {
    const found = await idsOf(dead, filter);
    assert.equal(found.join(""), expected, JSON.stringify(filter));
  }
  assert.equal(await dead.requeue({ reason: "failed", newerThan: 300 }), 1);
  assert.equal(await dead.requeue({ index: [0, 2] }), 2);
  assert.deepEqual(await queued(server), messages(["c", "a", "d"]));
  assert.equal(await dead.purge({ index: 1 }), 0);
  assert.equal(await dead.purge({ id: "b" }), 1);
  assert.equal(await dead.count(), 0);
});

Deno.test("DeadLetters refuses filters that make no sense, and moves nothing", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", DEAD, letter("a"));
  await using dead = new DeadLetters(server.args, { queue: ["queue", "b"] });
  const wrong: [unknown, RegExp][] = [
    [{}, /Cannot purge dead letters: the filter is empty; pass "all"/],
    [{ reason: undefined }, /the filter is empty/],
    [{ raeson: "failed" }, /there is no `raeson`; the nearest one is `reason`/],
    [{ reason: "bad" }, /`reason` has to be one of malformed, /],
    [{ index: -1 }, /`index` has to be a whole number from 0 on/],
    [{ index: 0 }, /`index` is a place among those of one queue/],
    [{ olderThan: "1" }, /`olderThan` has to be a number of seconds/],
    [{ id: 5 }, /`id` has to be an id, or a list of ids/],
  ];
  for (const [filter, message] of wrong) {
    await assert.rejects(dead.purge(filter as DeadLetterFilter), {
      name: "TypeError",
      message,
    });
  }
  assert.equal(await dead.count(), 1);
});

Deno.test("DeadLetters leafs through many, and moves them in their order", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 10_000);
  await server.run("RPUSH", "queue", "waiting");
  await server.run("CONFIG", "RESETSTAT");
  await using dead = open(server);
  assert.deepEqual(await idsOf(dead), numbers(0, 10_000));
  const stats = await server.run<string>("INFO", "commandstats");
  const calls = Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)![1]);
  assert.ok(calls >= 100, `${calls} replies`);
  const odd = numbers(0, 10_000).filter((id) => Number(id) % 2 === 1);
  assert.equal(await dead.requeue({ id: odd }), 5000);
  assert.deepEqual(await queued(server), ["waiting", ...messages(odd)]);
  assert.equal(await dead.requeue("all"), 5000);
  assert.equal(await server.run("LLEN", "queue"), 10_001);
  assert.deepEqual(await server.run("KEYS", "*"), ["queue"]);
});

Deno.test("DeadLetters reads large ones a few at a time", async () => {
  await using server = await TestServer.start();
  const payload = new Uint8Array(2 ** 20).fill(255);
  for (const id of numbers(0, 8)) {
    await server.run("RPUSH", DEAD, letter(id, { payload }));
  }
  await server.run("CONFIG", "RESETSTAT");
  await using dead = open(server);
  assert.deepEqual(await idsOf(dead), numbers(0, 8));
  const stats = await server.run<string>("INFO", "commandstats");
  const calls = Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)![1]);
  assert.ok(calls >= 8, `${calls} replies`);
  assert.equal(await dead.requeue("all"), 8);
  const [first] = await server.redis.command<Uint8Array[]>(
    ["LRANGE", "queue", "0", "0"],
    { bytes: true },
  );
  assert.deepEqual(new Uint8Array(first!), payload);
});

Deno.test("DeadLetters may be requeued and purged while they are listed", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 350);
  await using dead = open(server);
  const seen: string[] = [];
  for await (const { id, index } of dead.list()) {
    seen.push(id);
    if (Number(id) % 3 === 0) assert.equal(await dead.purge({ id }), 1);
    if (Number(id) % 3 === 1) assert.equal(await dead.requeue({ id }), 1);
    assert.ok(index <= Number(id));
  }
  assert.deepEqual(seen, numbers(0, 350));
  assert.equal(await dead.count(), 116);
  assert.equal(await server.run("LLEN", "queue"), 117);
});

Deno.test("DeadLetters misses none of those that stay, whatever happens to the list", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 1000);
  await using dead = open(server);
  const seen: string[] = [];
  for await (const { id } of dead.list()) {
    seen.push(id);
    assert.ok(seen.length <= 1001, "it begins again and again");
    const number = Number(id);
    // The oldest make room, as the limit makes them.
    if (number === 150) await server.run("LTRIM", DEAD, "30", "-1");
    // Somebody removes what was read last.
    if (number === 299) await dead.purge({ id: numbers(250, 300) });
    // New ones come.
    if (number === 400) await server.run("RPUSH", DEAD, letter("new"));
  }
  assert.deepEqual(seen.filter((id) => id !== "new"), numbers(0, 1000));
  assert.equal(new Set(seen).size, seen.length);
});

Deno.test("DeadLetters ends although what it requeues comes back at once", async () => {
  await using server = await TestServer.start();
  await using inbox = await Inbox.open(server.args, { queue: "queue" });
  const reading = (async () => {
    for (let batch; (batch = await inbox.next());) {
      await batch.settle([...batch.payloads.keys()].map((index) => ({
        index,
        reason: "malformed",
        error: new Error("no"),
      })));
    }
  })();
  await buryMany(server, 500);
  await using dead = open(server);
  assert.equal(await inTime(dead.requeue("all"), "the end"), 500);
  await inbox.stop();
  await reading;
  const left = await server.run<number>("LLEN", "queue");
  assert.equal(await dead.count() + left, 500);
});

Deno.test("DeadLetters that two people requeue at once are moved once", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 3000);
  await using one = open(server);
  await using two = open(server);
  const counts = await Promise.all([
    one.requeue("all"),
    two.requeue({ reason: "failed" }),
    one.requeue({ index: [5, 6, 7] }),
    two.requeue({ id: numbers(100, 200) }),
  ]);
  assert.equal(counts.reduce((sum, count) => sum + count), 3000);
  const all = await queued(server);
  assert.equal(all.length, 3000);
  assert.deepEqual(new Set(all), new Set(messages(numbers(0, 3000))));
});

Deno.test("DeadLetters neither loses nor doubles any when connections break", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 5000);
  await using dead = open(server);
  let isOver = false;
  let kills = 0;
  const killing = (async () => {
    for (let moved = 1; !isOver; moved += 200) {
      await until(async () =>
        isOver || await server.run<number>("LLEN", "queue") >= moved
      );
      kills += await server.run<number>(
        "CLIENT",
        "KILL",
        "TYPE",
        "normal",
        "SKIPME",
        "yes",
      );
    }
  })();
  const count = await dead.requeue("all").finally(() => isOver = true);
  await killing;
  assert.ok(kills > 2, `${kills} connections were closed`);
  assert.equal(count, 5000);
  assert.deepEqual(await queued(server), messages(numbers(0, 5000)));
  assert.equal(await dead.count(), 0);
});

Deno.test("DeadLetters keeps what the queue does not take", async () => {
  await using server = await TestServer.start({
    config: ["user reader on >secret ~* +@all -rpush"],
  });
  await buryMany(server, 3);
  await using dead = open(server);
  await server.run("SET", "queue", "no list");
  await assert.rejects(dead.requeue("all"), (error: RedisError) => {
    assert.match(
      error.message,
      /^Cannot requeue the dead letters of "queue": /,
    );
    return error.code === "wrong-type";
  });
  await server.run("DEL", "queue");
  await server.run("CONFIG", "SET", "maxmemory", "1");
  await assert.rejects(
    dead.requeue("all"),
    (error: RedisError) => error.code === "memory",
  );
  await server.run("CONFIG", "SET", "maxmemory", "0");
  await using other = new DeadLetters(
    { ...server.args, username: "reader", password: "secret" },
    { queue: "queue" },
  );
  await assert.rejects(
    other.requeue("all"),
    (error: RedisError) => error.code === "permission",
  );
  assert.deepEqual(await idsOf(dead), numbers(0, 3));
  assert.equal(await server.run("EXISTS", "queue"), 0);
});

Deno.test("DeadLetters that were requeued have their deliveries before them", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "one");
  const options = { queue: "queue", maxDeliveries: 2, retryPause: 0.001 };
  await using inbox = await Inbox.open(server.args, options);
  const failure = { index: 0, reason: "failed", error: new Error() } as const;
  await (await nextBatch(inbox))!.settle([failure]);
  const again = await nextBatch(inbox);
  assert.deepEqual(again!.deliveries, [1]);
  await again!.settle([failure]);
  await using dead = open(server);
  const [found] = await Array.fromAsync(dead.list());
  assert.equal(found!.deliveries, 2);
  assert.equal(await dead.requeue({ id: found!.id }), 1);
  const fresh = await nextBatch(inbox);
  assert.deepEqual(fresh!.deliveries, [0]);
  await fresh!.settle([failure]);
  const retried = await nextBatch(inbox);
  await retried!.settle();
  assert.equal(await dead.count(), 0);
});

Deno.test("DeadLetters shows what somebody else has put among them", async () => {
  await using server = await TestServer.start();
  const bytes = new Uint8Array([255, 1, 2]);
  await server.run("RPUSH", DEAD, "null", letter("a"), bytes, '{"id": 5}');
  await using dead = open(server);
  const list = await Array.fromAsync(dead.list());
  assert.equal(list.length, 4);
  assert.equal(list[1]!.id, "a");
  assert.match(list[0]!.error, /Somebody else/);
  assert.deepEqual([...list[2]!.payload], [...bytes]);
  assert.equal(await dead.purge({ id: list[2]!.id }), 1);
  assert.equal(await dead.purge("all"), 3);
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("DeadLetters of several queues, in a cluster", async () => {
  await using setup = await ClusterSetup.start();
  const queues = ["one", "two", "{tag}:three"];
  const keys = ["{one}:dead", "{two}:dead", "{tag}:three:dead"];
  const nodes = await Promise.all(queues.map((key) => setup.masterOf(key)));
  assert.ok(new Set(nodes).size > 1);
  for (const [index, node] of nodes.entries()) {
    await buryMany(node, 150, keys[index]!);
  }
  await using dead = new DeadLetters(setup.args, {
    queue: queues,
    logger: new TestLogger(),
  });
  assert.equal(await dead.count(), 450);
  assert.deepEqual(await Array.fromAsync(dead.list(), ({ queue }) => queue), [
    ...queues.flatMap((queue) => new Array(150).fill(queue)),
  ]);
  assert.equal(await dead.requeue({ queue: "two", index: [0, 149] }), 2);
  assert.deepEqual(await queued(nodes[1]!, "two"), messages(["0", "149"]));
  assert.equal(await dead.purge({ queue: "one" }), 150);
  assert.equal(await dead.requeue("all"), 298);
  assert.equal(await nodes[2]!.run("LLEN", "{tag}:three"), 150);
  assert.equal(await dead.count(), 0);
});

Deno.test("DeadLetters says so when no server answers, and when it was closed", async () => {
  await using dead = new DeadLetters({ port: 1 }, {
    queue: "queue",
    logger: new TestLogger(),
    connectionTimeout: 0.2,
  });
  await assert.rejects(dead.count(), (error: RedisError) => {
    assert.match(error.message, /^Cannot count the dead letters of "queue": /);
    return error.code === "connection";
  });
  await dead.close();
  await assert.rejects(
    dead.purge("all"),
    (error: RedisError) => error.code === "closed",
  );
});
