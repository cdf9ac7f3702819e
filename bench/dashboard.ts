/**
 * What the dashboard costs a backend in a flood: from a Redis list to a handler,
 * at least once, without a page, with one that nobody looks at, and with one
 * that is open in a browser.
 *
 *     deno task bench:dashboard [messages]
 *
 * Each run is a process of its own, and rounds alternate. Who looks is another
 * process, as a browser is. Beside the rate there is the processor time of a run,
 * all threads together: on a busy machine it tells small differences where rates
 * do not.
 */
// deno-lint-ignore-file no-console
import { Connection, startRedis } from "../src/redis/mod.ts";
import { type Cost, costOf, leastCpu, rate, rowsOf } from "./cost.ts";
import { report } from "./report.ts";

const MESSAGES = Number(Deno.args[0] ?? 500_000);
const ROUNDS = Number(Deno.args[1] ?? 8);

const WITHOUT = "no page";
const CLOSED = "a page that nobody looks at";
const OPEN = "the page of messages, open";
const CONTENDERS: Readonly<Record<string, string>> = {
  [WITHOUT]: "none",
  [CLOSED]: "closed",
  [OPEN]: "open",
};

await using server = await startRedis();
await using redis = await Connection.connect(server.redisArgs);

const costs: Record<string, Cost[]> = {};
for (let round = 0; round < ROUNDS; round++) {
  // Nobody always comes after the same one.
  const names = Object.keys(CONTENDERS);
  if (round % 2 === 1) names.reverse();
  for (const name of names) {
    const cost = await costOf(redis, "./dashboard_run.ts", {
      redisArgs: server.redisArgs,
      messages: MESSAGES,
      args: [CONTENDERS[name]!],
    });
    (costs[name] ??= []).push(cost);
    console.error(name, Math.round(cost.rate), cost.cpu.toFixed(3));
  }
}

await report("dashboard", [
  ...rowsOf(costs, WITHOUT, {
    pick: rate,
    unit: "messages/s",
    must: () => "≥ 0.97",
  }),
  ...rowsOf(costs, WITHOUT, {
    prefix: "least processor time, ",
    pick: leastCpu,
    unit: "µs/message",
    must: () => "≤ 1.03",
  }),
], { redis: redis.version });
