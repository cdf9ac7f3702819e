import assert from "node:assert/strict";
import { DeadLetters } from "../../src/redis/mod.ts";
import { Listener } from "../listener.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { buryMany, DEAD, letter } from "./dead_letters.ts";
import { open, queued, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const MEBIBYTE = 2 ** 20;
const error = new Error("cannot handle it");

/** Pushes a text of so many bytes. */
async function pushLarge(server: TestServer, bytes: number): Promise<void> {
  await server.run("RPUSH", "queue", "x".repeat(bytes));
}

/** The bytes that a key takes in Redis, all its elements looked at. */
function memoryOf(server: TestServer, key: string): Promise<number> {
  return server.run<number>("MEMORY", "USAGE", key, "SAMPLES", "0");
}

for (const how of ["that waits", "that comes"] as const) {
  Deno.test(`Inbox buries a message ${how} and is too large, without carrying it here`, async () => {
    await using server = await TestServer.start();
    const logger = new LineLogger();
    const push = async (): Promise<void> => {
      await server.run("RPUSH", "queue", "before");
      await pushLarge(server, 40 * MEBIBYTE);
      await pushLarge(server, 12 * MEBIBYTE);
      await server.run("RPUSH", "queue", "after");
    };
    if (how === "that waits") await push();
    await using inbox = await open(server, {
      logger,
      heartbeatTimeout: 10,
      maxSize: MEBIBYTE,
      maxDeadLetterBytes: 15 * MEBIBYTE,
    });
    if (how === "that comes") await push();
    const seen: string[] = [];
    while (seen.length < 2) {
      const batch = await nextBatch(inbox);
      seen.push(...texts(batch));
      assert.deepEqual([...batch!.deliveries], batch!.deliveries.map(() => 0));
      await batch!.settle();
    }
    assert.deepEqual(seen, ["before", "after"]);
    await using dead = new DeadLetters(server.args, { queue: "queue", logger });
    await until(async () => await dead.count() === 2);
    const [huge, large] = await Array.fromAsync(dead.list());
    assert.equal(huge!.reason, "too-large");
    assert.match(huge!.error, /more than the 1048576 bytes .* raise maxSize$/);
    // More than all dead letters may take: it lies beside them.
    assert.ok(huge!.size >= 40 * MEBIBYTE);
    assert.equal(huge!.payload.length, 0);
    assert.match(huge!.key!, /^\{queue\}:dead:text:/);
    assert.equal(large!.payload.length, 12 * MEBIBYTE);
    assert.equal(large!.size, 12 * MEBIBYTE);
    await logger.line(
      /^warn: A message of "queue" has become a dead letter \(too-large\)/,
    );
    await inbox.stop();
    assert.equal(inbox.stats().deadLettered, 2);
    // Whoever raises the limit gets them.
    assert.equal(await dead.requeue("all"), 2);
    assert.equal(await dead.count(), 0);
    assert.deepEqual(
      (await queued(server)).map(({ length }) => length / MEBIBYTE).toSorted(),
      [12, 40],
    );
  });
}

Deno.test("Inbox takes what is just small enough", async () => {
  await using server = await TestServer.start();
  await pushLarge(server, MEBIBYTE);
  await pushLarge(server, 9);
  await using inbox = await open(server, { maxSize: MEBIBYTE });
  let count = 0;
  while (count < 2) {
    const batch = await nextBatch(inbox);
    count += batch!.payloads.length;
    await batch!.settle();
  }
  assert.equal(inbox.stats().deadLettered, 0);
});

Deno.test("Dead letters do not fill the server, and it is warned of them once", async () => {
  await using server = await TestServer.start();
  await server.run("CONFIG", "SET", "maxmemory", "64mb");
  await using listener = new Listener(server, { queue: "queue" });
  listener.bus.registerHandler("custom", () => {});
  await listener.backend.start();
  const foreign = JSON.stringify({
    type: "event",
    target: "kitchen",
    args: { type: "custom", data: "x".repeat(8_000) },
  });
  for (let pushed = 0; pushed < 6_374; pushed += 200) {
    const count = Math.min(200, 6_374 - pushed);
    await server.run("RPUSH", "queue", ...Array(count).fill(foreign));
  }
  await until(
    () => listener.backend.stats().deadLettered === 6_374,
    "all are buried",
    120,
  );
  const bytes = await memoryOf(server, DEAD);
  assert.ok(bytes > 10 * MEBIBYTE && bytes <= 16 * MEBIBYTE, String(bytes));
  await server.run("SET", "others", "are not refused");
  const { lines } = listener.logger;
  assert.equal(lines.filter((line) => /more than 80 %/.test(line)).length, 1);
  // What became of them is told, but not one by one.
  for (const what of [/\(foreign\)/, /had to make room/]) {
    assert.equal(lines.filter((line) => what.test(line)).length, 1);
  }
  await using dead = listener.backend.deadLetters();
  await dead.purge("all");
  await server.run("RPUSH", "queue", foreign);
  await until(async () => await dead.count() === 1);
  await server.run("RPUSH", "queue", ...Array(2_000).fill(foreign));
  await until(() =>
    lines.filter((line) => /more than 80 %/.test(line)).length === 2
  );
});

Deno.test("Dead letters that are too old go", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", DEAD, letter("a", { age: 99 }));
  await server.run("RPUSH", DEAD, letter("b", { age: 61 }));
  await buryMany(server, 3);
  await using inbox = await open(server, { deadLetterAge: 60 });
  await until(async () => await server.run("LLEN", DEAD) === 3);
  assert.equal(inbox.stats().deadLettersLost, 2);
});

