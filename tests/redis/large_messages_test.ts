import assert from "node:assert/strict";
import { callsOf } from "../calls.ts";
import { TestServer } from "../servers.ts";
import { LineLogger } from "../line_logger.ts";
import { until } from "../until.ts";
import { handleAll, numbers, open } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const KIBIBYTE = 2 ** 10;
const MEBIBYTE = 2 ** 20;

/** The memory that the scripts' language has taken, in bytes. */
async function scriptMemory(server: TestServer): Promise<number> {
  const info = String(await server.run("INFO", "memory"));
  return Number(/used_memory_(?:vm_eval|lua):(\d+)/.exec(info)![1]);
}

Deno.test("Large messages come to a handler without passing through the scripts", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, {});
  // The scripts are there, and have the memory that they need.
  await server.run("RPUSH", "queue", ..."abc");
  for (let count = 0; count < 3;) {
    const batch = await nextBatch(inbox);
    count += batch!.payloads.length;
    await batch!.settle();
  }
  const before = await scriptMemory(server);
  const texts = Array.from({ length: 8 }, () => "x".repeat(MEBIBYTE));
  await server.run("RPUSH", "queue", ...texts);
  for (let count = 0; count < 8;) {
    const batch = await nextBatch(inbox);
    count += batch!.payloads.length;
    await batch!.settle();
    const grown = await scriptMemory(server) - before;
    assert.ok(grown < MEBIBYTE, `they have taken ${grown} bytes more`);
  }
});

Deno.test("Large messages come with the answer that moves them", async () => {
  await using server = await TestServer.start();
  const texts = new Array<string>(24).fill("x".repeat(MEBIBYTE));
  await server.run("RPUSH", "queue", ...texts);
  await using inbox = await open(server, {});
  for (let count = 0; count < texts.length;) {
    const batch = await nextBatch(inbox);
    count += batch!.payloads.length;
    await batch!.settle();
  }
  const reads = await callsOf(server, "lrange");
  assert.ok(reads < texts.length / 4, `${reads} were read afterwards`);
});

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`Large messages come in small batches (${delivery})`, async () => {
    await using server = await TestServer.start();
    const texts = new Array<string>(2000).fill("x".repeat(4 * KIBIBYTE));
    await server.run("RPUSH", "queue", ...texts);
    await using inbox = await open(server, { delivery, batchSize: 512 });
    let largest = 0;
    for (let count = 0; count < 2000;) {
      const batch = await nextBatch(inbox);
      count += batch!.payloads.length;
      const bytes = batch!.payloads
        .reduce((sum, { byteLength }) => sum + byteLength, 0);
      largest = Math.max(largest, bytes);
      await batch!.settle();
    }
    // As much as one comes to know of a fast link, and a quarter more.
    assert.ok(largest <= 1280 * KIBIBYTE, `a batch had ${largest} bytes`);
    assert.ok(largest >= 256 * KIBIBYTE, `no batch had more than ${largest}`);
  });
}

Deno.test("The next batch is asked for while one is dealt with that is full of bytes", async () => {
  await using server = await TestServer.start();
  const texts = new Array<string>(2000).fill("x".repeat(4 * KIBIBYTE));
  await server.run("RPUSH", "queue", ...texts);
  await using inbox = await open(server, { batchSize: 1000 });
  const batch = await nextBatch(inbox);
  assert.ok(batch!.payloads.length < 1000);
  const [batches] = await server.run<string[]>(
    "KEYS",
    "{queue}:processing:*.????????",
  );
  // One is handed out, one is offered, and one was asked for ahead.
  await until(async () => await server.run("HLEN", batches!) === 3);
  await batch!.settle();
});

Deno.test("A batch that breaks each connection comes in parts, and a message that does is read ever more rarely", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { logger });
  await server.run(
    "CONFIG",
    "SET",
    "client-output-buffer-limit",
    "normal 400000 0 0",
  );
  const small = numbers(60);
  const padding = " ".repeat(50_000);
  const texts = small.map((text) => text + padding);
  texts.splice(30, 0, "x".repeat(600_000));
  await server.run("RPUSH", "queue", ...texts);
  const handled = new Set<string>();
  const handling = handleAll(inbox, {
    add: (text) => handled.add(text.trim()),
  });
  await until(() => handled.size === small.length);
  assert.deepEqual([...handled].sort(), [...small].sort());
  await logger.line(/warn: .*breaks whenever a message of "queue" is read/);
  const statistics = String(await server.run("INFO", "stats"));
  const [, made] = /total_connections_received:(\d+)/.exec(statistics)!;
  assert.ok(Number(made) < 100, `it took ${made} connections`);
  // It is still there, for the time when it can be read.
  await inbox.stop(0);
  await handling;
  assert.deepEqual(await server.run("LLEN", "queue"), 1);
});

Deno.test("What several lost answers have left goes back in order where it is too much for the way", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, { heartbeatTimeout: 60 });
  const handled: string[] = [];
  const handling = handleAll(inbox, {
    add: (text) => handled.push(text.trim()),
  });
  const [consumer] = await server.run<string[]>("HKEYS", "{queue}:consumers");
  const hash = `{queue}:processing:${consumer}`;
  const padding = " ".repeat(10 * KIBIBYTE);
  // As what is moved for a connection that has just broken; more than fields that
  // a small hash would keep in their order.
  const count = 12;
  const empty = numbers(600, 1000).map((name) => name.slice(1));
  for (const number of empty) await server.run("HSET", hash, number, "?");
  for (let lost = 0; lost < count; lost++) {
    const texts = numbers(2, 2 * lost).map((text) => text + padding);
    const number = String(100 + lost);
    await server.run("HSET", hash, number, "?");
    await server.run("RPUSH", `${hash}:${number}`, ...texts);
  }
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await until(() => handled.length === 2 * count);
  assert.deepEqual(handled, numbers(2 * count));
  await inbox.stop();
  await handling;
});
