/**
 * What a queue costs at home, beside other ways to have one: until it is there,
 * in a minute in which nothing happens, and in one with a message a second.
 *
 *     deno task bench:peers [seconds]
 *
 * Each consumer is a process of its own, on a server of its own. All of them rest
 * at the same time, and then have messages at the same time. What counts is the
 * middle one of several windows of so many seconds, after one in which V8 tidies
 * up: once it takes a tenth of a second of the processor for that, in whichever
 * window it falls. Those by hand look every second whether they shall stop, as
 * Platypush does; one waits without end. It needs Linux, which tells in `/proc`
 * what a process has used, and python3 with redis-py.
 */
import process from "node:process";
import type { Connection } from "../src/redis/mod.ts";
import {
  type Contender,
  Peer,
  POSTING,
  push,
  rest,
  sentNow,
  STREAMS,
} from "./peers/process.ts";
import {
  inWindows,
  PROCESSES,
  type Running,
  startHome,
  type Used,
  WARM,
} from "./peers/windows.ts";
import { Comparison, type Goal, median, percentile, report } from "./report.ts";

const SECONDS = Number(Deno.args[0] ?? 60);
/** So many windows are measured at rest. */
const RESTS = 2;
/** So many windows are measured with a message a second, of {@link BUSY_TURNS}. */
const BUSY_WINDOWS = 4;
const STARTS = 2;
const QUEUE = "peers";
/** So many messages are a turn of a consumer; the first one is not counted. */
const TURN = 10;
/** So many turns are a window with a message a second: half a minute. */
const BUSY_TURNS = Math.ceil(SECONDS / 2 / TURN);
const KILLED = "ours, after 100 were killed";
const CONTENDERS: readonly Contender[] = [
  "ours",
  "ours, plain: false",
  "bare client",
  "bare client, waiting without end",
  "LMOVE by hand",
  STREAMS,
  POSTING,
  "BullMQ",
  "bee-queue",
  "redis-py",
];
/** Those that only rest. */
const LARGE: readonly Contender[] = [
  "ours, 1,000 queues",
  "ours, 60 workers",
  KILLED,
  "bare client, 60 workers",
  "bare client with node: imports, 60 workers",
];

const AT_REST: Readonly<Record<string, Goal>> = {
  "at rest, processor": { ratio: "≤ 1.5" },
  "at rest, memory": { ratio: "≤ 1.2" },
  "at rest, commands": { figure: "≤ 20" },
};
const ALONE: Readonly<Record<string, Goal>> = {
  "a message a second, processor": { ratio: "≤ 1.2" },
  "a message a second, Redis": { ratio: "≤ 1.2" },
  // Three, and the heartbeat's.
  "a message a second, commands": { figure: "≤ 3.3" },
};

/** What is asked for. */
function goalsOf(contender: string, measure: string): Goal | readonly Goal[] {
  if (measure.startsWith("a message a second")) {
    const beside: Goal = { to: STREAMS, ...ALONE[measure] };
    if (contender !== "ours") return beside;
    return [beside, { to: POSTING, ...ALONE[measure] }];
  }
  if (contender === "ours, 1,000 queues") {
    if (measure === "connections") return { figure: "≤ 4" };
    if (measure === "start()") return { to: "ours", figure: "≤ 300" };
  }
  const hasWorkers = contender.endsWith("workers");
  const to = hasWorkers ? "bare client, 60 workers" : "bare client";
  return { to, ...AT_REST[measure] };
}

/** Sends messages to a contender in the way that it expects. */
interface Sender {
  readonly send: () => Promise<unknown>;
  readonly close: () => Promise<unknown>;
}

/** Makes the sender for a contender. */
async function senderFor(
  contender: Contender,
  path: string,
  redis: Connection,
): Promise<Sender> {
  if (contender === "BullMQ") {
    const { Queue } = await import("bullmq");
    const queue = new Queue(QUEUE, { connection: { path } });
    return {
      send: () => queue.add("event", JSON.parse(sentNow())),
      close: () => queue.close(),
    };
  }
  if (contender === "bee-queue") {
    const { default: Queue } = await import("bee-queue");
    const redis = { path } as { path: string };
    const queue = new Queue(QUEUE, { redis, isWorker: false });
    return {
      send: () => queue.createJob(JSON.parse(sentNow())).save(),
      close: () => queue.close(),
    };
  }
  return {
    send: () => push(redis, contender, QUEUE, sentNow()),
    close: () => Promise.resolve(),
  };
}

const comparison = new Comparison();

