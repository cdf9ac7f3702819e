/**
 * From a Redis list to a handler, through a backend and its bus, beside the
 * bare client, which pops the same list and parses nothing, and redis-py.
 *
 *     deno task bench:redis [messages]
 *
 * The rounds of the contenders alternate, on one private server.
 */
// deno-lint-ignore-file no-console
import { createClient, RESP_TYPES } from "@redis/client";
import { RedisBackend, type RedisBackendOptions } from "../src/backend/mod.ts";
import { Bus, Event } from "../src/bus/mod.ts";
import { Connection, startRedis } from "../src/redis/mod.ts";
import { percentile, report, type Row, Series } from "./report.ts";
import { sensorEvent } from "./sensor_event.ts";

const MESSAGES = Number(Deno.args[0] ?? 500_000);
/** One message at a time is so slow that fewer have to do. */
const PYTHON_MESSAGES = MESSAGES / 10;
const MILLION = 2 * MESSAGES;
const ROUNDS = 3;
const SAMPLES = 500;
const QUEUE = "bench";
const PYTHON = "/usr/bin/python3";
const SIZE = 330;

type Delivery = NonNullable<RedisBackendOptions["delivery"]>;

function event(text: string): string {
  const data = { temperature: 21.5, humidity: 48.25, text };
  return JSON.stringify(sensorEvent({ data }));
}
const EVENT = event("x".repeat(SIZE - event("").length));

await using server = await startRedis();
const args = server.redisArgs;
const path = args.unix_socket_path!;
await using redis = await Connection.connect(args);
let names = 0;

async function fill(count: number): Promise<void> {
  const thousand = new Array<string>(1000).fill(EVENT);
  for (let filled = 0; filled < count; filled += 1000) {
    await redis.command(["RPUSH", QUEUE, ...thousand.slice(0, count - filled)]);
  }
}

/** Messages a second. */
async function rate(count: number, run: () => Promise<void>): Promise<number> {
  await fill(count);
  const start = performance.now();
  await run();
  return count / (performance.now() - start) * 1000;
}

/** Pops with the bare client, the next request always under way. */
async function popBare(
  command: string[],
  count: number,
  look?: (payloads: readonly Uint8Array[]) => void,
): Promise<void> {
  const client = createClient({ socket: { path, tls: false } });
  await client.connect();
  const pop = async (): Promise<Uint8Array[] | null | undefined> => {
    const reply = await client.sendCommand<unknown[] | null>(command, {
      typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer },
    });
    const popped = command[0] === "BLMPOP" ? reply?.[1] : reply;
    return popped as Uint8Array[] | null | undefined;
  };
  let next = pop();
  for (let popped = 0; popped < count;) {
    const payloads = await next ?? [];
    popped += payloads.length;
    if (popped < count) next = pop();
    look?.(payloads);
  }
  client.destroy();
}

/** The ways to handle messages: what each of them does with a function to call. */
const WAYS = {
  plain: (bus: Bus, handle: () => void) => {
    bus.registerHandler(Event, () => handle());
  },
  async: (bus: Bus, handle: () => void) => {
    // deno-lint-ignore require-await -- the promise is what is measured
    bus.registerHandler(Event, async () => handle());
  },
  loop: (bus: Bus, handle: () => void) => {
    void (async () => {
      for await (const _ of bus) handle();
    })();
  },
};

/** Runs a backend until this many messages were handled here. */
async function handleHere(
  delivery: Delivery,
  count: number,
  way: keyof typeof WAYS = "plain",
): Promise<void> {
  await using bus = new Bus({ name: `bench/redis/${names++}` });
  const done = Promise.withResolvers<void>();
  let handled = 0;
  WAYS[way](bus, () => {
    if (++handled === count) done.resolve();
  });
  await using backend = openBackend(bus, delivery);
  await backend.start();
  await done.promise;
}

/** The same with the handler in a worker, which is there beforehand. */
async function workerRate(): Promise<number> {
  await using bus = new Bus({ name: `bench/redis/${names++}` });
  const worker = new Worker(new URL("./redis_worker.ts", import.meta.url), {
    type: "module",
  });
  const said = (): Promise<void> =>
    new Promise((resolve) => worker.onmessage = () => resolve());
  const ready = said();
  worker.postMessage({ name: bus.name, count: MESSAGES });
  await ready;
  await bus.ready();
  const done = said();
  const result = await rate(MESSAGES, async () => {
    await using backend = openBackend(bus, "at-most-once");
    await backend.start();
    await done;
  });
  worker.terminate();
  return result;
}

function openBackend(bus: Bus, delivery: Delivery): RedisBackend {
  return new RedisBackend({
    redisArgs: args,
    queue: QUEUE,
    deviceId: "livingroom",
    bus,
    delivery,
  });
}

async function hasPython(): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(PYTHON, {
      args: ["-c", "import redis"],
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false;
  }
}

async function pythonRate(): Promise<number> {
  await fill(PYTHON_MESSAGES);
  const script = new URL("./redis_py.py", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(PYTHON, {
    args: [script, path, QUEUE, String(PYTHON_MESSAGES)],
    stderr: "inherit",
  }).output();
  return PYTHON_MESSAGES / Number(new TextDecoder().decode(stdout));
}

/** Milliseconds from a push to an idle queue to `arrived`, for each of some. */
async function latencies(arrived: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const arrival = arrived();
    // Long enough for the request to block on the server.
    await new Promise((resolve) => setTimeout(resolve, 2));
    const start = performance.now();
    const pushed = redis.command(["RPUSH", QUEUE, EVENT]);
    await arrival;
    samples.push(performance.now() - start);
    await pushed;
  }
  return samples;
}

