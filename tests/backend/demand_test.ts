import assert from "node:assert/strict";
import { Bus, type Event, Inbox } from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const MESSAGE = JSON.stringify({
  type: "event",
  target: "livingroom",
  args: { type: "custom.Count" },
});

/** Takes the only message, as another consumer can where nobody has it. */
async function takeOne(server: TestServer): Promise<void> {
  await using inbox = await Inbox.open(server.args, { queue: QUEUE });
  const batch = await inTime(inbox.next(), "the message");
  assert.deepEqual(batch!.deliveries, [0]);
  await batch!.settle();
}

Deno.test("RedisBackend waits for the first subscriber", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { subscriberGrace: Infinity });
  await server.run("RPUSH", QUEUE, MESSAGE);
  await listener.backend.start();
  await takeOne(server);
  assert.equal(listener.backend.stats().received, 0);
  await server.run("RPUSH", QUEUE, MESSAGE);
  const [message] = await Promise.all([
    listener.bus.get(),
    listener.logger.line(/info: The bus has a subscriber: consuming/),
  ]);
  assert.equal((message as Event).args.type, "custom.Count");
  await listener.bus.get(0);
});

Deno.test("RedisBackend consumes for plain listeners after the grace time", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { subscriberGrace: 0.05 });
  const channel = new BroadcastChannel(listener.bus.name);
  const arrived = Promise.withResolvers<MessageEvent>();
  channel.onmessage = arrived.resolve;
  await server.run("RPUSH", QUEUE, MESSAGE);
  await listener.backend.start();
  const { data } = await arrived.promise;
  assert.deepEqual(data.args, { type: "custom.Count" });
  await listener.logger.line(/warn: .* no subscriber yet: consuming for plain/);
  channel.close();
});

Deno.test("RedisBackend pauses when the last subscriber has left, and goes on with the next", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { subscriberGrace: 0 });
  const arrived = Promise.withResolvers<void>();
  const leave = listener.bus.registerHandler(
    "custom.Count",
    () => arrived.resolve(),
  );
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, MESSAGE);
  await arrived.promise;
  await until(() => listener.backend.stats().delivered === 1);
  leave();
  await listener.logger.line(/info: The last subscriber has left the bus/);
  await server.run("RPUSH", QUEUE, MESSAGE);
  await takeOne(server);
  assert.equal(listener.backend.stats().received, 1);
  await server.run("RPUSH", QUEUE, MESSAGE, MESSAGE);
  await using again = new Bus({ name: listener.bus.name });
  let count = 0;
  const both = Promise.withResolvers<void>();
  again.registerHandler("custom.Count", () => {
    if (++count === 2) both.resolve();
  });
  await both.promise;
  assert.deepEqual(
    listener.logger.lines.filter((line) => /consuming/.test(line)).length,
    3,
  );
});
