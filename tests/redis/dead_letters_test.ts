import assert from "node:assert/strict";
import { DeadLetters, type FailureReason, Inbox } from "../../src/redis/mod.ts";
import { TestServer } from "../servers.ts";

/** Makes dead letters of these messages. */
async function bury(
  server: TestServer,
  messages: (string | Uint8Array)[],
): Promise<void> {
  await server.run("RPUSH", "queue", ...messages);
  await using inbox = await Inbox.open(server.args, { queue: "queue" });
  const batch = await inbox.next();
  await batch!.settle([...messages.keys()].map((index) => ({
    index,
    reason: "malformed" as FailureReason,
    error: new Error(`bad message ${index}`),
  })));
}

Deno.test("DeadLetters lists what could not be handled, byte for byte", async () => {
  await using server = await TestServer.start();
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  const bom = new Uint8Array([0xef, 0xbb, 0xbf, 0x61]);
  const messages = [bytes, "text ä\u0000", bom, ""];
  const before = Date.now() / 1000;
  await bury(server, messages);
  const letters = new DeadLetters(server.redis, "queue");
  const list = await letters.list();
  assert.equal(await letters.count(), 4);
  assert.deepEqual(
    list.map(({ payload }) => [...payload]),
    messages.map((message) => [
      ...(typeof message === "string"
        ? new TextEncoder().encode(message)
        : message),
    ]),
  );
  for (const [index, letter] of list.entries()) {
    assert.equal(letter.queue, "queue");
    assert.equal(letter.reason, "malformed");
    assert.equal(letter.error, `bad message ${index}`);
    assert.equal(letter.deliveries, 1);
    assert.ok(letter.time >= before && letter.time <= Date.now() / 1000);
  }
  const part = await letters.list(2, 1);
  assert.deepEqual(part, list.slice(1, 3));
});

Deno.test("DeadLetters requeues all or some", async () => {
  await using server = await TestServer.start();
  const messages = Array.from({ length: 250 }, (_, index) => `m${index}`);
  await bury(server, messages);
  const letters = new DeadLetters(server.redis, "queue");
  const [first, , third] = await letters.list();
  assert.equal(await letters.requeue([first!.id, third!.id, "unknown"]), 2);
  assert.deepEqual(await server.run("LRANGE", "queue", "0", "-1"), [
    "m0",
    "m2",
  ]);
  assert.equal(await letters.requeue(), 248);
  assert.equal(await letters.count(), 0);
  assert.equal(await server.run("LLEN", "queue"), 250);
  assert.equal(await server.run("LINDEX", "queue", "-1"), "m249");
});

Deno.test("DeadLetters requeues bytes that are no text, and empty messages", async () => {
  await using server = await TestServer.start();
  await bury(server, [new Uint8Array([255, 0, 128]), ""]);
  assert.equal(await new DeadLetters(server.redis, "queue").requeue(), 2);
  const [bytes, empty] = await server.redis.command<Uint8Array[]>(
    ["LRANGE", "queue", "0", "-1"],
    { bytes: true },
  );
  assert.deepEqual([...bytes!], [255, 0, 128]);
  assert.equal(empty!.byteLength, 0);
});

Deno.test("DeadLetters purges all or some", async () => {
  await using server = await TestServer.start();
  await bury(server, ["a", "b", "c"]);
  const letters = new DeadLetters(server.redis, "queue");
  const [, second] = await letters.list();
  assert.equal(await letters.purge([second!.id]), 1);
  assert.equal(await letters.purge(), 2);
  assert.deepEqual(await server.run("KEYS", "*"), []);
});
