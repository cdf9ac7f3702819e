import assert from "node:assert/strict";
import fc from "fast-check";
import { Bus, Event } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { until } from "../until.ts";
import { TestWorker } from "./test_worker.ts";
import { events, open } from "./worker_buses.ts";

const memory = new SharedArrayBuffer(64);

/** What looks more or less like what buses send each other. */
const rubbish = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(undefined, new Uint8Array(3), memory, new Date(0)),
  fc.record({
    kind: fc.constantFrom("hello", "welcome", "offer", "leave", "beat", 7),
    from: fc.oneof(fc.string(), fc.constant(undefined)),
    to: fc.oneof(fc.string(), fc.constant(null)),
    roster: fc.constantFrom(memory, new SharedArrayBuffer(0), {}, null),
    anchored: fc.constantFrom(true, "yes"),
    memory: fc.constantFrom(
      null,
      {},
      { use: 1, data: memory, reports: memory, work: memory },
      { use: NaN, data: [], reports: "", work: 0 },
    ),
  }),
);

Deno.test("Bus passes over rubbish on its control channel, counts it, and goes on", async () => {
  await using bus = open();
  using worker = await TestWorker.listening("worker", bus);
  const channel = new BroadcastChannel(`${bus.name}#control`);
  let sent = 0;
  const post = (data: unknown): void => {
    channel.postMessage(data);
    sent++;
  };
  for (const data of [null, undefined, 0, "", [], {}, { kind: "hello" }]) {
    post(data);
  }
  for (const data of fc.sample(rubbish, 100)) post(data);
  await until(() => bus.stats().ignored === sent, "all of it is counted");
  await bus.post(events(3));
  await inTime(bus.flush(), "the worker handles what is posted");
  assert.deepEqual((await worker.seen()).counts, { main: 3 });
  channel.close();
});

Deno.test("A worker that posts rubbish on the control channel does not end the process", async () => {
  await using bus = open();
  const arrived = Promise.withResolvers<void>();
  bus.registerHandler(Event, () => arrived.resolve());
  await bus.ready();
  const source = `
    new BroadcastChannel(${JSON.stringify(`${bus.name}#control`)})
      .postMessage(null);`;
  const worker = new Worker(
    `data:text/javascript,${encodeURIComponent(source)}`,
    { type: "module" },
  );
  await until(() => bus.stats().ignored === 1);
  worker.terminate();
  await bus.post(events(1));
  await inTime(arrived.promise, "the event");
});

Deno.test("Bus says that another version of it is there, with whose memory it can do nothing", async () => {
  const name = `test/${crypto.randomUUID()}`;
  // The other version has the bus, and answers whoever is new.
  const { promise: isOver, resolve: leave } = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const left = locks.request(`${name}#keeper`, () => {
    held.resolve();
    return isOver;
  });
  await held.promise;
  const other = new BroadcastChannel(`${name}#control`);
  other.onmessage = ({ data: { kind, from } }) => {
    if (kind !== "hello") return;
    other.postMessage({
      kind: "welcome",
      to: from,
      roster: memory,
      anchored: true,
    });
  };
  const logger = new LineLogger();
  await using bus = new Bus({
    name,
    deviceId: "hall",
    logger,
    stallTimeout: 1e6,
  });
  const refusal =
    /Cannot join the bus "test.*": another version of this module is on it, .*import the same one/;
  await inTime(assert.rejects(bus.ready(), refusal), "the reason");
  await assert.rejects(bus.post(events(1)), refusal);
  assert.match(
    logger.lines.join("\n"),
    new RegExp(`^error: ${refusal.source}`),
  );
  other.close();
  leave();
  await left;
});

const { locks } = navigator as unknown as {
  locks: {
    request(name: string, held: () => Promise<void>): Promise<void>;
  };
};
