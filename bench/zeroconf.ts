/**
 * Compares Zeroconf stacks on hosts of their own: network namespaces on one
 * bridge. Writes `bench/results/zeroconf.json`.
 */

import { Lan, type Namespace, whyNoNamespaces } from "../tests/namespaces.ts";
import { Peer, type Stack } from "../tests/interop/zeroconf_peer.ts";

const STACKS: readonly Stack[] = ["ours", "python", "avahi"];
const SERVICES = 200;
/** Seconds for which packets are counted. */
const PERIOD = 60;

interface Result {
  stack: Stack;
  /** From asking for the registration to the other host seeing it, in seconds. */
  registeredToSeen: number;
  /** Until a new browser has seen all services of one host, in seconds. */
  find200Services: number;
  /** Sent by a host with one service and a host with one browser. */
  packets: number;
  bytes: number;
}

/** What a host has sent, IPv6's own packets included. */
async function sentBy(
  host: Namespace,
): Promise<{ packets: number; bytes: number }> {
  const { stdout } = await host.run("ip", "-j", "-s", "link", "show", "eth0");
  return JSON.parse(stdout)[0].stats64.tx;
}

async function measure(stack: Stack): Promise<Result> {
  const registeredToSeen = await measureSeen(stack);
  const find200Services = await measureFinding(stack);
  return {
    stack,
    registeredToSeen,
    find200Services,
    ...await measureTraffic(stack),
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

async function measureFinding(stack: Stack): Promise<number> {
  await using lan = await Lan.make(2);
  await using there = new Peer(lan.hosts[0]!, "ours");
  await there.registerMany(SERVICES);
  // After the announcements, so that the browser has to ask.
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  await using here = new Peer(lan.hosts[1]!, stack);
  await here.ready();
  const found = new Set<string>();
  const start = performance.now();
  await here.browse();
  await here.sees(`${SERVICES} services`, ({ event, name }) => {
    if (event === "added") found.add(name!);
    return found.size === SERVICES;
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
// deno-lint-ignore no-console -- it is what the program is for
console.table(results);
await Deno.writeTextFile(
  new URL("./results/zeroconf.json", import.meta.url),
  `${
    JSON.stringify(
      {
        deno: Deno.version.deno,
        cpus: navigator.hardwareConcurrency,
        services: SERVICES,
        seconds: PERIOD,
        results,
      },
      null,
      2,
    )
  }\n`,
);
