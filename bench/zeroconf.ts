/**
 * Compares Zeroconf stacks on hosts of their own: network namespaces on one
 * bridge. `bench/results/zeroconf.json` is written with each figure that comes,
 * and a stack that fails costs its own figure only. It takes about three and a
 * half minutes.
 */
// deno-lint-ignore-file no-console

import { run, whyNoNamespaces } from "../tests/namespaces.ts";
import type { Stack } from "../tests/interop/zeroconf_peer.ts";
import { median, report, type Row, writeResult } from "./report.ts";
import {
  type Load,
  measureLoads,
  measureTraffic,
  NOISE,
} from "./zeroconf_load.ts";
import { BusyNetwork, measureSeen, ServiceHost } from "./zeroconf_times.ts";

/** Ours and Avahi speak IPv4 and IPv6, which is twice the packets of IPv4 alone. */
const LABELS = {
  ours: "ours",
  python: "python-zeroconf, IPv4 only",
  "python-both": "python-zeroconf, IPv4 and IPv6",
  avahi: "Avahi",
} as const satisfies Partial<Record<Stack, string>>;
type Compared = keyof typeof LABELS;
const STACKS = Object.keys(LABELS) as Compared[];
/** Those whose processor's time is measured. */
const LOADED = ["ours", "python", "avahi"] as const satisfies Compared[];
const INTERFACES = [1, 9];
const SERVICES = [10, 100, 1_000];
/** Seconds for which packets are counted. */
const PERIOD = 60;
/** How often it is measured how soon a service is seen. */
const ROUNDS = 5;

const rows: Row[] = [];
const missing: string[] = [];

// Looking for a newer Deno asks for names on the network, which would count.
Deno.env.set("DENO_NO_UPDATE_CHECK", "1");
const reason = await whyNoNamespaces();
if (reason) {
  console.log(`Skipped: ${reason}`);
  Deno.exit();
}
const versions = {
  "python-zeroconf": await versionOf("python3-zeroconf"),
  avahi: await versionOf("avahi-daemon"),
};
await compareTimes();
// None of these needs a processor for long, so they run at the same time.
const traffic = ofEach(
  STACKS,
  "packets",
  (stack) => measureTraffic(stack, PERIOD),
);
await compareLoads();
await compareTraffic(await traffic);
await report("zeroconf", rows, versions);
if (missing.length > 0) console.log(`Not measured:\n${missing.join("\n")}`);

/** How soon services are found. */
async function compareTimes(): Promise<void> {
  const seen = `from registering to being seen, median of ${ROUNDS}`;
  // They wait, most of the time, so they do so together.
  const all = await ofEach(STACKS, seen, (stack) => measureSeen(stack, ROUNDS));
  for (const [stack, rounds] of all) {
    await note(stack, seen, median(rounds), "s");
  }
  for (const count of SERVICES) {
    await using host = await ServiceHost.with(count);
    const what = `time to find ${count} services`;
    for (const stack of STACKS) {
      const figure = await attempt(stack, what, () => host.foundBy(stack));
      await note(stack, what, inMilliseconds(figure), "ms");
    }
  }
  await using network = await BusyNetwork.make();
  const what = `first service on a busy network, median of ${ROUNDS}`;
  for (const stack of STACKS) {
    const figure = await attempt(stack, what, async () => {
      const rounds: number[] = [];
      while (rounds.length < ROUNDS) rounds.push(await network.seenBy(stack));
      return median(rounds);
    });
    await note(stack, what, inMilliseconds(figure), "ms");
  }
}

function inMilliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

/** What stacks cost, ours beside python-zeroconf. */
async function compareLoads(): Promise<void> {
  const all = await Promise.all(INTERFACES.map((interfaces) =>
    ofEach(
      LOADED,
      `load with ${interfaces} interfaces`,
      (stack) => measureLoads(stack, interfaces),
    )
  ));
  for (const noise of [0, NOISE]) {
    for (const [i, interfaces] of INTERFACES.entries()) {
      const loadOf = (stack: (typeof LOADED)[number]): Load | undefined =>
        all[i]!.get(stack)?.find((load) => load.noise === noise);
      const where = `${noise === 0 ? "at rest" : `at ${noise} packets/s`}, ${
        interfaces === 1 ? "1 interface" : `${interfaces} interfaces`
      }`;
      const python = loadOf("python")?.cpu;
      for (const stack of LOADED) {
        const cpu = loadOf(stack)?.cpu;
        const ratio = stack === "ours" && noise > 0 && cpu && python
          ? { to: "python-zeroconf", value: cpu / python, must: "≤ 1.5" }
          : undefined;
        await note(stack, `processor's time ${where}`, cpu, "ms/s", ratio);
      }
      for (const stack of LOADED) {
        await note(stack, `memory ${where}`, loadOf(stack)?.memory, "MiB");
      }
    }
  }
}

async function compareTraffic(
  sent: ReadonlyMap<Compared, { packets: number; bytes: number }>,
): Promise<void> {
  for (const unit of ["packets", "bytes"] as const) {
    const what = `sent in the first ${PERIOD} s, ${unit}`;
    for (const [stack, figures] of sent) {
      await note(stack, what, figures[unit], unit);
    }
  }
}

/** Measures several stacks at the same time; who fails is left out. */
async function ofEach<S extends Compared, T>(
  stacks: readonly S[],
  what: string,
  measure: (stack: S) => Promise<T>,
): Promise<Map<S, T>> {
  const figures = await Promise.all(
    stacks.map((stack) => attempt(stack, what, () => measure(stack))),
  );
  return new Map(stacks.flatMap((stack, i) => {
    const figure = figures[i];
    return figure === undefined ? [] : [[stack, figure] as const];
  }));
}

/** Measures, and tells why where that fails: the others go on. */
async function attempt<T>(
  stack: Compared,
  what: string,
  measure: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await measure();
  } catch (error) {
    const why = (error as Error).message.slice(0, 300);
    missing.push(`${LABELS[stack]}: ${what}: ${why}`);
    console.error(missing.at(-1));
    return undefined;
  }
}

/** Adds a figure to the results, where there is one. */
async function note(
  stack: Compared,
  what: string,
  value: number | undefined,
  unit: string,
  ratio?: Row["ratio"],
): Promise<void> {
  if (value === undefined) return;
  const row = { what: `${LABELS[stack]}: ${what}`, value, unit };
  rows.push(ratio === undefined ? row : { ...row, ratio });
  console.error(row.what, Number(value.toPrecision(4)), unit);
  await writeResult("zeroconf", rows, versions);
}

async function versionOf(debianPackage: string): Promise<string> {
  const format = "-f=${Version}";
  return (await run("dpkg-query", "-W", format, debianPackage)).stdout;
}
