import assert from "node:assert/strict";
import {
  Backend,
  Bus,
  Event,
  Message,
  RedisBackend,
  Request,
} from "../../mod.ts";
import { TestWorker } from "../bus/test_worker.ts";
import { Listener, privateBus, QUEUE } from "../listener.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { peerAt } from "./peer_at.ts";

const tick = (fields = {}): Event =>
  new Event({ args: { type: "custom.Tick" }, ...fields });

const devices = ({ target, origin }: Message): string[] => [target, origin];

Deno.test("A message that does not say whose it is belongs to the backend that receives it", async () => {
  class Clock extends Backend {
    override async loop(): Promise<void> {
      await this.onMessage(tick());
      await this.onMessage(tick({ origin: "sensor" }));
      await this.onMessage(tick({ target: "attic" }));
    }
  }
  await using clock = new Clock({ deviceId: "livingroom", pollSeconds: 60 });
  const seen: string[][] = [];
  clock.bus.registerHandler(Event, (event) => seen.push(devices(event)));
  await clock.start();
  await until(() => seen.length === 2);
  assert.deepEqual(seen, [["livingroom", "livingroom"], [
    "livingroom",
    "sensor",
  ]]);
});

Deno.test("A message that does not say whose it is belongs to the backend that sends it", async () => {
  await using server = await TestServer.start();
  const { args: redisArgs } = server;
  await using hall = new RedisBackend({ redisArgs, deviceId: "hall" });
  await using attic = new RedisBackend({ redisArgs, deviceId: "attic" });
  const event = tick();
  await hall.sendEvent(event, "events");
  await attic.sendEvent(event, "events");
  await attic.sendMessage([event, String(tick({ origin: "x" }))], "events");
  await attic.sendEvent(tick({ target: "hall" }), "events");
  // What was set afterwards is said.
  event.target = "cellar";
  await hall.sendEvent(event, "events");
  const sent = await server.run<string[]>("LRANGE", "events", "0", "-1");
  assert.deepEqual(sent.map((text) => devices(JSON.parse(text))), [
    ["hall", "hall"],
    ["attic", "attic"],
    ["attic", "attic"],
    [Deno.hostname(), "x"], // a text says what is in it
    ["hall", "attic"],
    ["cellar", "hall"],
  ]);
});

Deno.test("A message that does not say whose it is belongs to the peer that it is sent to", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  const peer = peerAt(port);
  await using backend = new RedisBackend({ deviceId: "hall" });
  const event = tick();
  const trust = "unproved" as const;
  await backend.sendTo(peer, event, { trust });
  await backend.sendTo({ ...peer, deviceId: "cellar" }, event, { trust });
  const sent = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  assert.deepEqual(sent.map((text) => devices(JSON.parse(text))), [
    ["kitchen", "hall"],
    ["cellar", "hall"],
  ]);
});

for (
  const [whose, options] of [
    ["a bus of its own", undefined],
    ["a bus that does not know", { name: crypto.randomUUID() }],
  ] as const
) {
  Deno.test(`A backend with ${whose} executes a request that does not say whose it is`, async () => {
    await using server = await TestServer.start();
    await using bus = options && new Bus(options);
    await using backend = new RedisBackend({
      redisArgs: server.args,
      deviceId: "livingroom",
      ...(bus && { bus }),
    });
    const origins: string[] = [];
    backend.registerAction("count", (_args, { origin }) => {
      return origins.push(origin);
    });
    await backend.start();
    const action = "count";
    await backend.bus.post(new Request({ action }));
    await backend.bus.post({ type: "request", action, target: null });
    await backend.bus.post(
      new TextEncoder().encode(`{"type": "request", "action": "count"}`),
    );
    const fields = await backend.sendRequest({ action });
    const given = await backend.sendRequest(new Request({ action }));
    assert.deepEqual([fields.output, given.output], [4, 5]);
    assert.deepEqual(new Set(origins), new Set(["livingroom"]));
  });
}

Deno.test("What comes to the queue and does not say whose it is belongs to that backend, whoever's the bus is", async () => {
  await using server = await TestServer.start();
  await using bus = new Bus({ name: crypto.randomUUID(), deviceId: "hall" });
  await using listener = new Listener(server, { bus, deviceId: "kitchen" });
  const seen: string[][] = [];
  bus.registerHandler(Event, (event) => seen.push(devices(event)));
  await listener.backend.start();
  await server.run(
    "RPUSH",
    QUEUE,
    `{"type": "event", "args": {"type": "custom.Tick"}}`,
    `{"type": "event", "args": {"type": "custom.Tick"}, "target": "hall"}`,
  );
  await until(() => listener.backend.stats().foreign === 1);
  assert.deepEqual(seen, [["kitchen", "kitchen"]]);
});

Deno.test("What a worker posts and does not say whose it is belongs to the device of the bus", async () => {
  await using bus = privateBus();
  using worker = new TestWorker("poster");
  await worker.tell({ do: "open", options: { name: bus.name } });
  const seen: string[][] = [];
  bus.registerHandler(Event, (event) => seen.push(devices(event)));
  await bus.ready();
  await worker.tell({ do: "post", from: "poster", count: 1, batch: 1 });
  assert.deepEqual(seen, [["livingroom", "livingroom"]]);
});
