import assert from "node:assert/strict";
import fc from "fast-check";
import { RedisBackend } from "../../src/backend/mod.ts";
import { Bus, Event } from "../../src/bus/mod.ts";
import { DeadLetters } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";

const BAD = 10_000;
const encoder = new TextEncoder();
const good = (n: number): string =>
  JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom.Number", n },
  });
const text = (value: string): Uint8Array => encoder.encode(value);

/** A message, and what may be wrong with it. */
const bad: fc.Arbitrary<Uint8Array> = fc.oneof(
  // Invalid UTF-8, inside what would be a message.
  fc.uint8Array({ min: 0xf8, max: 0xff, minLength: 1, maxLength: 20 })
    .map((bytes) => new Uint8Array([...text(good(0)), ...bytes])),
  // Truncated.
  fc.nat(good(0).length - 2).map((length) => text(good(0).slice(0, length))),
  // Too deep.
  fc.integer({ min: 201, max: 2000 }).map((depth) =>
    text(`{"type":"event","args":${"[".repeat(depth)}${"]".repeat(depth)}}`)
  ),
  fc.nat().map((n) =>
    text(`{"type":"event","args":{"type":"x","__proto__":{"polluted":${n}}}}`)
  ),
  // Wrong types, and what is no object.
  fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.constant(null))
    .map((args) => text(JSON.stringify({ type: "event", args }))),
  fc.oneof(fc.integer(), fc.string(), fc.constant(null)).map((type) =>
    text(JSON.stringify({ type, args: { type: "x" } }))
  ),
  fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 5 })
    .map((list) => text(JSON.stringify(list))),
  // Numbers alone, however large.
  fc.integer({ min: 300, max: 4000 }).map((zeros) =>
    text(`1${"0".repeat(zeros)}`)
  ),
  fc.constant(new Uint8Array(20)),
);

Deno.test("Rubbish becomes dead letters, and what is good in between is handled", async () => {
  await using server = await TestServer.start();
  const payloads = fc.sample(bad, { numRuns: BAD - 2, seed: 11 });
  const huge = text(
    `{"type":"event","args":{"type":"x","data":"${"x".repeat(9e6)}"}}`,
  );
  payloads.splice(3000, 0, huge);
  payloads.splice(7000, 0, huge);
  assert.equal(payloads.length, BAD);
  const goods = BAD / 10;
  for (let n = 0; n < goods; n++) {
    const rubbish = payloads.slice(n * 10, n * 10 + 10);
    await server.run("RPUSH", "queue", ...rubbish, good(n));
  }
  const handled: unknown[] = [];
  const done = Promise.withResolvers<void>();
  await using bus = new Bus({ name: "test/rubbish", plain: false });
  bus.registerHandler(Event, ({ args }) => {
    handled.push(args.n);
    if (handled.length === goods) done.resolve();
  });
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "queue",
    deviceId: "livingroom",
    bus,
    // Two of them have 9 MB each.
    maxDeadLetterBytes: 64 * 2 ** 20,
    logger: new LineLogger(),
  });
  await backend.start();
  await inTime(done.promise, "every good message is handled");
  await backend.stop();
  assert.deepEqual(handled, Array.from({ length: goods }, (_, n) => n));
  assert.equal(await server.run("LLEN", "queue"), 0);
  assert.equal(await server.run("LLEN", "{queue}:dead"), BAD);
  assert.equal(backend.stats().inFlight, 0);
  assert.equal(backend.stats().malformed, BAD);
  await using letters = new DeadLetters(server.args, { queue: "queue" });
  const list = await Array.fromAsync(letters.list());
  assert.ok(list.every(({ error }) => error !== ""));
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});
