/**
 * What a message costs its consumer and Redis while 100 or 1,000 come in a second,
 * how long it takes from being sent to being handled, also where the next one is
 * only sent when one is handled, and what small and large ones cost that wait,
 * beside other ways to have a queue.
 *
 *     deno task bench:load [rounds, at least 2]
 *
 * Each consumer is a process of its own, and they take turns that are short, since
 * machines are noisy. At a rate, there are three processes of each, on servers of
 * their own, and what counts is the median of several windows, as in `peers.ts`.
 * Else all have queues on one server. Those by hand take as much at once as costs
 * Redis the least, 1 MiB. What pushing costs Redis is not counted.
 */
import { Connection, startRedis } from "../src/redis/mod.ts";
import {
  type Contender,
  cpuOf,
  eventOf,
  hasStream,
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
  startRunning,
  type Used,
  WARM,
} from "./peers/windows.ts";
import { Comparison, type Goal, median, percentile, report } from "./report.ts";

const ROUNDS = Number(Deno.args[0] ?? 10);
if (!(ROUNDS >= 2)) {
  throw new RangeError(
    `Cannot measure in ${
      Deno.args[0]
    } rounds: the first one of a flood does not count; give a number from 2 on`,
  );
}
const CONTENDERS: readonly Contender[] = [
  "ours",
  "bare client",
  "LMOVE by hand",
  STREAMS,
  "redis-py",
];
const NO_PLAIN = "ours, plain: false";
const WORKER = "ours, handler in a worker";
const NO_PLAIN_WORKER = "ours, handler in a worker, plain: false";
const BARE_WORKER = "bare client, handler in a worker";
const SCRIPT_WORKER = "script by hand, handler in a worker";
const IN_WORKERS: readonly Contender[] = [
  WORKER,
  NO_PLAIN_WORKER,
  BARE_WORKER,
  SCRIPT_WORKER,
];
/** So many of them come in a second. */
const WARM_RATE = 500;
const RATES = { "1,000/s": 1000, "100/s": 100 };
/** So many messages at least are a window at a rate. */
const WINDOW = 200;
/** So many of them are a turn of a consumer. */
const PACED = 100;
const PACED_QUEUE = "paced";
/** So many windows of each process are measured at a rate, after one that is not counted. */
const WINDOWS = Math.max(1, Math.floor(ROUNDS / 2) - 1);
/** The next message is sent when one of so many is handled. */
const LOOPS = { "1 in the air": 1, "8 in the air": 8 };
const LOOPING: readonly Contender[] = [
  "ours",
  NO_PLAIN,
  "bare client",
  STREAMS,
];
const SIZES = {
  "330 bytes": 330,
  "4 KiB": 2 ** 12,
  "64 KiB": 2 ** 16,
  "1 MiB": 2 ** 20,
};
/**
 * So many bytes of messages of a size are a turn: of large ones more, or what is
 * done once at the beginning of a flood would count with each.
 */
const turnBytes = (size: number): number => size < 2 ** 12 ? 2 ** 24 : 2 ** 27;
const BATCH_BYTES = 2 ** 20;
/** So many bytes are pushed by one command: room for more would be given back, at somebody's cost. */
const PUSHED_BYTES = 2 ** 20;
/** What keeps a message until it is handled, and does no more than that. */
const KEEPING: readonly Contender[] = ["LMOVE by hand", "script by hand"];
/** Until the last acknowledgement has come, which may wait a little, in seconds. */
const ACKNOWLEDGED = 0.05;

/** What is asked for. */
function goalsOf(contender: string, measure: string): Goal | readonly Goal[] {
  const [load, what] = measure.split(/, (.*)/);
  if (load! in RATES || load! in LOOPS) {
    const isTime = what === "consumer" || what === "Redis";
    const beside: Goal = {
      to: STREAMS,
      ...(what === "commands" && { figure: "≤ 3" }),
      ...(isTime && { ratio: "≤ 1.2" }),
    };
    if (contender !== "ours" || load! in LOOPS) return beside;
    return [beside, { to: POSTING, ...(isTime && { ratio: "≤ 1.2" }) }];
  }
  if (contender === WORKER) {
    return [
      { to: "ours", ...(what === "rate" && { ratio: "≥ 0.87" }) },
      { to: SCRIPT_WORKER },
    ];
  }
  if (contender === NO_PLAIN_WORKER) return { to: "ours" };
  if (contender === SCRIPT_WORKER) return { to: "script by hand" };
  const beside: Goal = { to: "bare client" };
  const isLarge = load !== "330 bytes";
  if (contender !== "ours" || !isLarge || what !== "Redis") return beside;
  return [
    { ...beside, ratio: "≤ 1.3" },
    ...KEEPING.map((to): Goal => ({ to, ratio: "≤ 1.1" })),
  ];
}