/** Starts a contender several times; the last one goes on. */
async function start(
  contender: Contender,
  stack: AsyncDisposableStack,
): Promise<Running> {
  const home = await startHome(contender, stack);
  const { redis, path } = home;
  for (let left = LARGE.includes(contender) ? 1 : STARTS;; left--) {
    await redis.command(["FLUSHALL"]);
    if (contender === KILLED) {
      await using _ = await Peer.start("ours, 100 consumers", {
        path,
        queue: QUEUE,
      });
    }
    const begin = performance.now();
    const peer = await Peer.start(contender, {
      path,
      queue: QUEUE,
      count: TURN,
    });
    comparison.add(contender, "start", performance.now() - begin, "ms");
    if (contender.startsWith("ours") && !contender.endsWith("workers")) {
      comparison.add(contender, "start()", peer.startTime, "ms");
    }
    if (left === 1) return { ...home, peer: stack.use(peer) };
    await peer[Symbol.asyncDispose]();
  }
}

/** Starts all of them, in turns. Those with sixty workers are in one process each. */
async function startAll(
  contenders: readonly Contender[],
  stack: AsyncDisposableStack,
): Promise<Running[]> {
  const all: Running[] = [];
  for (let number = 0; number < PROCESSES; number++) {
    for (const contender of contenders) {
      if (number > 0 && contender.endsWith("workers")) continue;
      all.push(await start(contender, stack));
    }
  }
  return all;
}

async function connectionsTo(redis: Connection): Promise<number> {
  const text = String(await redis.command(["INFO", "clients"]));
  // One is this program's.
  return Number(/connected_clients:(\d+)/.exec(text)![1]) - 1;
}

/** Lets all of them rest, and measures all windows but the first one. */
async function atRest(all: readonly Running[]): Promise<void> {
  await rest(SECONDS);
  const used = await inWindows(all, RESTS, () => rest(SECONDS));
  for (const [at, { contender, peer, redis }] of all.entries()) {
    const add = (
      measure: string,
      value: number | readonly number[],
      unit: string,
    ): void => comparison.add(contender, `at rest, ${measure}`, value, unit);
    const perMinute = (what: keyof Used): number[] =>
      used[at]!.map((window) => window[what] * 60 / SECONDS);
    add("processor", perMinute("cpu"), "ms/min");
    add("switches", perMinute("switches"), "/min");
    // A look now and then is to be seen, though it is in no other window.
    add("commands", Math.max(...perMinute("commands")), "/min");
    add("memory", await peer.usage.memory(), "MiB");
    if (contender.startsWith("ours")) {
      const connections = await connectionsTo(redis);
      comparison.add(contender, "connections", connections, "in all");
    }
  }
}

/** Sends each of them messages one by one, each at another time. */
async function send(
  all: readonly Running[],
  turns: number,
  pause = 1,
): Promise<number[][]> {
  const latencies = all.map((): number[] => []);
  await using stack = new AsyncDisposableStack();
  const senders = await Promise.all(
    all.map(({ contender, path, redis }) => senderFor(contender, path, redis)),
  );
  for (const { close } of senders) stack.defer(async () => void await close());
  for (let turn = 0; turn < turns; turn++) {
    const start = performance.now();
    for (let sent = 0; sent < TURN; sent++) {
      for (const [at, sender] of senders.entries()) {
        const due = start + 1000 * pause * (sent + at / senders.length);
        await rest(Math.max(0, due - performance.now()) / 1000);
        await sender.send();
      }
    }
    for (const [at, { peer }] of all.entries()) {
      latencies[at]!.push(...(await peer.done()).latencies);
    }
  }
  return latencies;
}

async function aMessageASecond(all: readonly Running[]): Promise<void> {
  await send(all, WARM / TURN, 0);
  await send(all, BUSY_TURNS);
  const latencies = all.map((): number[] => []);
  const used = await inWindows(all, BUSY_WINDOWS, async () => {
    const found = await send(all, BUSY_TURNS);
    for (const [at, some] of found.entries()) latencies[at]!.push(...some);
  });
  for (const [at, { contender }] of all.entries()) {
    const add = (
      measure: string,
      value: number | readonly number[],
      unit: string,
    ): void =>
      comparison.add(contender, `a message a second, ${measure}`, value, unit);
    const perMessage = (what: keyof Used, times = 1): number[] =>
      used[at]!.map((window) => window[what] * times / (BUSY_TURNS * TURN));
    add("processor", perMessage("cpu", 60), "ms/min");
    add("Redis", perMessage("redis", 60), "ms/min");
    // Theirs are counted with those that send.
    if (contender !== "BullMQ" && contender !== "bee-queue") {
      add("commands", perMessage("commands"), "a message");
    }
    add("latency, median", median(latencies[at]!), "µs");
    add("latency, 99th percentile", percentile(latencies[at]!, 0.99), "µs");
  }
}

await using stack = new AsyncDisposableStack();
const homes = await startAll(CONTENDERS, stack);
{
  await using stack = new AsyncDisposableStack();
  await atRest([...homes, ...await startAll(LARGE, stack)]);
}
await aMessageASecond(homes);
const { version } = homes[0]!.redis;
await report("peers", comparison.rows(goalsOf), { redis: version });
await stack.disposeAsync();
// What the peers have open here would keep the process alive.
process.exit(0);
