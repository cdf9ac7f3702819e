/**
 * Compares Zeroconf stacks on hosts of their own: network namespaces on one
 * bridge. Writes `bench/results/zeroconf.json`.
 */

import {
  Lan,
  type Namespace,
  run,
  whyNoNamespaces,
} from "../tests/namespaces.ts";
import { Peer, type Stack } from "../tests/interop/zeroconf_peer.ts";
import { median, report, type Row } from "./report.ts";
import { type Load, measureBusy, measureLoads } from "./zeroconf_load.ts";

/** Ours and Avahi speak IPv4 and IPv6, which is twice the packets of IPv4 alone. */
const LABELS: Readonly<Partial<Record<Stack, string>>> = {
  ours: "ours",
  python: "python-zeroconf, IPv4 only",
  "python-both": "python-zeroconf, IPv4 and IPv6",
  avahi: "Avahi",
};
const STACKS = Object.keys(LABELS) as Stack[];
const SERVICES = [10, 100, 1_000];
/** Those whose processor's time is measured. */
const LOADED = ["ours", "python", "avahi"] as const satisfies Stack[];
/** Seconds for which packets are counted. */
const PERIOD = 60;

/** How often it is measured how soon a service is seen. */
const ROUNDS = 5;

interface Result {
  stack: Stack;
  /** From asking for the registration to the other host seeing it, in seconds. */
  seen: number;
  /** Until a new browser has seen all of so many services of one host, in seconds. */
  found: number[];
  /** Until a new browser has seen a service on a busy network, in seconds. */
  busy: number;
  /** Sent by a host with one service and a host with one browser. */
  packets: number;
  bytes: number;
}

// Looking for a newer Deno asks for names on the network, which would count.
Deno.env.set("DENO_NO_UPDATE_CHECK", "1");

/** What a host has sent, IPv6's own packets included. */
async function sentBy(
  host: Namespace,
): Promise<{ packets: number; bytes: number }> {
  const { stdout } = await host.run("ip", "-j", "-s", "link", "show", "eth0");
  return JSON.parse(stdout)[0].stats64.tx;
}

async function measure(stack: Stack): Promise<Result> {
  const rounds: number[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await measureSeen(stack));
  const found: number[] = [];
  for (const count of SERVICES) found.push(await measureFinding(stack, count));
  const busy: number[] = [];
  for (let i = 0; i < ROUNDS; i++) busy.push(await measureBusy(stack));
  const traffic = await measureTraffic(stack);
  return {
    stack,
    seen: median(rounds),
    found,
    busy: median(busy),
    ...traffic,
  };
}

async function measureSeen(stack: Stack): Promise<number> {
  await using lan = await Lan.make(2);
  await using there = new Peer(lan.hosts[0]!, stack);
  await using here = new Peer(lan.hosts[1]!, stack);
  await here.browse();
  await there.ready();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const start = performance.now();
  const registering = there.register("one", 2, "192.168.77.1", { id: "1" });
  await here.sees("the service", ({ event }) => event === "added");
  const seconds = (performance.now() - start) / 1_000;
  await registering;
  return seconds;
}

async function measureFinding(stack: Stack, count: number): Promise<number> {
  await using lan = await Lan.make(2);
  await using there = new Peer(lan.hosts[0]!, "ours");
  await there.registerMany(count);
  // After the announcements, so that the browser has to ask.
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  await using here = new Peer(lan.hosts[1]!, stack);
  await here.ready();
  const found = new Set<string>();
  const start = performance.now();
  await here.browse();
  await here.sees(`${count} services`, ({ event, name }) => {
    if (event === "added") found.add(name!);
    return found.size === count;
  }, 60);
  return (performance.now() - start) / 1_000;
}

async function measureTraffic(
  stack: Stack,
): Promise<{ packets: number; bytes: number }> {
  await using lan = await Lan.make(2);
  // IPv6 greets the network when a link comes up; that is not counted.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const before = await Promise.all(lan.hosts.map(sentBy));
  await using there = new Peer(lan.hosts[0]!, stack);
  await using here = new Peer(lan.hosts[1]!, stack);
  await Promise.all([
    here.browse(),
    there.register("one", 1, "192.168.77.1", { id: "1" }),
  ]);
  await new Promise((resolve) => setTimeout(resolve, PERIOD * 1_000));
  const after = await Promise.all(lan.hosts.map(sentBy));
  const sum = (key: "packets" | "bytes"): number =>
    after.reduce((all, host, i) => all + host[key] - before[i]![key], 0);
  return { packets: sum("packets"), bytes: sum("bytes") };
}

const reason = await whyNoNamespaces();
if (reason) {
  // deno-lint-ignore no-console -- it is what the program is for
  console.log(`Skipped: ${reason}`);
  Deno.exit();
}
// A failure must not keep the others from removing their namespaces.
const outcomes = await Promise.allSettled(STACKS.map(measure));
const results = outcomes.map((outcome) => {
  if (outcome.status === "rejected") throw outcome.reason;
  return outcome.value;
});
// One after the other, since it is the processor's time that counts.
const loads = new Map<Stack, Load[]>();
for (const stack of LOADED) loads.set(stack, await measureLoads(stack));
await report(
  "zeroconf",
  [
    ...rowsOf("from registering to being seen, median of 5", "s", "seen"),
    ...SERVICES.flatMap((count, i) =>
      rowsOf(`time to find ${count} services`, "s", ({ found }) => found[i]!)
    ),
    ...rowsOf("first service on a busy network, median of 5", "s", "busy"),
    ...loadRows(),
    ...rowsOf(`sent in the first ${PERIOD} s`, "packets", "packets"),
    ...rowsOf(`sent in the first ${PERIOD} s`, "bytes", "bytes"),
  ],
  {
    "python-zeroconf": await versionOf("python3-zeroconf"),
    avahi: await versionOf("avahi-daemon"),
  },
);

function rowsOf(
  what: string,
  unit: string,
  figure: Exclude<keyof Result, "stack" | "found"> | ((of: Result) => number),
): Row[] {
  return results.map((result) => ({
    what: `${LABELS[result.stack]}: ${what}${unit === "s" ? "" : `, ${unit}`}`,
    value: typeof figure === "function" ? figure(result) : result[figure],
    unit,
  }));
}

/** The processor's time, ours beside that of python-zeroconf, and the memory. */
function loadRows(): Row[] {
  return loads.get("ours")!.flatMap(({ interfaces, noise }, i) =>
    LOADED.flatMap((stack): Row[] => {
      const { cpu, memory } = loads.get(stack)![i]!;
      const python = loads.get("python")![i]!.cpu;
      const where = `${noise === 0 ? "at rest" : `at ${noise} packets/s`}, ${
        interfaces === 1 ? "1 interface" : `${interfaces} interfaces`
      }`;
      return [{
        what: `${LABELS[stack]}: processor's time ${where}`,
        value: cpu,
        unit: "ms/s",
        ...(stack === "ours" && noise > 0 && {
          ratio: { to: "python-zeroconf", value: cpu / python, must: "≤ 1.5" },
        }),
      }, {
        what: `${LABELS[stack]}: memory ${where}`,
        value: memory,
        unit: "MiB",
      }];
    })
  );
}

async function versionOf(debianPackage: string): Promise<string> {
  const format = "-f=${Version}";
  return (await run("dpkg-query", "-W", format, debianPackage)).stdout;
}
