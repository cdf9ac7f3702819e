// deno-lint-ignore-file no-console
/**
 * What reading a queue costs beside the bare client, before anything is parsed
 * or handed to a bus: `deno run -A bench/redis_inbox.ts [messages]`.
 */
import { createClient, RESP_TYPES } from "@redis/client";
import {
  type Batch,
  Connection,
  Inbox,
  type InboxOptions,
  type RedisArgs,
  startRedis,
} from "../src/redis/mod.ts";
import { median, percentile, report, type Row } from "./report.ts";

const MESSAGES = Number(Deno.args[0] ?? 500_000);
const ROUNDS = 5;
const LATENCY_SAMPLES = 2000;
const MEMORY_MILLIONS = 5;
const QUEUE = "bench";

const EVENT = JSON.stringify({
  type: "event",
  target: "livingroom",
  origin: "livingroom",
  id: "0123456789abcdef0123456789abcdef",
  _timestamp: 1795450970.94,
  args: {
    type: "platypush.message.event.sensor.SensorDataChangeEvent",
    data: { temperature: 21.5, humidity: 48.25, text: "x".repeat(70) },
  },
});

/** Puts so many messages into the queue. */
async function fill(redis: Connection, count: number): Promise<void> {
  const thousand = new Array<string>(1000).fill(EVENT);
  for (let filled = 0; filled < count; filled += 1000) {
    await redis.command(["RPUSH", QUEUE, ...thousand.slice(0, count - filled)]);
  }
}

/** Pops as many messages with the bare client, the next request always under way. */
async function popBare(args: RedisArgs, count: number): Promise<void> {
  const client = createClient({
    socket: { path: args.unix_socket_path!, tls: false },
  });
  await client.connect();
  const pop = (): Promise<Uint8Array[] | null> =>
    client.sendCommand(["LPOP", QUEUE, "512"], {
      typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer },
    });
  let next = pop();
  for (let popped = 0; popped < count;) {
    const payloads = await next;
    next = pop();
    popped += payloads?.length ?? 0;
  }
  await next;
  client.destroy();
}

/** Reads as many messages with an inbox, and settles every batch. */
async function read(
  args: RedisArgs,
  count: number,
  delivery: NonNullable<InboxOptions["delivery"]>,
): Promise<void> {
  const inbox = await Inbox.open(args, { queue: QUEUE, delivery });
  for (let received = 0; received < count;) {
    const batch = await inbox.next();
    received += batch!.payloads.length;
    batch!.settle();
  }
  await inbox.stop();
}

async function rate(
  redis: Connection,
  run: () => Promise<void>,
): Promise<number> {
  await fill(redis, MESSAGES);
  const start = performance.now();
  await run();
  return MESSAGES / (performance.now() - start) * 1000;
}

/** Pushes one message at a time to an idle queue, and waits for it to come out. */
async function latencies(
  redis: Connection,
  next: () => Promise<Batch | undefined>,
): Promise<number[]> {
  const samples: number[] = [];
  for (let sample = 0; sample < LATENCY_SAMPLES; sample++) {
    const received = next();
    // Long enough for the request to block on the server.
    await new Promise((resolve) => setTimeout(resolve, 1));
    const start = performance.now();
    const pushed = redis.command(["RPUSH", QUEUE, EVENT]);
    const batch = await received;
    samples.push(performance.now() - start);
    await Promise.all([pushed, batch?.settle()]);
  }
  return samples;
}

await using server = await startRedis();
const args = server.redisArgs;
await using redis = await Connection.connect(args);
const rates = { bare: [0], most: [0], least: [0] };
for (const list of Object.values(rates)) list.pop();
for (let round = 0; round < ROUNDS; round++) {
  rates.bare.push(await rate(redis, () => popBare(args, MESSAGES)));
  rates.most.push(
    await rate(redis, () => read(args, MESSAGES, "at-most-once")),
  );
  rates.least.push(
    await rate(redis, () => read(args, MESSAGES, "at-least-once")),
  );
}
const [bare, most, least] = [rates.bare, rates.most, rates.least].map(median);

await using blocking = await Connection.connect(args);
const blpop = await latencies(
  redis,
  async () => {
    await blocking.command(["BLPOP", QUEUE, "1"], { block: 1 });
    return undefined;
  },
);
await using inbox = await Inbox.open(args, { queue: QUEUE });
const inboxLatencies = await latencies(redis, () => inbox.next());
await inbox.stop();

const memory: number[] = [];
for (let million = 0; million < MEMORY_MILLIONS; million++) {
  await fill(redis, 1_000_000);
  await read(args, 1_000_000, "at-least-once");
  memory.push(Deno.memoryUsage().rss / 2 ** 20);
  console.error(`${million + 1} million messages read`, memory.at(-1));
}

const unit = "messages/s";
const rows: Row[] = [
  { what: "bare client, LPOP of 512, unparsed", value: bare!, unit },
  {
    what: "inbox, at most once",
    value: most!,
    unit,
    ratio: { to: "bare client", value: most! / bare! },
  },
  {
    what: "inbox, at least once",
    value: least!,
    unit,
    ratio: { to: "at most once", value: least! / most! },
  },
  { what: "BLPOP, median", value: median(blpop) * 1000, unit: "µs" },
  { what: "BLPOP, 99 %", value: percentile(blpop, 0.99) * 1000, unit: "µs" },
  {
    what: "inbox at least once, median",
    value: median(inboxLatencies) * 1000,
    unit: "µs",
    ratio: { to: "BLPOP", value: median(inboxLatencies) / median(blpop) },
  },
  {
    what: "inbox at least once, 99 %",
    value: percentile(inboxLatencies, 0.99) * 1000,
    unit: "µs",
  },
  {
    what: `memory after ${MEMORY_MILLIONS} million messages`,
    value: memory.at(-1)!,
    unit: "MiB",
    ratio: { to: "after the first", value: memory.at(-1)! / memory[0]! },
  },
];
await report("redis_inbox", rows, { redis: redis.version });
