import assert from "node:assert/strict";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { numbers, open } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

/** Writes until the server has thrown all heartbeats away. */
async function evictHeartbeats(server: TestServer): Promise<void> {
  const facts = String(await server.run("INFO", "memory"));
  const used = Number(/^used_memory:(\d+)/m.exec(facts)![1]);
  await server.run("CONFIG", "SET", "maxmemory", String(used + 2 ** 20));
  const text = "x".repeat(10_000);
  for (let count = 0;; count++) {
    const keys = await server.run("KEYS", "*:consumer:*") as string[];
    if (keys.length === 0) break;
    // Without room, the write itself is refused.
    await server.run("SET", `cache:${count}`, text, "EX", "3600")
      .catch(() => {});
  }
  await server.run("CONFIG", "SET", "maxmemory", String(2 ** 30));
}

Deno.test("Inbox warns at its start of a server that throws whole queues away", async () => {
  await using server = await TestServer.start({
    config: ["maxmemory 1gb", "maxmemory-policy allkeys-lru"],
  });
  const logger = new LineLogger();
  await using _inbox = await open(server, { logger });
  await logger.line(
    /^warn: .* throws whole queues away \(maxmemory-policy allkeys-lru\): set that to noeviction\./,
  );
});

Deno.test("Inbox says once why heartbeats are missing, and how much it settles too late", async () => {
  await using server = await TestServer.start({
    config: ["maxmemory-policy volatile-ttl"],
  });
  const logger = new LineLogger();
  await using inbox = await open(server, {
    logger,
    batchSize: 1,
    heartbeatTimeout: 60,
  });
  await server.run("RPUSH", "queue", ...numbers(5));
  const held = [];
  while (held.length < 5) held.push((await nextBatch(inbox))!);
  await evictHeartbeats(server);
  // It takes the first one for dead when it starts.
  await using _other = await open(server, { paused: true });
  for (const batch of held) await batch.settle();
  await logger.line(
    /^warn: .* throws heartbeats away, .* \(maxmemory-policy volatile-ttl\)/,
  );
  const late = logger.lines.filter((line) => /too late/.test(line));
  assert.deepEqual(late.length, 1, late.join("\n"));
  // What had been handled does not come again.
  assert.equal(await server.run("LLEN", "queue"), 0);
});
