/**
 * The bus from one thread into others, beside what Deno offers for it: the
 * `BroadcastChannel`, with each frame acknowledged so that none is lost, and
 * `Worker.postMessage`, which knows no backpressure; and beside shared memory by
 * hand, which tells nobody what became of a message.
 *
 *     deno task bench:bus [batches]
 *
 * All carry the same events of 330 bytes, in batches of 256, and the receiver
 * builds the messages. The rounds of the contenders alternate.
 */
import { Bus, type MessageInput } from "../src/bus/mod.ts";
import { Mailbox } from "./mailbox.ts";
import { Receiver } from "./receiver.ts";
import { Comparison, type Goal, median, percentile, report } from "./report.ts";
import { CLIMATE, sensorEvent } from "./sensor_event.ts";

const ROUNDS = 5;
const BATCH = 256;
const MANY = 60;
const BATCHES = Number(Deno.args[0] ?? 4000);
const MESSAGES = BATCHES * BATCH;
/** The acknowledged channel is so slow that fewer have to do. */
const CHANNEL_MESSAGES = Math.ceil(BATCHES / 5) * BATCH;

const encoder = new TextEncoder();
let names = 0;

/** Batches are made beforehand and sent again and again, numbered from 0 to this. */
const POOL = 64 * BATCH;

const objects = Array.from(
  { length: POOL / BATCH },
  (_, batch) =>
    Array.from(
      { length: BATCH },
      (_, i) => sensorEvent({ n: batch * BATCH + i, ...CLIMATE }),
    ),
);
const bytes = objects.map((batch) =>
  batch.map((event) => encoder.encode(JSON.stringify(event)))
);

/** Large ones, each a text of 64 KiB. */
const large = Array.from({ length: 8 }, (_, batch) =>
  Array.from(
    { length: BATCH },
    (_, i) => sensorEvent({ n: batch * BATCH + i, text: "x".repeat(2 ** 16) }),
  ));

function* batches<T>(pool: readonly T[], count: number): Generator<T> {
  for (let n = 0; n < count; n += BATCH) {
    yield pool[n / BATCH % pool.length]!;
  }
}

async function onBus<T>(
  workers: number,
  run: (bus: Bus, receivers: Receiver[]) => Promise<T>,
  plain = false,
): Promise<T> {
  await using bus = new Bus({ name: `bench/bus/${names++}`, plain });
  const receivers = Array.from({ length: workers }, () => new Receiver());
  for (const receiver of receivers) {
    await receiver.tell({ do: "bus", name: bus.name });
  }
  try {
    return await run(bus, receivers);
  } finally {
    for (const receiver of receivers) receiver[Symbol.dispose]();
  }
}

/** Messages a second of what happens until it is over. */
async function rate(
  messages: number,
  run: () => Promise<void>,
): Promise<number> {
  const start = performance.now();
  await run();
  return messages / (performance.now() - start) * 1000;
}

async function busRate(
  workers: number,
  pool: readonly (readonly MessageInput[])[],
  { messages = MESSAGES, plain = false } = {},
): Promise<number> {
  return await onBus(workers, async (bus, receivers) => {
    const result = await rate(messages, async () => {
      for (const batch of batches(pool, messages)) await bus.post(batch);
      await bus.flush();
    });
    for (const receiver of receivers) await receiver.check(messages);
    return result;
  }, plain);
}

/** The rate of large ones, with plain listeners in mind or without. */
async function largeRate(plain: boolean): Promise<number> {
  return await busRate(1, large, { messages: large.length * BATCH, plain });
}

