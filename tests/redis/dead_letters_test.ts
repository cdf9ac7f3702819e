import assert from "node:assert/strict";
import {
  type DeadLetterFilter,
  DeadLetters,
  Inbox,
  type RedisError,
} from "../../src/redis/mod.ts";
import { callsOf } from "../calls.ts";
import { ClusterSetup } from "../cluster.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import {
  buryMany,
  DEAD,
  encoder,
  idsOf,
  letter,
  messages,
  numbers,
  open,
  queued,
} from "./dead_letters.ts";
import { mostOf, watchScripts } from "./watch_scripts.ts";
import { nextBatch } from "./next_batch.ts";

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
    reason: "malformed" as const,
    error: new Error(`bad message ${index}`),
  })));
}

Deno.test("DeadLetters takes out fifty at a time, which come into the queue at once", async () => {
  await using server = await TestServer.start();
  await using dead = open(server);
  await server.run("RPUSH", DEAD, ...numbers(0, 200).map((id) => letter(id)));
  const scripts = await watchScripts(server, async () => {
    assert.equal(await dead.requeue("all"), 200);
  });
  assert.deepEqual(await queued(server), messages(numbers(0, 200)));
  assert.equal(mostOf("LSET", scripts), 50);
  assert.equal(mostOf("RPUSH", scripts), 1);
});

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

Deno.test("DeadLetters put another message into the queue in place of one", async () => {
  await using server = await TestServer.start();
  await bury(server, numbers(0, 3));
  await using dead = open(server);
  const ids = await idsOf(dead);
  const requeue = (): Promise<number> =>
    dead.requeue({ id: ids[1]! }, { payload: "mended" });
  const counts = await Promise.all([requeue(), requeue(), requeue()]);
  assert.deepEqual(counts.toSorted(), [0, 0, 1]);
  assert.deepEqual(await queued(server), ["mended"]);
  assert.equal(await dead.count(), 2);
  // It is new: nothing is left of the identity of the other one.
  assert.equal(await server.run("EXISTS", "{queue}:deliveries"), 0);
  await assert.rejects(
    dead.requeue({ id: ids[0]! }, { payload: 1 as never }),
    TypeError,
  );
});

Deno.test("DeadLetters read none twice to put another message in its place", async () => {
  await using server = await TestServer.start();
  await using dead = open(server);
  const requeue = async (options?: { payload: string }): Promise<number> => {
    await buryMany(server, 5000);
    const scripts = await watchScripts(server, async () => {
      assert.equal(await dead.requeue("all", options), 5000);
    });
    assert.equal(await dead.count(), 0);
    return scripts.length;
  };
  // From then on the server knows the scripts.
  await requeue();
  const count = await requeue();
  assert.equal(await requeue({ payload: "mended" }), count);
});

Deno.test("DeadLetters refuses filters that make no sense, and moves nothing", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", DEAD, letter("a"));
  await using dead = new DeadLetters(server.args, { queue: ["queue", "b"] });
  const wrong: [unknown, RegExp][] = [
    [{}, /Cannot purge dead letters: the filter is empty; pass "all"/],
    [{ reason: undefined }, /the filter is empty/],
    [{ raeson: "failed" }, /no option `raeson`; the nearest one is `reason`/],
    [{ reason: "bad" }, /`reason` is "bad", expected "malformed" or /],
    [{ index: -1 }, /`index` is -1, expected a whole number from 0 on, or a/],
    [{ index: 0 }, /`index` is a place among those of one queue/],
    [{ olderThan: "1" }, /`olderThan` is "1", expected a number of seconds/],
    [{ id: ["a", 5] }, /`id` has to be a text, or a list/],
    [null, /`which` has to be "all" or a filter, such as { id }/],
    [["a"], /`which` has to be "all" or a filter/],
    ["al", /`which` has to be "all" or a filter/],
  ];
  for (const [filter, message] of wrong) {
    await assert.rejects(dead.purge(filter as DeadLetterFilter), {
      name: / is ("b|"1|-)/.test(message.source) ? "RangeError" : "TypeError",
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
  const replies = await callsOf(server, "evalsha");
  assert.ok(replies >= 100, `${replies} replies`);
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
  const replies = await callsOf(server, "evalsha");
  assert.ok(replies >= 8, `${replies} replies`);
  assert.equal(await dead.requeue("all"), 8);
  const [first] = await server.redis.command<Uint8Array[]>(
    ["LRANGE", "queue", "0", "0"],
    { bytes: true },
  );
  assert.deepEqual(new Uint8Array(first!), payload);
});

Deno.test("DeadLetters shows what somebody else has put among them", async () => {
  await using server = await TestServer.start();
  const bytes = new Uint8Array([255, 1, 2]);
  await server.run(
    "RPUSH",
    DEAD,
    "null",
    letter("a"),
    bytes,
    "null",
    `{"id": 5}`,
  );
  await using dead = open(server);
  const list = await Array.fromAsync(dead.list());
  assert.equal(list.length, 5);
  assert.equal(list[1]!.id, "a");
  assert.match(list[0]!.error, /Somebody else/);
  assert.deepEqual([...list[2]!.payload], [...bytes]);
  assert.equal(await dead.purge({ id: list[2]!.id }), 1);
  assert.equal(await inTime(dead.purge("all"), "all are purged"), 4);
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
    logger: new LineLogger(),
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
    logger: new LineLogger(),
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

Deno.test("DeadLetters refuse a time that is none", () => {
  for (const connectionTimeout of [NaN, -1]) {
    assert.throws(
      () => new DeadLetters({}, { queue: "queue", connectionTimeout }),
      { name: "RangeError", message: /`connectionTimeout` is (NaN|-1)/ },
    );
  }
});

Deno.test("DeadLetters refuse what is no queue", () => {
  for (const queue of [undefined, "", [], ["queue", ""], 5]) {
    assert.throws(
      () => new DeadLetters({}, { queue: queue as string }),
      {
        name: "TypeError",
        message: /`queue` (is missing, expected|has to be) a name/,
      },
    );
  }
});
