/**
 * What a message costs its consumer and Redis while 1,000 come in a second, and
 * what large ones cost, beside other ways to have a queue.
 *
 *     deno task bench:load [rounds]
 *
 * Each consumer is a process of its own; all have queues on one server, and take
 * turns that are short, since machines are noisy. Those by hand take as much at
 * once as costs Redis the least, 1 MiB. What pushing costs Redis is not counted.
 */
import { Connection, startRedis } from "../src/redis/mod.ts";
import {
  commandsOf,
  type Contender,
  cpuOf,
  Peer,
  rest,
} from "./peers/process.ts";
import { report, type Row, Series } from "./report.ts";
import { sensorEvent } from "./sensor_event.ts";

const ROUNDS = Number(Deno.args[0] ?? 15);
const CONTENDERS: readonly Contender[] = [
  "ours",
  "bare client",
  "LMOVE by hand",
  "streams by hand",
  "redis-py",
];
/** So many are sent in a second, one each millisecond. */
const PACED = 1000;
const LARGE = { "4 KiB": 2 ** 12, "64 KiB": 2 ** 16, "1 MiB": 2 ** 20 };
/** So many bytes of large messages are pushed in one go. */
const TURN_BYTES = 2 ** 24;
const BATCH_BYTES = 2 ** 20;

function event(size: number): string {
  const { length } = JSON.stringify(sensorEvent({ text: "" }));
  return JSON.stringify(sensorEvent({ text: "x".repeat(size - length) }));
}

const SMALL = event(330);

await using server = await startRedis();
const path = server.redisArgs.unix_socket_path!;
await using redis = await Connection.connect(server.redisArgs);

/** Makes messages come all at once; tells what Redis has used until then. */
async function release(
  contender: Contender,
  queue: string,
  text: string,
  count: number,
): Promise<number> {
  const texts = new Array<string>(count).fill(text);
  if (contender !== "streams by hand") {
    await redis.command(["RPUSH", "waiting", ...texts]);
    const used = await cpuOf(redis);
    await redis.command(["RENAME", "waiting", queue]);
    return used;
  }
  // No stream can take another one's place: the first batch is not counted.
  const pushed = Promise.all([
    redis.command(["MULTI"]),
    ...texts.map((text) => push(contender, queue, text)),
    redis.command(["EXEC"]),
  ]);
  const used = cpuOf(redis);
  await pushed;
  return await used;
}

function push(
  contender: Contender,
  queue: string,
  text: string,
): Promise<unknown> {
  const isStream = contender === "streams by hand";
  return redis.command(
    isStream ? ["XADD", queue, "*", "message", text] : ["RPUSH", queue, text],
  );
}

/** Pushes one message each millisecond. */
async function pace(contender: Contender, queue: string): Promise<void> {
  const start = performance.now();
  for (let sent = 0; sent < PACED;) {
    const due = Math.min(performance.now() - start, PACED);
    for (; sent < due; sent++) void push(contender, queue, SMALL);
    await rest(0.001);
  }
}

const series = new Series();
const units: Record<string, string> = {};
async function add(
  contender: Contender,
  what: string,
  value: number,
  unit: string,
): Promise<void> {
  units[`${contender}: ${what}`] = unit;
  await series.measure(`${contender}: ${what}`, () => Promise.resolve(value));
}

/** One contender at a time works; all have a process that waits. */
async function takeTurns(
  what: string,
  count: number,
  batch: number,
  turn: (contender: Contender, queue: string, peer: Peer) => Promise<void>,
): Promise<void> {
  await redis.command(["FLUSHALL"]);
  await using stack = new AsyncDisposableStack();
  const peers = new Map<Contender, Peer>();
  for (const contender of CONTENDERS) {
    const queue = `${what}, ${contender}`;
    const peer = await Peer.start(contender, path, queue, count, batch);
    peers.set(contender, stack.use(peer));
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [contender, peer] of peers) {
      await turn(contender, `${what}, ${contender}`, peer);
    }
  }
}

await takeTurns("1,000/s", PACED, 512, async (contender, queue, peer) => {
  const look = async (): Promise<number[]> => [
    await cpuOf(redis),
    await peer.cpu() * 1000,
    await commandsOf(redis),
  ];
  const first = await look();
  // What pushing costs without anybody who takes.
  await pace(contender, "nobody's");
  const before = await look();
  await pace(contender, queue);
  await peer.done();
  const after = await look();
  const [pushing] = before.map((value, at) => value - first[at]!);
  const [served, used, sent] = after.map((value, at) => value - before[at]!);
  await redis.command(["DEL", "nobody's"]);
  await add(contender, "1,000/s, consumer", used! / PACED, "µs");
  await add(contender, "1,000/s, Redis", (served! - pushing!) / PACED, "µs");
  await add(contender, "1,000/s, commands", sent! / PACED, "a message");
});
for (const [name, size] of Object.entries(LARGE)) {
  const count = TURN_BYTES / size;
  const batch = Math.min(512, BATCH_BYTES / size);
  const text = event(size);
  await takeTurns(name, count, batch, async (contender, queue, peer) => {
    const before = await release(contender, queue, text, count);
    const seconds = await peer.done() / 1000;
    const used = await cpuOf(redis) - before;
    await add(contender, `${name}, rate`, (count - 1) / seconds, "messages/s");
    await add(contender, `${name}, Redis`, used / count, "µs");
  });
}

await report(
  "load",
  Object.entries(units).map(([name, unit]): Row => {
    const [contender, what] = name.split(": ") as [string, string];
    const to = what.startsWith("1,000/s") ? "streams by hand" : "bare client";
    const value = series.median(name);
    const base = series.median(`${to}: ${what}`);
    return {
      what: name,
      value,
      unit,
      ...(contender !== to && { ratio: { to, value: value / base } }),
    };
  }),
  { redis: redis.version },
);
