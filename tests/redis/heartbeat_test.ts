import assert from "node:assert/strict";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { open, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

/** Far more than a test takes: no timer goes off, and no heartbeat expires. */
const HEARTBEAT_TIMEOUT = 10_000;

/** Reads the heartbeat of the only consumer of the queue. */
async function beat(server: TestServer): Promise<string> {
  const [key] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  return await server.run("GET", key!);
}

/** Lets `performance.now()` tell a later time until the end of the block. */
function later(seconds: number): Disposable {
  const { now } = performance;
  performance.now = () => now.call(performance) + seconds * 1000;
  return { [Symbol.dispose]: () => void (performance.now = now) };
}

Deno.test("A heartbeat that is due soon goes along with a message", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, {
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
  });
  const handle = async (text: string): Promise<void> => {
    await server.run("RPUSH", "queue", text);
    const batch = await nextBatch(inbox);
    assert.deepEqual(texts(batch), [text]);
    await batch!.settle();
  };
  const first = await beat(server);
  await handle("too early");
  // The next wait has begun when the list of this message is used again.
  await handle("still too early");
  assert.equal(await beat(server), first);
  using _ = later(0.4 * HEARTBEAT_TIMEOUT);
  await handle("early enough");
  await until(async () => await beat(server) !== first);
  const second = await beat(server);
  await handle("too early again");
  await handle("and once more");
  assert.equal(await beat(server), second);
});
