import { PYTHON } from "../tests/python.ts";
import { Lan, type Namespace } from "../tests/namespaces.ts";
import { Peer, type Stack } from "../tests/interop/zeroconf_peer.ts";
import { Usage } from "./usage.ts";

/** Packets a second that concern nobody here, as on a network with many things. */
export const NOISE = 50;
/** Seconds for which the processor's time is counted, and before it. */
const PERIOD = 18;
const SETTLING = 6;

/** The processor's time of a stack that announces a service and looks for others. */
export interface Load {
  /** Packets a second that are none of its concern. */
  readonly noise: number;
  /** Milliseconds of the processor a second. */
  readonly cpu: number;
  /** Mebibytes in memory. */
  readonly memory: number;
}

/** Measures what a stack costs at rest and on a busy network, with so many interfaces. */
export async function measureLoads(
  stack: Stack,
  interfaces: number,
): Promise<Load[]> {
  await using lan = await Lan.make(2);
  const [host, other] = lan.hosts as [Namespace, Namespace];
  await addBridges(host, interfaces - 1);
  await using peer = new Peer(host, stack, stack === "ours" ? ["--all"] : []);
  await peer.look();
  await peer.register("one", 1, "192.168.77.1", { id: "1" });
  const loads: Load[] = [];
  for (const noise of [0, NOISE]) {
    await using _others = noise > 0 ? await startNoise(other) : undefined;
    await pass(SETTLING);
    const start = performance.now();
    const before = await usedBy(host, stack);
    await pass(PERIOD);
    const after = await usedBy(host, stack);
    const seconds = (performance.now() - start) / 1_000;
    const cpu = (after.cpu - before.cpu) / seconds;
    loads.push({ noise, cpu, memory: after.memory });
  }
  return loads;
}

/** Counts what a host with one service and a host with one browser send, for so many seconds. */
export async function measureTraffic(
  stack: Stack,
  seconds: number,
): Promise<{ packets: number; bytes: number }> {
  await using lan = await Lan.make(2);
  // IPv6 greets the network when a link comes up; that is not counted.
  await pass(3);
  const before = await Promise.all(lan.hosts.map(sentBy));
  await using there = new Peer(lan.hosts[0]!, stack);
  await using here = new Peer(lan.hosts[1]!, stack);
  await Promise.all([
    here.look(),
    there.register("one", 1, "192.168.77.1", { id: "1" }),
  ]);
  await pass(seconds);
  const after = await Promise.all(lan.hosts.map(sentBy));
  const sum = (key: "packets" | "bytes"): number =>
    after.reduce((all, host, i) => all + host[key] - before[i]![key], 0);
  return { packets: sum("packets"), bytes: sum("bytes") };
}

/** What a host has sent, IPv6's own packets included. */
async function sentBy(
  host: Namespace,
): Promise<{ packets: number; bytes: number }> {
  const { stdout } = await host.run("ip", "-j", "-s", "link", "show", "eth0");
  return JSON.parse(stdout)[0].stats64.tx;
}

/** Has a host say what concerns nobody. */
export async function startNoise(host: Namespace): Promise<AsyncDisposable> {
  const script = new URL("zeroconf_noise.py", import.meta.url).pathname;
  const running = host.start(PYTHON, ["-u", script, String(NOISE)]);
  await running.line();
  return { [Symbol.asyncDispose]: () => running.stop("SIGKILL") };
}

/** Gives a host more networks, as those of containers. */
async function addBridges(host: Namespace, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await host.ip("link", "add", `br${i}`, "type", "bridge");
    await host.ip("addr", "add", `172.${20 + i}.0.1/16`, "dev", `br${i}`);
    await host.ip("link", "set", `br${i}`, "up");
  }
}

/**
 * What a stack in a namespace has used so far: milliseconds of the processor, and
 * mebibytes. Avahi is a program of its own, beside what talks with it.
 */
async function usedBy(
  host: Namespace,
  stack: Stack,
): Promise<{ cpu: number; memory: number }> {
  const { stdout } = await host.run("ip", "netns", "pids", host.name);
  const used = { cpu: 0, memory: 0 };
  for (const pid of stdout.trim().split("\n")) {
    try {
      const name = await Deno.readTextFile(`/proc/${pid}/comm`);
      if (stack === "avahi" && name.trim() !== "avahi-daemon") continue;
      const usage = new Usage(Number(pid));
      used.cpu += (await usage.look()).cpu;
      used.memory += await usage.memory();
    } catch {
      // It has just ended.
    }
  }
  return used;
}

/** Lets time pass. */
export function pass(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}
