/**
 * Two shapes of the core side by side, with ours and the bare client: lists
 * made lean (`shapes/lists.ts`), and a list as the door to a stream with a
 * consumer group (`shapes/streams.ts`). `docs/architecture.md` says what came
 * of it.
 *
 *     deno task bench:shapes [rounds]
 *
 * Each figure comes from a process of its own, in alternating rounds; Redis'
 * processor time is without what pushing costs. `shapes/cases.ts` has what each
 * shape survives.
 */
import { startRedis } from "../src/redis/mod.ts";
import { report, type Row, Series } from "./report.ts";
import { sensorEvent } from "./sensor_event.ts";
import { Consumer } from "./shapes/process.ts";
import { rest, Wire } from "./shapes/shape.ts";

const ROUNDS = Number(Deno.args[0] ?? 3);
const SHAPES = ["lists", "streams", "ours", "bare"] as const;
const BACKLOG = 200_000;
const LARGE = 4_000;
const PACED = 3_000;
const REST = 20;
const QUEUE = "shapes";

function event(size: number): string {
  const text = JSON.stringify(sensorEvent({ text: "" }));
  return JSON.stringify(
    sensorEvent({ text: "x".repeat(size - text.length) }),
  );
}
const SMALL = event(330);

await using server = await startRedis();
const path = server.redisArgs.unix_socket_path!;
// It sends nothing by itself, so that commands at rest are the consumer's.
const redis = new Wire({ path });
await redis.connect();

async function fill(text: string, count: number): Promise<void> {
  const some = new Array<string>(Math.min(count, 2 ** 22 / text.length | 0))
    .fill(text);
  for (let filled = 0; filled < count; filled += some.length) {
    await redis.run("RPUSH", QUEUE, ...some.slice(0, count - filled));
  }
}

/** How many commands the server has run so far, those within scripts too. */
async function commands(): Promise<number> {
  const text = String(await redis.run("INFO", "commandstats"));
  let commands = 0;
  for (const [, name, calls] of text.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)) {
    if (name !== "rpush" && name !== "info") commands += Number(calls);
  }
  return commands;
}

/** The server's processor time so far, in microseconds. */
async function cpu(): Promise<number> {
  const text = String(await redis.run("INFO", "cpu"));
  const of = (name: string): number =>
    Number(new RegExp(`${name}:([\\d.]+)`).exec(text)![1]);
  return (of("used_cpu_user") + of("used_cpu_sys")) * 1e6;
}

async function drain(shape: string, text: string, count: number): Promise<
  { rate: number; cpu: number }
> {
  await redis.run("FLUSHALL");
  await fill(text, count);
  const before = await cpu();
  await using consumer = await Consumer.start({
    shape,
    path,
    queue: QUEUE,
    count,
  });
  const milliseconds = Number((await consumer.hear(/done (\S+)/))[1]);
  await consumer.stop();
  return {
    rate: count / milliseconds * 1000,
    cpu: (await cpu() - before) / count,
  };
}

/** A message each millisecond: processor times and commands a message. */
async function pace(shape: string): Promise<
  { consumer: number; redis: number; commands: number }
> {
  await redis.run("FLUSHALL");
  const push = async (count: number): Promise<void> => {
    const start = performance.now();
    for (let pushed = 0; pushed < count;) {
      const due = Math.min(performance.now() - start, count);
      for (; pushed < due; pushed++) {
        void redis.run("RPUSH", QUEUE, SMALL);
      }
      await rest(1);
    }
  };
  let quiet = await cpu();
  await push(PACED);
  quiet = await cpu() - quiet;
  await redis.run("FLUSHALL");
  await using consumer = await Consumer.start({ shape, path, queue: QUEUE });
  await push(PACED / 3);
  await rest(500);
  const before = [await consumer.cpu(), await cpu(), await commands()];
  await push(PACED);
  await rest(500);
  const after = [await consumer.cpu(), await cpu(), await commands()];
  const [used, redisUsed, sent] = after.map((value, at) => value - before[at]!);
  return {
    consumer: used! * 1000 / PACED,
    redis: (redisUsed! - quiet) / PACED,
    commands: sent! / PACED,
  };
}

/** A minute without a message, from a third of one. */
async function rested(
  shape: string,
): Promise<{ commands: number; cpu: number }> {
  await redis.run("FLUSHALL");
  await using consumer = await Consumer.start({ shape, path, queue: QUEUE });
  await rest(2000);
  const before = [await consumer.cpu(), await commands()];
  await rest(REST * 1000);
  const after = [await consumer.cpu(), await commands()];
  return {
    cpu: (after[0]! - before[0]!) * 60 / REST,
    commands: (after[1]! - before[1]!) * 60 / REST,
  };
}

const series = new Series();
const units: Record<string, string> = {};
async function add(what: string, unit: string, value: number): Promise<void> {
  units[what] = unit;
  await series.measure(what, () => Promise.resolve(value));
}

for (let round = 0; round < ROUNDS; round++) {
  for (const shape of SHAPES) {
    const small = await drain(shape, SMALL, BACKLOG);
    await add(`${shape}: backlog of 330 bytes`, "messages/s", small.rate);
    await add(`${shape}: … Redis`, "µs/message", small.cpu);
    const large = await drain(shape, event(65536), LARGE);
    await add(`${shape}: backlog of 64 KiB`, "messages/s", large.rate);
    await add(`${shape}: … of 64 KiB, Redis`, "µs/message", large.cpu);
    const paced = await pace(shape);
    await add(`${shape}: 1,000/s, consumer`, "µs/message", paced.consumer);
    await add(`${shape}: 1,000/s, Redis`, "µs/message", paced.redis);
    await add(`${shape}: 1,000/s, commands`, "/message", paced.commands);
    if (round > 0) continue;
    const idle = await rested(shape);
    await add(`${shape}: idle, commands`, "/min", idle.commands);
    await add(`${shape}: idle, consumer`, "ms/min", idle.cpu);
  }
}
const [, version] = /redis_version:(\S+)/.exec(
  String(await redis.run("INFO", "server")),
)!;
redis.close();
await report(
  "shapes",
  Object.entries(units).map(([what, unit]): Row => {
    const [shape, rest] = what.split(": ");
    const ours = series.median(`ours: ${rest}`);
    const value = series.median(what);
    return {
      what,
      value,
      unit,
      ...(shape !== "ours" && { ratio: { to: "ours", value: value / ours } }),
    };
  }),
  { redis: version! },
);
