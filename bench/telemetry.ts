/**
 * What metrics and traces cost: from a Redis list to a handler, at most once,
 * with them and without.
 *
 *     deno task bench:telemetry [messages]
 *
 * Each run is a process of its own, which gets nothing but its work, and rounds
 * alternate. "Without the code" is the same program with a module in place of
 * `src/telemetry` that does nothing, put there by an import map. Spans and
 * metrics go to a collector in this process, which throws them away.
 *
 * Beside the rate there is the processor time of a run, all threads together.
 * What else the machine does can only add to that, so that the least of all
 * rounds tells small differences where medians do not.
 */
// deno-lint-ignore-file no-console
import config from "../deno.json" with { type: "json" };
import { Connection, startRedis } from "../src/redis/mod.ts";
import { type Cost, costOf, leastCpu, rate, rowsOf } from "./cost.ts";
import { median, report } from "./report.ts";

const MESSAGES = Number(Deno.args[0] ?? 300_000);
/** Many, since what matters is small beside what else the machine does. */
const ROUNDS = 16;
/** How often those run whose cost is large. */
const EVERY = 4;

/** How a contender runs. */
interface Contender {
  /** Whether its cost is large enough to be seen in fewer rounds. */
  readonly isCostly?: boolean;
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
}

const WITHOUT = "without the code";
const OFF = "off";
const METRICS = "metrics";
const SAMPLED = "metrics, and traces of 1 %";
const ALL = "metrics, and traces of all messages";

function url(path: string): string {
  return new URL(path, import.meta.url).href;
}

async function writeImportMap(): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  const imports = {
    ...config.imports,
    [url("../src/telemetry/mod.ts")]: url("./no_telemetry.ts"),
  };
  await Deno.writeTextFile(path, JSON.stringify({ imports }));
  return path;
}

await using server = await startRedis();
await using redis = await Connection.connect(server.redisArgs);
let collected = 0;
await using collector = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: () => {} },
  async (request) => {
    collected += (await request.arrayBuffer()).byteLength;
    return new Response();
  },
);
const importMap = await writeImportMap();
const on = {
  OTEL_DENO: "true",
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
  OTEL_METRIC_EXPORT_INTERVAL: "1000",
};
const contenders: Record<string, Contender> = {
  [WITHOUT]: { args: [`--import-map=${importMap}`] },
  [OFF]: {},
  [METRICS]: { env: { ...on, OTEL_DENO_TRACING: "false" } },
  [SAMPLED]: {
    isCostly: true,
    env: {
      ...on,
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.01",
    },
  },
  [ALL]: { isCostly: true, env: on },
};

const costs: Record<string, Cost[]> = {};
for (let round = 0; round < ROUNDS; round++) {
  // Nobody always comes after the same one.
  const names = Object.keys(contenders);
  if (round % 2 === 1) names.reverse();
  for (const name of names) {
    const contender = contenders[name]!;
    if (contender.isCostly && round % EVERY > 0) continue;
    const cost = await costOf(redis, "./telemetry_run.ts", {
      redisArgs: server.redisArgs,
      messages: MESSAGES,
      flags: contender.args,
      env: contender.env,
    });
    (costs[name] ??= []).push(cost);
    console.error(name, Math.round(cost.rate), cost.cpu.toFixed(3));
  }
}
console.error("bytes collected", collected);
await Deno.remove(importMap);

await report("telemetry", [
  ...rowsOf(costs, WITHOUT, { pick: rate, unit: "messages/s" }),
  ...rowsOf(costs, WITHOUT, {
    prefix: "processor time, ",
    pick: (costs) => median(costs.map(({ cpu }) => cpu)),
    unit: "µs/message",
  }),
  ...rowsOf(costs, WITHOUT, {
    prefix: "least processor time, ",
    pick: leastCpu,
    unit: "µs/message",
    must: (name) => name === OFF ? "≤ 1.02" : undefined,
  }),
], { redis: redis.version });
