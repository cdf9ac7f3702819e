/**
 * A backlog, from a Redis list to a handler: at least once and at most once,
 * beside the bare client, a script and streams by hand, and redis-py.
 *
 *     deno task bench:redis [messages] [rounds]
 *
 * Each consumer is a process of its own, on one server, and they take turns. At
 * first the messages wait when the process begins to connect: what the last one
 * is handled after is "fresh". Then as many come again and again: what lies
 * between the first one and the last one is "warm".
 *
 * The bare client acknowledges nothing, as at most once does: `BLMPOP` takes 512
 * messages, each is read by `JSON.parse`, and one of its fields is looked at.
 */
import { Connection, startRedis } from "../src/redis/mod.ts";
import { type Contender, eventOf, fill, Peer } from "./peers/process.ts";
import { Comparison, type Goal, report, type Row } from "./report.ts";

const MESSAGES = Number(Deno.args[0] ?? 100_000);
const ROUNDS = Number(Deno.args[1] ?? 4);
/** Of a fresh process there is one figure only, and they differ by half. */
const FRESH_ROUNDS = 3 * ROUNDS;
/** After two turns, until the compiler is through. */
const WARM_TURNS = 6;
/** After so many turns memory shows whether it grows. */
const LOOKS = [4, 20, 40];
/** Those whose memory is looked at: ours, and those that do the least. */
const LASTING: readonly Contender[] = ["ours", "script by hand", "bare client"];
const QUEUE = "bench";
const EVENT = eventOf(330);
const CONTENDERS: readonly Contender[] = [
  "ours",
  "ours, at most once",
  "ours, async handler",
  "ours, for await",
  "bare client",
  "bare client, reading ahead",
  "bare client, unparsed",
  "script by hand",
  "script by hand, for await",
  "streams by hand",
  "redis-py",
];

/** What is asked for. */
function goalsOf(contender: string, measure: string): readonly Goal[] {
  if (measure === "start() to the first message") {
    return [{
      to: "bare client",
      ...(contender === "ours" && { figure: "≤ 200" }),
    }];
  }
  switch (contender) {
    case "ours":
      return [
        { to: "bare client", ratio: "≥ 1" },
        { to: "streams by hand", ratio: "≥ 2" },
        { to: "script by hand" },
      ];
    case "ours, at most once":
      return [{ to: "bare client", ratio: "≥ 1.15" }];
    case "ours, async handler":
      return [{ to: "ours", ratio: "≥ 0.87" }];
    case "ours, for await":
      return [
        { to: "ours", ratio: "≥ 0.87" },
        { to: "script by hand, for await" },
      ];
    case "script by hand, for await":
      return [{ to: "script by hand" }];
    default:
      return [{ to: "bare client" }];
  }
}

await using server = await startRedis();
const path = server.redisArgs.unix_socket_path!;
await using redis = await Connection.connect(server.redisArgs);
const comparison = new Comparison();

/** Starts a consumer for which messages wait. */
async function start(contender: Contender, count: number): Promise<Peer> {
  await redis.command(["FLUSHALL"]);
  await fill(redis, contender, QUEUE, EVENT, count);
  return await Peer.start(contender, { path, queue: QUEUE, count });
}

/** Gives how many messages are measured of a contender. */
function countOf(contender: Contender): number {
  // One message at a time is so slow that fewer have to do.
  return contender === "redis-py" ? MESSAGES / 10 : MESSAGES;
}

async function measureFresh(contender: Contender): Promise<void> {
  const count = countOf(contender);
  await using peer = await start(contender, count);
  const { begin, first, last } = await peer.done();
  comparison.add(
    contender,
    "start() to the first message",
    first - begin,
    "ms",
  );
  const rate = count / (last - begin) * 1000;
  comparison.add(contender, "backlog, fresh", rate, "messages/s");
}

async function measureWarm(contender: Contender): Promise<void> {
  const count = countOf(contender);
  await using peer = await start(contender, count);
  await peer.done();
  const rates: number[] = [];
  for (let turn = 0; turn <= WARM_TURNS; turn++) {
    await fill(redis, contender, QUEUE, EVENT, count);
    const { first, last } = await peer.done();
    if (turn > 0) rates.push(count / (last - first) * 1000);
  }
  comparison.add(contender, "backlog, warm", rates, "messages/s");
}

/** Measures all contenders some times. Nobody always comes after the same one. */
async function inTurns(
  rounds: number,
  measure: (contender: Contender) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? CONTENDERS : CONTENDERS.toReversed();
    for (const contender of order) await measure(contender);
  }
}

await inTurns(FRESH_ROUNDS, measureFresh);
await inTurns(ROUNDS, measureWarm);

/** Looks at the memory of a consumer that works for long. */
async function watchMemory(contender: Contender): Promise<Row[]> {
  const looks: Row[] = [];
  await using peer = await start(contender, MESSAGES);
  await peer.done();
  for (let turn = 2; turn <= LOOKS.at(-1)!; turn++) {
    await fill(redis, contender, QUEUE, EVENT, MESSAGES);
    await peer.done();
    if (!LOOKS.includes(turn)) continue;
    const value = await peer.usage.memory();
    const before = looks.at(-1)?.value;
    looks.push({
      what: `${contender}: memory after ${
        turn * MESSAGES / 1e6
      } million messages`,
      value,
      unit: "MiB",
      ...(before !== undefined && {
        ratio: {
          to: "the same, earlier",
          value: value / before,
          ...(contender === "ours" && { must: "≤ 1.1" }),
        },
      }),
    });
  }
  return looks;
}

const rows = comparison.rows(goalsOf);
for (const contender of LASTING) rows.push(...await watchMemory(contender));
await report("redis", rows, { redis: redis.version });
