/**
 * How work that computes gets faster with more members of a group: a batch of
 * messages that each keep a processor busy for about a millisecond, with 1, 2 and
 * 4 members in a thread each.
 *
 *     deno task bench:groups
 *
 * With as many members as processor cores, what is missing to the whole is what
 * sharing costs, and the thread that posts; more members bring no more.
 */
import { Bus, pool } from "../src/bus/mod.ts";
import { report, type Row, Series } from "./report.ts";

const ROUNDS = 5;
const MESSAGES = Number(Deno.args[0] ?? 4000);
const SIZES = [1, 2, 4];

/** Messages a second of a group. */
async function rate(size: number): Promise<number> {
  const name = `bench/groups/${crypto.randomUUID()}`;
  await using bus = new Bus({ name, deviceId: "bench", plain: false });
  const url = new URL("./groups_worker.ts", import.meta.url);
  url.searchParams.set("bus", name);
  await using members = pool(url, { size });
  await members.ready();
  const post = async (count: number): Promise<void> => {
    const receipt = await bus.post(Array.from({ length: count }, (_, n) => ({
      type: "event",
      args: { type: "bench.Work", n },
    })));
    const failures = await receipt.handled;
    if (failures.length > 0) throw failures[0]!.error;
  };
  // Until the compiler is through with the handler.
  await post(100 * size);
  const start = performance.now();
  await post(MESSAGES);
  return MESSAGES / (performance.now() - start) * 1000;
}

const series = new Series();
const label = (size: number): string =>
  `a handler that computes, ${size === 1 ? "1 member" : `${size} members`}`;

for (let round = 0; round < ROUNDS; round++) {
  for (const size of SIZES) {
    await series.measure(label(size), () => rate(size));
  }
}

const one = series.median(label(1));
await report(
  "groups",
  SIZES.map((size): Row => {
    const what = label(size);
    const value = series.median(what);
    const unit = "messages/s";
    if (size === 1) return { what, value, unit };
    return {
      what,
      value,
      unit,
      ratio: { to: "one member", value: value / one },
    };
  }),
);