Deno.test("Dead letters of what is taken at most once keep to their limits", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, {
    delivery: "at-most-once",
    maxDeadLetterBytes: 100_000,
  });
  for (let round = 0; round < 20; round++) {
    await pushLarge(server, 10_000);
    const batch = await nextBatch(inbox);
    await batch!.settle([{ index: 0, reason: "failed", error }]);
  }
  const bytes = await memoryOf(server, DEAD);
  assert.ok(bytes > 50_000 && bytes <= 100_000, String(bytes));
});

// Of the small ones, a batch is asked for while the one before it is handed out.
for (const size of [2 ** 12, 2 ** 17]) {
  Deno.test(`Inbox takes no more messages of ${size} bytes than it may have in hand, and warns once`, async () => {
    await using server = await TestServer.start();
    const logger = new LineLogger();
    const texts = new Array<string>(4 * MEBIBYTE / size).fill("x".repeat(size));
    await server.run("RPUSH", "queue", ...texts);
    await using inbox = await open(server, { logger, maxMemory: MEBIBYTE });
    const batches = [];
    let bytes = 0;
    while (bytes < MEBIBYTE) {
      const batch = await nextBatch(inbox);
      batches.push(batch!);
      for (const { length } of batch!.payloads) bytes += length;
    }
    assert.ok(bytes < MEBIBYTE + 2 * size, String(bytes));
    const near = (): number =>
      logger.lines.filter((line) => /maxMemory: 1048576/.test(line)).length;
    assert.equal(near(), 1);
    for (const batch of batches) await batch.settle();
    await (await nextBatch(inbox))!.settle();
  });
}

Deno.test("What is given up after its last delivery is told of", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { logger, maxDeliveries: 1 });
  await server.run("RPUSH", "queue", "one");
  await (await nextBatch(inbox))!.settle([
    { index: 0, reason: "failed", error },
  ]);
  await logger.line(
    /^warn: A message of "queue" has become a dead letter \(failed\): cannot handle it\. `platypush-redis dead list` shows it\.$/,
  );
});

Deno.test("Inbox tells again of a message of more than half of `maxMemory` that the server has refused to settle", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "large".padEnd(0.7 * MEBIBYTE, "-"));
  const logger = new LineLogger();
  await using inbox = await open(server, { maxMemory: MEBIBYTE, logger });
  const batch = await nextBatch(inbox);
  await server.run("ACL", "SETUSER", "default", "-del");
  await batch!.settle();
  assert.equal(inbox.stats().inFlight, 0);
  await logger.line(/^error: Cannot read "queue" at .*NOPERM.*Trying again/);
  await server.run("ACL", "SETUSER", "default", "+del");
  await until(() => inbox.stats().acknowledged === 1, "it is told again", 20);
});

Deno.test("Inbox keeps no more than `maxMemory` of what the server refuses to settle, and goes on", async () => {
  await using server = await TestServer.start();
  const count = 20;
  for (let n = 0; n < count; n++) {
    await server.run("RPUSH", "queue", `${n}`.padEnd(MEBIBYTE / 8, "-"));
  }
  const logger = new LineLogger();
  await using inbox = await open(server, {
    batchSize: 1,
    heartbeatTimeout: 3600,
    maxMemory: MEBIBYTE,
    logger,
  });
  const batch = await nextBatch(inbox);
  await server.run("ACL", "SETUSER", "default", "-del");
  await batch!.settle();
  for (let n = 1; n < count; n++) await (await nextBatch(inbox))!.settle();
  await server.run("ACL", "SETUSER", "default", "+del");
  await inbox.stop();
  const { acknowledged } = inbox.stats();
  assert.ok(acknowledged > 3 && acknowledged <= 8, `${acknowledged}`);
  assert.match(
    logger.lines.join("\n"),
    new RegExp(`${count - acknowledged} messages of "queue" will be delivered`),
  );
  assert.equal(await server.run("LLEN", "queue"), count - acknowledged);
});