await using server = await startRedis();
const path = server.redisArgs.unix_socket_path!;
await using redis = await Connection.connect(server.redisArgs);
const comparison = new Comparison();

/** Makes messages come all at once; tells what Redis has used until then. */
async function release(
  contender: Contender,
  queue: string,
  text: string,
  count: number,
): Promise<number> {
  const texts = new Array<string>(count).fill(text);
  if (!hasStream(contender)) {
    const some = Math.max(1, Math.floor(PUSHED_BYTES / text.length));
    for (let first = 0; first < count; first += some) {
      const part = texts.slice(first, first + some);
      await redis.command(["RPUSH", "waiting", ...part]);
    }
    const used = await cpuOf(redis);
    await redis.command(["RENAME", "waiting", queue]);
    return used;
  }
  // No stream can take another one's place: the first batch is not counted.
  const pushed = Promise.all([
    redis.command(["MULTI"]),
    ...texts.map((text) => push(redis, contender, queue, text)),
    redis.command(["EXEC"]),
  ]);
  const used = cpuOf(redis);
  await pushed;
  return await used;
}

/** Whose queue on which server is pushed to. */
type Target = Pick<Running, "contender" | "redis"> & { queue: string };

/** Pushes messages one after the other, so many in a second. */
async function pace(
  { contender, redis, queue }: Target,
  rate: number,
  count: number,
): Promise<void> {
  const start = performance.now();
  for (let sent = 0; sent < count;) {
    const due = Math.min((performance.now() - start) * rate / 1000, count);
    for (; sent < due; sent++) void push(redis, contender, queue, sentNow());
    await rest(1 / rate);
  }
}

/** Has a process handle as much as one at home has: then V8 has compiled what runs. */
async function warm(target: Target, peer: Peer, count: number): Promise<void> {
  const pushed = pace(target, WARM_RATE, WARM);
  for (let handled = 0; handled < WARM; handled += count) await peer.done();
  await pushed;
}

/**
 * One contender at a time works; all have a process that waits.
 *
 * @param isWarm Whether each has handled many messages before.
 */
async function takeTurns(
  contenders: readonly Contender[],
  what: string,
  { count, batch, isWarm = true }: {
    count: number;
    batch: number;
    isWarm?: boolean;
  },
  turn: (
    contender: Contender,
    queue: string,
    peer: Peer,
    round: number,
  ) => Promise<void>,
): Promise<void> {
  await redis.command(["FLUSHALL"]);
  await using stack = new AsyncDisposableStack();
  const peers = new Map<Contender, Peer>();
  for (const contender of contenders) {
    const queue = `${what}, ${contender}`;
    const peer = await Peer.start(contender, { path, queue, count, batch });
    peers.set(contender, stack.use(peer));
  }
  if (isWarm) {
    await Promise.all(
      [...peers].map(([contender, peer]) =>
        warm({ contender, redis, queue: `${what}, ${contender}` }, peer, count)
      ),
    );
  }
  for (let round = 0; round < ROUNDS; round++) {
    // Nobody always comes after the same one.
    const order = round % 2 === 0 ? [...peers] : [...peers].toReversed();
    for (const [contender, peer] of order) {
      await turn(contender, `${what}, ${contender}`, peer, round);
    }
  }
}

/** Starts several processes of each that is measured at a rate. */
async function startPaced(stack: AsyncDisposableStack): Promise<Running[]> {
  const all: Running[] = [];
  for (let number = 0; number < PROCESSES; number++) {
    const some: Running[] = [];
    for (const contender of [...CONTENDERS, NO_PLAIN, POSTING] as const) {
      const options = { queue: PACED_QUEUE, count: PACED };
      some.push(await startRunning(contender, stack, options));
    }
    // With more of them at once, messages would not come alone.
    await Promise.all(
      some.map((one) => warm({ ...one, queue: PACED_QUEUE }, one.peer, PACED)),
    );
    all.push(...some);
  }
  return all;
}

/** Has one process handle messages at a rate; gives what that took, and the latencies. */
async function handlePaced(
  one: Running,
  rate: number,
  count: number,
): Promise<[Used, number[]]> {
  const latencies: number[] = [];
  const [[used]] = await inWindows([one], 1, async () => {
    await pace({ ...one, queue: PACED_QUEUE }, rate, count);
    while (latencies.length < count) {
      latencies.push(...(await one.peer.done()).latencies);
    }
    await rest(ACKNOWLEDGED);
  }) as [[Used]];
  return [used, latencies];
}

