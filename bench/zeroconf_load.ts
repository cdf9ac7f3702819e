import { PYTHON } from "../tests/python.ts";
import { Lan, type Namespace } from "../tests/namespaces.ts";
import { Peer, type Stack } from "../tests/interop/zeroconf_peer.ts";

/** Packets a second that concern nobody here, as on a network with many things. */
const NOISE = 50;
/** Seconds for which the processor's time is counted, and before it. */
const PERIOD = 20;
const SETTLING = 6;
/** Milliseconds of one tick of the kernel's clock. */
const TICK = 10;

/** The processor's time of a stack that announces a service and looks for others. */
export interface Load {
  readonly interfaces: number;
  /** Packets a second that are none of its concern. */
  readonly noise: number;
  /** Milliseconds of the processor a second. */
  readonly cpu: number;
  /** Mebibytes in memory. */
  readonly memory: number;
}

/** Measures what a stack costs at rest and on a busy network, with few interfaces and with many. */
export async function measureLoads(stack: Stack): Promise<Load[]> {
  const loads: Load[] = [];
  for (const interfaces of [1, 9]) {
    await using lan = await Lan.make(2);
    const [host, other] = lan.hosts as [Namespace, Namespace];
    await addBridges(host, interfaces - 1);
    await using peer = new Peer(host, stack, stack === "ours" ? ["--all"] : []);
    await peer.browse();
    await peer.register("one", 1, "192.168.77.1", { id: "1" });
    for (const noise of [0, NOISE]) {
      await using _others = noise > 0 ? await startNoise(other) : undefined;
      await pass(SETTLING);
      const before = await usedBy(host, stack);
      await pass(PERIOD);
      const after = await usedBy(host, stack);
      const cpu = (after.cpu - before.cpu) / PERIOD;
      loads.push({ interfaces, noise, cpu, memory: after.memory });
    }
  }
  return loads;
}

/** Measures how soon a new browser sees a service on a busy network, in seconds. */
export async function measureBusy(stack: Stack): Promise<number> {
  await using lan = await Lan.make(3);
  const [host, other, third] = lan.hosts as [Namespace, Namespace, Namespace];
  await using _others = await startNoise(other);
  await using there = new Peer(third, "ours");
  await there.register("one", 1, "192.168.77.3", { id: "1" });
  await using here = new Peer(host, stack);
  await here.ready();
  // After the announcements, so that it has to ask.
  await pass(SETTLING);
  const start = performance.now();
  await here.browse();
  await here.sees("the service", ({ event }) => event === "added");
  return (performance.now() - start) / 1_000;
}

async function startNoise(host: Namespace): Promise<AsyncDisposable> {
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
      const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
      if (stack === "avahi" && !stat.includes("(avahi-daemon)")) continue;
      // What stands behind the name, which may have any characters in it.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const [user, system, resident] = [fields[11], fields[12], fields[21]];
      used.cpu += (Number(user) + Number(system)) * TICK;
      used.memory += Number(resident) * 4_096 / 2 ** 20;
    } catch {
      // It has just ended.
    }
  }
  return used;
}

function pass(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}
