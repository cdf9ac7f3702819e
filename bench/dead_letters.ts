/**
 * Purging and requeueing dead letters by a filter that every second one meets,
 * which leaves the others where they are.
 *
 *     deno task bench:dead [dead letters] [ten times as many]
 *
 * The server's own log of slow commands tells how long it was held up at a time. A
 * machine that does something else in the midst of a script counts there, too. So
 * the same is done in several rounds, in which each script has the same to do, and
 * a script's time is the median of its rounds. Beside it, what the machine adds: as
 * many scripts that do nothing but count, for as long.
 */
import { encodeDeadLetter } from "../src/redis/dead_letter.ts";
import { Connection, DeadLetters, startRedis } from "../src/redis/mod.ts";
import { median, percentile, report, type Row } from "./report.ts";

const COUNTS = Deno.args.length > 0 ? Deno.args.map(Number) : [10_000, 100_000];
const ROUNDS = 5;
const QUEUE = "bench";
const DEAD = `{${QUEUE}}:dead`;
const encoder = new TextEncoder();

await using server = await startRedis();
await using redis = await Connection.connect(server.redisArgs);
await using dead = new DeadLetters(server.redisArgs, { queue: QUEUE });
await redis.command(["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
await redis.command(["CONFIG", "SET", "slowlog-max-len", "100000"]);

async function bury(count: number): Promise<void> {
  await redis.command(["DEL", DEAD, QUEUE, `{${QUEUE}}:deliveries`]);
  for (let start = 0; start < count; start += 1000) {
    const letters = Array.from({ length: 1000 }, (_, at) =>
      encodeDeadLetter({
        id: crypto.randomUUID(),
        // Its sender has given it no id: so it takes this one along, as a history.
        received: Date.now() / 1000,
        queue: QUEUE,
        reason: at % 2 === 0 ? "failed" : "malformed",
        error: "The handler has failed",
        time: Date.now() / 1000,
        deliveries: 3,
        payload: encoder.encode(String(start + at).padStart(330, "x")),
      }));
    await redis.command(["RPUSH", DEAD, ...letters]);
  }
}

/** The processor time of the server so far, in microseconds. */
async function serverTime(): Promise<number> {
  const text = await redis.command<string>(["INFO", "cpu"]);
  const times = [...text.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)];
  return times.reduce((sum, [, seconds]) => sum + Number(seconds) * 1e6, 0);
}

/** How long each script has held the server up, in their order, in milliseconds. */
async function scriptTimes(): Promise<number[]> {
  const log = await redis.command<[number, number, number, string[]][]>(
    ["SLOWLOG", "GET", "100000"],
  );
  return log.filter(([, , , [name]]) => name?.startsWith("EVAL"))
    .map(([, , microseconds]) => microseconds / 1000)
    .reverse();
}

/** The longest of as many scripts that only count, for so many milliseconds. */
async function longestCount(count: number, time: number): Promise<number> {
  const lua = "for _ = 1, tonumber(ARGV[1]) do end";
  const run = (turns: number): Promise<unknown> =>
    redis.command(["EVAL", lua, "0", String(turns)]);
  const turns = 1e6;
  await redis.command(["SLOWLOG", "RESET"]);
  for (let at = 0; at < 9; at++) await run(turns);
  const each = median(await scriptTimes()) / turns;
  await redis.command(["SLOWLOG", "RESET"]);
  for (let at = 0; at < count; at++) await run(Math.round(time / each));
  return Math.max(...await scriptTimes());
}

/** What the rounds with so many dead letters have taken. */
interface Rounds {
  count: number;
  /** For each dead letter that is looked at, in microseconds. */
  times: number[];
  /** Of that, the server's processor time. */
  used: number[];
  /** Of each round, how long each script held the server up, in milliseconds. */
  scripts: number[][];
}

async function runRound(
  verb: "purge" | "requeue",
  { count, times, used, scripts }: Rounds,
): Promise<void> {
  await bury(count);
  await redis.command(["SLOWLOG", "RESET"]);
  const before = await serverTime();
  const start = performance.now();
  const done = await dead[verb]({ reason: "failed" });
  if (done !== count / 2) throw new Error(`${done} of ${count / 2} ${verb}d`);
  times.push((performance.now() - start) * 1000 / count);
  used.push((await serverTime() - before) / count);
  scripts.push(await scriptTimes());
}

const rows: Row[] = [];
for (const verb of ["purge", "requeue"] as const) {
  const start = (count: number): Rounds => ({
    count,
    times: [],
    used: [],
    scripts: [],
  });
  // The first time, the server has to be told the scripts.
  for (const count of COUNTS) await runRound(verb, start(count));
  const all = COUNTS.map(start);
  for (let round = 0; round < ROUNDS; round++) {
    for (const rounds of all) await runRound(verb, rounds);
  }
  let first: number | undefined;
  for (const { count, times, used, scripts: rounds } of all) {
    const [one = []] = rounds;
    if (rounds.some(({ length }) => length !== one.length)) {
      throw new Error("The rounds were not the same");
    }
    const scripts = one.map((_, at) => median(rounds.map((all) => all[at]!)));
    const value = median(times);
    first ??= value;
    const what = `${verb} every second one of ${count.toLocaleString("en")}`;
    rows.push({
      what: `${what}, the server's processor time for each`,
      value: median(used),
      unit: "µs",
    }, {
      what: `${what}, for each that is looked at`,
      value,
      unit: "µs",
      ...(value !== first && {
        ratio: {
          to: `with ${COUNTS[0]!.toLocaleString("en")}`,
          value: value / first,
          must: "≤ 1.5",
        },
      }),
    }, {
      what: `${what}, 99 of 100 scripts`,
      value: percentile(scripts, 0.99),
      unit: "ms",
    }, {
      what: `${what}, longest script`,
      value: Math.max(...scripts),
      unit: "ms",
      must: "≤ 2",
    }, {
      what: `${what}, longest with what the machine adds, median of rounds`,
      value: median(rounds.map((all) => Math.max(...all))),
      unit: "ms",
    }, {
      what: `as many scripts that count for ${
        median(scripts).toFixed(2)
      } ms, longest`,
      value: await longestCount(scripts.length, median(scripts)),
      unit: "ms",
    });
  }
}
await report("dead_letters", rows, { redis: redis.version });