/** What pushing costs the server of a process without anybody who takes. */
async function usedByPushing(
  one: Running,
  rate: number,
  count: number,
): Promise<Used> {
  const [[used]] = await inWindows([one], 1, async () => {
    await pace({ ...one, queue: "nobody's" }, rate, count);
    await rest(ACKNOWLEDGED);
  }) as [[Used]];
  await one.redis.command(["DEL", "nobody's"]);
  return used;
}

/** Notes what a message has cost in a window, but for what pushing costs the server. */
function addCosts(
  contender: Contender,
  name: string,
  { cpu, redis, commands }: Used,
  pushing: readonly Used[],
  count: number,
): void {
  const beside = (what: "redis" | "commands"): number =>
    median(pushing.map((used) => used[what]));
  const add = (what: string, used: number, unit: string): void =>
    comparison.add(contender, `${name}, ${what}`, used / count, unit);
  add("consumer", cpu * 1000, "µs");
  add("Redis", (redis - beside("redis")) * 1000, "µs");
  add("commands", commands - beside("commands"), "a message");
}

/** Has each process handle messages at a rate, one after the other, again and again. */
async function measureRate(
  all: readonly Running[],
  name: string,
  rate: number,
): Promise<void> {
  const count = Math.max(WINDOW, rate);
  const pushing = new Map<Contender, Used[]>();
  for (const one of all) {
    await handlePaced(one, rate, count);
    pushing.getOrInsertComputed(one.contender, () => [])
      .push(await usedByPushing(one, rate, count));
  }
  const latencies = new Map<Contender, number[]>();
  for (let window = 0; window < WINDOWS; window++) {
    // Nobody always comes after the same one.
    for (const one of window % 2 === 0 ? all : all.toReversed()) {
      const { contender } = one;
      const [used, some] = await handlePaced(one, rate, count);
      addCosts(contender, name, used, pushing.get(contender)!, count);
      latencies.getOrInsertComputed(contender, () => []).push(...some);
    }
  }
  for (const [contender, all] of latencies) {
    const add = (what: string, value: number): void =>
      comparison.add(contender, `${name}, latency, ${what}`, value, "µs");
    add("median", median(all));
    add("99th percentile", percentile(all, 0.99));
  }
}

{
  await using stack = new AsyncDisposableStack();
  const all = await startPaced(stack);
  for (const [name, rate] of Object.entries(RATES)) {
    await measureRate(all, name, rate);
  }
}
for (const [name, inTheAir] of Object.entries(LOOPS)) {
  await takeTurns(
    LOOPING,
    name,
    { count: 1, batch: 512 },
    async (contender, queue, peer) => {
      const send = (): void => void push(redis, contender, queue, sentNow());
      const latencies: number[] = [];
      const start = performance.now();
      for (let sent = 0; sent < inTheAir; sent++) send();
      while (performance.now() - start < 1000) {
        latencies.push(...(await peer.done()).latencies);
        send();
      }
      for (let left = inTheAir; left > 0; left--) await peer.done();
      const add = (what: string, value: number, unit: string): void =>
        comparison.add(contender, `${name}, ${what}`, value, unit);
      add("rate", latencies.length, "messages/s");
      add("latency, median", median(latencies), "µs");
      add("latency, 99th percentile", percentile(latencies, 0.99), "µs");
    },
  );
}
for (const [name, size] of Object.entries(SIZES)) {
  const count = Math.floor(turnBytes(size) / size);
  const batch = Math.min(512, BATCH_BYTES / size);
  const text = eventOf(size);
  await takeTurns(
    [...CONTENDERS, "script by hand", ...IN_WORKERS],
    name,
    { count, batch, isWarm: false },
    async (contender, queue, peer, round) => {
      const { cpu } = await peer.usage.look();
      const before = await release(contender, queue, text, count);
      const { first, last } = await peer.done();
      await rest(ACKNOWLEDGED);
      const used = await cpuOf(redis) - before;
      const consumer = ((await peer.usage.look()).cpu - cpu) * 1000;
      // In the first round the server makes room that it keeps.
      if (round === 0) return;
      const add = (what: string, value: number, unit: string): void =>
        comparison.add(contender, `${name}, ${what}`, value, unit);
      add("rate", (count - 1) / (last - first) * 1000, "messages/s");
      add("consumer", consumer / count, "µs");
      add("Redis", used / count, "µs");
    },
  );
}
await report("load", comparison.rows(goalsOf), { redis: redis.version });
