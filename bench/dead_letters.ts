/**
 * Purging and requeueing dead letters by a filter that every second one meets,
 * which leaves the others where they are.
 *
 *     deno task bench:dead [dead letters] [ten times as many]
 *
 * The server's own log of slow commands tells how long it was held up at a time.
 */
import { encodeDeadLetter } from "../src/redis/dead_letter.ts";
import { Connection, DeadLetters, startRedis } from "../src/redis/mod.ts";
import { percentile, report, type Row } from "./report.ts";

const COUNTS = Deno.args.length > 0 ? Deno.args.map(Number) : [10_000, 100_000];
const QUEUE = "bench";
const DEAD = `{${QUEUE}}:dead`;
const payload = new TextEncoder().encode("x".repeat(330));

await using server = await startRedis();
await using redis = await Connection.connect(server.redisArgs);
await using dead = new DeadLetters(server.redisArgs, { queue: QUEUE });
await redis.command(["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
await redis.command(["CONFIG", "SET", "slowlog-max-len", "100000"]);

async function bury(count: number): Promise<void> {
  await redis.command(["DEL", DEAD, QUEUE]);
  for (let start = 0; start < count; start += 1000) {
    const letters = Array.from({ length: 1000 }, (_, at) =>
      encodeDeadLetter({
        id: crypto.randomUUID(),
        queue: QUEUE,
        reason: at % 2 === 0 ? "failed" : "malformed",
        error: "The handler has failed",
        time: Date.now() / 1000,
        deliveries: 3,
        payload,
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

/** How long each script has held the server up, in milliseconds. */
async function scriptTimes(): Promise<number[]> {
  const log = await redis.command<[number, number, number, string[]][]>(
    ["SLOWLOG", "GET", "100000"],
  );
  return log.filter(([, , , [name]]) => name?.startsWith("EVAL"))
    .map(([, , microseconds]) => microseconds / 1000);
}

const rows: Row[] = [];
for (const verb of ["purge", "requeue"] as const) {
  let first: number | undefined;
  for (const count of COUNTS) {
    await bury(count);
    await redis.command(["SLOWLOG", "RESET"]);
    const before = await serverTime();
    const start = performance.now();
    const done = await dead[verb]({ reason: "failed" });
    const value = (performance.now() - start) * 1000 / count;
    const scripts = await scriptTimes();
    if (done !== count / 2) throw new Error(`${done} of ${count / 2} ${verb}d`);
    first ??= value;
    const what = `${verb} every second one of ${count.toLocaleString("en")}`;
    rows.push({
      what: `${what}, the server's processor time for each`,
      value: (await serverTime() - before) / count,
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
    });
  }
}
await report("dead_letters", rows, { redis: redis.version });
