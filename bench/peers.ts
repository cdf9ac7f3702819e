/**
 * What a queue costs at home, beside other ways to have one: a minute in which
 * nothing happens, and one with a message a second.
 *
 *     deno task bench:peers [seconds]
 *
 * Each consumer is a process of its own, on a server of its own. It needs Linux,
 * which tells in `/proc` what a process has used, and python3 with redis-py.
 */
import process from "node:process";
import { Connection, startRedis } from "../src/redis/mod.ts";
import { commandsOf, type Contender, Peer, rest } from "./peers/process.ts";
import { report, type Row } from "./report.ts";
import { CLIMATE, sensorEvent } from "./sensor_event.ts";

const SECONDS = Number(Deno.args[0] ?? 15);
const QUEUE = "peers";
const CONTENDERS: readonly Contender[] = [
  "ours",
  "bare client",
  "streams by hand",
  "BullMQ",
  "bee-queue",
  "redis-py",
];
const EVENT = JSON.stringify(sensorEvent(CLIMATE));

/** Sends messages to a contender in the way that it expects. */
interface Sender {
  readonly send: () => Promise<unknown>;
  readonly close: () => Promise<unknown>;
}

/** Makes the sender for a contender. */
async function sender(
  contender: Contender,
  path: string,
  redis: Connection,
): Promise<Sender> {
  if (contender === "streams by hand") {
    return {
      send: () => redis.command(["XADD", QUEUE, "*", "message", EVENT]),
      close: () => Promise.resolve(),
    };
  }
  if (contender === "BullMQ") {
    const { Queue } = await import("bullmq");
    const queue = new Queue(QUEUE, { connection: { path } });
    return {
      send: () => queue.add("event", JSON.parse(EVENT)),
      close: () => queue.close(),
    };
  }
  if (contender === "bee-queue") {
    const { default: Queue } = await import("bee-queue");
    const redis = { path } as { path: string };
    const queue = new Queue(QUEUE, { redis, isWorker: false });
    return {
      send: () => queue.createJob(JSON.parse(EVENT)).save(),
      close: () => queue.close(),
    };
  }
  return {
    send: () => redis.command(["RPUSH", QUEUE, EVENT]),
    close: () => Promise.resolve(),
  };
}

const rows: Row[] = [];
const bare = new Map<string, number>();
function add(
  contender: Contender,
  what: string,
  value: number,
  unit: string,
): void {
  if (contender === "bare client") bare.set(what, value);
  rows.push({ what: `${contender}: ${what}`, value, unit });
}

let version = "";
for (const contender of CONTENDERS) {
  await using server = await startRedis();
  const path = server.redisArgs.unix_socket_path!;
  await using redis = await Connection.connect(server.redisArgs);
  version = redis.version;
  const begin = performance.now();
  await using peer = await Peer.start(contender, path, QUEUE);
  add(contender, "start", performance.now() - begin, "ms");
  await rest(3);

  const each = 60 / SECONDS;
  const before = [await peer.cpu(), await commandsOf(redis)] as const;
  await rest(SECONDS);
  const used = await peer.cpu() - before[0];
  add(contender, "at rest, processor", used * each, "ms/min");
  const sent = await commandsOf(redis) - before[1];
  add(contender, "at rest, commands", sent * each, "/min");
  add(contender, "at rest, memory", await peer.memory(), "MiB");

  const { send, close } = await sender(contender, path, redis);
  await send();
  await rest(1);
  const quiet = await peer.cpu();
  for (let second = 0; second < SECONDS; second++) {
    await send();
    await rest(1);
  }
  const busy = await peer.cpu() - quiet;
  add(contender, "a message a second, processor", busy * each, "ms/min");
  await close();
}
await report(
  "peers",
  rows.map((row): Row => {
    const value = bare.get(row.what.replace(/^.*?: /, ""));
    if (!value || row.what.startsWith("bare")) return row;
    return { ...row, ratio: { to: "bare client", value: row.value / value } };
  }),
  { redis: version },
);
// What the peers have open here would keep the process alive.
process.exit(0);