async function bareLatencies(): Promise<number[]> {
  const client = createClient({ socket: { path, tls: false } });
  await client.connect();
  const samples = await latencies(() =>
    client.sendCommand(["BLPOP", QUEUE, "5"])
  );
  client.destroy();
  return samples;
}

async function backendLatencies(delivery: Delivery): Promise<number[]> {
  await using bus = new Bus({ name: `bench/redis/${names++}` });
  let arrive = (): void => {};
  bus.registerHandler(Event, () => arrive());
  await using backend = openBackend(bus, delivery);
  await backend.start();
  return await latencies(() =>
    new Promise<void>((resolve) => arrive = resolve)
  );
}

const series = new Series();

const LPOP = "bare client, LPOP of 512, unparsed";
const BLMPOP = "bare client, BLMPOP of 512, unparsed";
const PARSED = "bare client, the last of these, with JSON.parse";
const MOST = "at most once, handler in the same thread";
const WORKER = "at most once, handler in a worker";
const LEAST = "at least once, handler in the same thread";
const ASYNC = "at least once, async handler";
const LOOP = "at least once, for await";
const REDIS_PY = "redis-py, BLPOP and json.loads";

const bare: Record<string, string[]> = { [LPOP]: ["LPOP", QUEUE, "512"] };
if (Number(redis.version.split(".")[0]) >= 7) {
  bare[BLMPOP] = ["BLMPOP", "1", "1", QUEUE, "LEFT", "COUNT", "512"];
}
const decoder = new TextDecoder();
/** The least that anybody has to do who wants to see what a message says. */
function parse(payloads: readonly Uint8Array[]): void {
  for (const payload of payloads) JSON.parse(decoder.decode(payload));
}

const withPython = await hasPython();
for (let round = 0; round < ROUNDS; round++) {
  for (const [what, command] of Object.entries(bare)) {
    await series.measure(
      what,
      () => rate(MESSAGES, () => popBare(command, MESSAGES)),
    );
  }
  const command = Object.values(bare).at(-1)!;
  await series.measure(
    PARSED,
    () => rate(MESSAGES, () => popBare(command, MESSAGES, parse)),
  );
  await series.measure(
    MOST,
    () => rate(MESSAGES, () => handleHere("at-most-once", MESSAGES)),
  );
  await series.measure(WORKER, workerRate);
  await series.measure(
    LEAST,
    () => rate(MESSAGES, () => handleHere("at-least-once", MESSAGES)),
  );
  for (const [what, way] of [[ASYNC, "async"], [LOOP, "loop"]] as const) {
    await series.measure(
      what,
      () => rate(MESSAGES, () => handleHere("at-least-once", MESSAGES, way)),
    );
  }
  if (withPython) await series.measure(REDIS_PY, pythonRate);
}

const BARE = "BLPOP";
const idle: Record<string, number[]> = {};
for (let round = 0; round < ROUNDS; round++) {
  (idle[BARE] ??= []).push(...await bareLatencies());
  for (const delivery of ["at-most-once", "at-least-once"] as const) {
    (idle[delivery] ??= []).push(...await backendLatencies(delivery));
  }
}

const memory: number[] = [];
for (let million = 1; million <= 5; million++) {
  await fill(MILLION);
  await handleHere("at-least-once", MILLION);
  memory.push(Deno.memoryUsage().rss / 2 ** 20);
  console.error(`RSS after ${million * MILLION} messages`, memory.at(-1));
}

const unit = "messages/s";
const at = (what: string): number => series.median(what);
const best = Math.max(...Object.keys(bare).map(at));
const throughput = (
  what: string,
  to: string,
  base: number,
  must?: string,
): Row => ({
  what,
  value: at(what),
  unit,
  ratio: { to, value: at(what) / base, ...(must && { must }) },
});
const latency = (what: string, name: string, share: number): Row => {
  const value = percentile(idle[what]!, share);
  const base = percentile(idle[BARE]!, share);
  return {
    what: `idle queue, ${what}, ${name}`,
    value: value * 1000,
    unit: "µs",
    ...(what !== BARE && {
      ratio: {
        to: BARE,
        value: value / base,
        ...(share === 0.5 && { must: "≤ 1.5" }),
      },
    }),
  };
};
await report("redis", [
  ...Object.keys(bare).map((what): Row => ({ what, value: at(what), unit })),
  throughput(PARSED, "best bare client", best),
  throughput(MOST, "best bare client", best, "≥ 0.4"),
  throughput(MOST, "bare client with JSON.parse", at(PARSED)),
  throughput(WORKER, "best bare client", best, "≥ 0.4"),
  throughput(WORKER, "bare client with JSON.parse", at(PARSED)),
  throughput(LEAST, "at most once", at(MOST), "≥ 0.6"),
  throughput(ASYNC, "plain handler", at(LEAST), "≥ 0.87"),
  throughput(LOOP, "plain handler", at(LEAST), "≥ 0.87"),
  ...(withPython ? [throughput(REDIS_PY, "at least once", at(LEAST))] : []),
  {
    what: `memory after ${5 * MILLION} messages`,
    value: memory.at(-1)!,
    unit: "MiB",
    ratio: {
      to: `after ${MILLION}`,
      value: memory.at(-1)! / memory[0]!,
      must: "≤ 1.1",
    },
  },
  ...Object.keys(idle).flatMap((what) => [
    latency(what, "median", 0.5),
    latency(what, "99th percentile", 0.99),
  ]),
], { redis: redis.version });