/** Milliseconds until a post has arrived in sixty workers, idle before. */
async function everywhere(): Promise<number[]> {
  return await onBus(MANY, async (bus) => {
    const times: number[] = [];
    for (let n = 0; n < 20; n++) {
      const start = performance.now();
      await bus.post(sensorEvent({ n, ...CLIMATE }));
      await bus.flush();
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return times;
  });
}

async function workerRate(workers: number): Promise<number> {
  const receivers = Array.from({ length: workers }, () => new Receiver());
  for (const receiver of receivers) await receiver.tell({ do: "ping" });
  const result = await rate(MESSAGES, async () => {
    for (const batch of batches(objects, MESSAGES)) {
      for (const { worker } of receivers) worker.postMessage(batch);
    }
    await Promise.all(
      receivers.map((receiver) => receiver.tell({ do: "ping" })),
    );
  });
  for (const receiver of receivers) {
    await receiver.check(MESSAGES);
    receiver[Symbol.dispose]();
  }
  return result;
}

async function mailRate(): Promise<number> {
  using receiver = new Receiver();
  const mailboxes = [new Mailbox(), new Mailbox()];
  const memory = mailboxes.map(({ buffer }) => buffer);
  await receiver.tell({ do: "mail", memory });
  let n = 0;
  const result = await rate(MESSAGES, async () => {
    for (const batch of batches(objects, MESSAGES)) {
      await mailboxes[n++ % 2]!.write(batch);
    }
    for (const mailbox of mailboxes) await mailbox.isRead();
    await receiver.tell({ do: "ping" });
  });
  await receiver.check(MESSAGES);
  return result;
}

async function channelRate(): Promise<number> {
  using receiver = new Receiver();
  const name = `bench/channel/${names++}`;
  await receiver.tell({ do: "channel", name });
  const channel = new BroadcastChannel(name);
  const result = await rate(CHANNEL_MESSAGES, async () => {
    for (const batch of batches(objects, CHANNEL_MESSAGES)) {
      const acknowledged = new Promise((resolve) => {
        channel.onmessage = resolve;
      });
      channel.postMessage(batch);
      await acknowledged;
    }
  });
  channel.close();
  await receiver.check(CHANNEL_MESSAGES);
  return result;
}

/** One worker, which stands still three times while other channels are flooded. */
async function disturbedRate(): Promise<number> {
  return await onBus(1, async (bus, [receiver]) => {
    const other = new BroadcastChannel(`bench/other/${names++}`);
    let n = 0;
    let sent = 0;
    const result = await rate(MESSAGES, async () => {
      for (const batch of batches(objects, MESSAGES)) {
        if (n++ % 1200 === 600) {
          await receiver!.tell({ do: "block", seconds: 1 });
        }
        const due = Math.ceil(100_000 * n * BATCH / MESSAGES);
        for (; sent < due; sent++) other.postMessage(sent);
        await bus.post(batch);
      }
      await bus.flush();
    });
    other.close();
    await receiver!.check(MESSAGES);
    return result;
  });
}

const PINGS = 2000;

/** Milliseconds from a post to the answer of the worker, on an idle bus. */
async function busLatencies(): Promise<number[]> {
  return await onBus(1, async (bus, [receiver]) => {
    await receiver!.tell({ do: "echo" });
    let pong = (): void => {};
    bus.registerHandler("bench.Pong", () => pong());
    await bus.ready();
    const latencies = [];
    for (let i = 0; i < PINGS; i++) {
      const answered = new Promise<void>((resolve) => pong = resolve);
      const start = performance.now();
      bus.post({ type: "event", target: "-", args: { type: "bench.Ping" } });
      await answered;
      latencies.push(performance.now() - start);
    }
    return latencies;
  });
}

async function workerLatencies(): Promise<number[]> {
  using receiver = new Receiver();
  await receiver.tell({ do: "ping" });
  const latencies = [];
  for (let i = 0; i < PINGS; i++) {
    const start = performance.now();
    await receiver.tell({ do: "ping" });
    latencies.push(performance.now() - start);
  }
  return latencies;
}

async function mailLatencies(): Promise<number[]> {
  using receiver = new Receiver();
  const mailboxes = [new Mailbox(), new Mailbox()];
  const memory = mailboxes.map(({ buffer }) => buffer);
  await receiver.tell({ do: "echo mail", memory });
  const [there, back] = mailboxes;
  const latencies = [];
  for (let i = 0; i < PINGS; i++) {
    const start = performance.now();
    await there!.write(sensorEvent({ n: i }));
    await back!.read();
    latencies.push(performance.now() - start);
  }
  return latencies;
}

/** By how many MiB the process grows while a subscriber stands still under full load. */
async function growth(): Promise<number> {
  return await onBus(1, async (bus, [receiver]) => {
    for (const batch of batches(objects, 16 * POOL)) await bus.post(batch);
    await bus.flush();
    const before = Deno.memoryUsage().rss;
    let most = 0;
    await receiver!.tell({ do: "block", seconds: 10 });
    const timer = setInterval(() => {
      most = Math.max(most, Deno.memoryUsage().rss - before);
    }, 100);
    for (const batch of batches(objects, 16 * POOL)) await bus.post(batch);
    await bus.flush();
    clearInterval(timer);
    await receiver!.check(32 * POOL);
    return most / 2 ** 20;
  });
}

const WORKER = "Worker.postMessage";
const MAIL = "shared memory by hand";
const CHANNEL = "BroadcastChannel, acknowledged";
const BYTES = "ours, posted as bytes";
const NOT_PLAIN = "ours, plain: false";
const ONE = "to a worker";
const THREE = "to 3 workers, each gets all";
const LARGE = "to a worker, 64 KiB";
const GROWTH = "growth of memory while a subscriber stands still for 10 s";

/** What is asked for. */
function goalsOf(contender: string, measure: string): readonly Goal[] {
  switch (measure) {
    case ONE:
      return [
        { to: WORKER, ratio: "≥ 0.7" },
        ...(contender.startsWith("ours")
          ? [{ to: CHANNEL, ratio: "≥ 5" }]
          : []),
      ];
    case LARGE:
      return [{ to: NOT_PLAIN }];
    case "there and back, median":
      return [{ to: WORKER, ratio: "≤ 2" }];
    case GROWTH:
      return [{ figure: "≤ 64" }];
    default:
      return [{ to: WORKER }];
  }
}

const comparison = new Comparison();
const add = (
  contender: string,
  measure: string,
  values: number | number[],
  unit = "messages/s",
): void => comparison.add(contender, measure, values, unit);

for (let round = 0; round < ROUNDS; round++) {
  add("ours", ONE, await busRate(1, objects));
  add(BYTES, ONE, await busRate(1, bytes));
  add(WORKER, ONE, await workerRate(1));
  add(MAIL, ONE, await mailRate());
  add(CHANNEL, ONE, await channelRate());
  add("ours", THREE, await busRate(3, objects));
  add(WORKER, THREE, await workerRate(3));
  add("ours", LARGE, await largeRate(true));
  add(NOT_PLAIN, LARGE, await largeRate(false));
}
add(
  "ours",
  "to a worker, blocked 3 × 1 s, 100,000 unrelated frames: all arrived",
  await disturbedRate(),
);
const all = await everywhere();
add("ours", `to ${MANY} workers at rest, until all have it`, all, "ms");

const pings: Record<string, number[]> = { ours: [], [WORKER]: [], [MAIL]: [] };
for (let round = 0; round < ROUNDS; round++) {
  pings.ours!.push(...await busLatencies());
  pings[WORKER]!.push(...await workerLatencies());
  pings[MAIL]!.push(...await mailLatencies());
}
for (const [name, times] of Object.entries(pings)) {
  const whole = "there and back";
  add(name, `${whole}, median`, median(times) * 1000, "µs");
  const most = percentile(times, 0.99) * 1000;
  add(name, `${whole}, 99th percentile`, most, "µs");
}
add("ours", GROWTH, await growth(), "MiB");
await report("bus", comparison.rows(goalsOf));
