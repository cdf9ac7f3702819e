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
import { report, type Row } from "./report.ts";
import { CLIMATE, sensorEvent } from "./sensor_event.ts";

const SECONDS = Number(Deno.args[0] ?? 15);
const QUEUE = "peers";
const CONTENDERS = [
  "ours",
  "bare client",
  "streams by hand",
  "BullMQ",
  "bee-queue",
  "redis-py",
] as const;
type Contender = typeof CONTENDERS[number];
const PYTHON = `
import json, redis, sys
client = redis.Redis(unix_socket_path=sys.argv[1])
print("started", flush=True)
while True:
    found = client.blpop(sys.argv[2], 20)
    if found: json.loads(found[1])["type"]
`;
const EVENT = JSON.stringify(sensorEvent(CLIMATE));

function rest(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** The processor time that a process has used, in milliseconds: ticks of 10. */
async function cpu(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`);
  const [user, system] = text.replace(/^.*\) /, "").split(" ").slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

/** The memory that a process has resident, in MiB. */
async function memory(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s*(\d+)/.exec(text)![1]) / 1024;
}

/** The number of commands that a server has run, also within scripts. */
async function commands(redis: Connection): Promise<number> {
  const text = String(await redis.command(["INFO", "commandstats"]));
  return [...text.matchAll(/cmdstat_(?!info|ping)\S+?:calls=(\d+)/g)]
    .reduce((sum, [, calls]) => sum + Number(calls), 0);
}

function spawn(contender: Contender, path: string): Deno.ChildProcess {
  const isPython = contender === "redis-py";
  const consumer = new URL("peers/consumer.ts", import.meta.url).pathname;
  return new Deno.Command(isPython ? "/usr/bin/python3" : Deno.execPath(), {
    args: isPython ? ["-c", PYTHON, path, QUEUE] : [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      consumer,
      contender,
      path,
      QUEUE,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
}

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
  const child = spawn(contender, path);
  const output = child.stdout.getReader();
  await output.read();
  add(contender, "start", performance.now() - begin, "ms");
  await rest(3);

  const each = 60 / SECONDS;
  let before = [await cpu(child.pid), await commands(redis)] as const;
  await rest(SECONDS);
  let used = await cpu(child.pid) - before[0];
  add(contender, "at rest, processor", used * each, "ms/min");
  const sent = await commands(redis) - before[1];
  add(contender, "at rest, commands", sent * each, "/min");
  add(contender, "at rest, memory", await memory(child.pid), "MiB");

  const { send, close } = await sender(contender, path, redis);
  await send();
  await rest(1);
  before = [await cpu(child.pid), 0];
  for (let second = 0; second < SECONDS; second++) {
    await send();
    await rest(1);
  }
  used = await cpu(child.pid) - before[0];
  add(contender, "a message a second, processor", used * each, "ms/min");
  await close();
  child.kill("SIGKILL");
  await output.cancel();
  await child.stdin.abort();
  await child.status;
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
