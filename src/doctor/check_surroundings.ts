import type { Settings } from "../redis/settings.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";
import { allInterfaces } from "../zeroconf/interfaces.ts";
import { Sockets } from "../zeroconf/sockets.ts";
import { decodeMessage } from "../zeroconf/wire_format.ts";
import { sleep } from "../waiting.ts";

/** The oldest version that has everything needed: Web Locks. */
const OLDEST = [2, 9] as const;

/** Looks at the version of Deno. */
export function checkDeno(version: string = Deno.version.deno): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isRecent = major > OLDEST[0] ||
    (major === OLDEST[0] && minor >= OLDEST[1]);
  return isRecent ? ok("deno", `Deno ${version}.`) : failure(
    "deno",
    `Deno ${version} is too old.`,
    `Upgrade to ${OLDEST.join(".")} or newer: deno upgrade`,
  );
}

/** Looks at what this process may do. */
export async function* checkPermissions(
  { address, sentinel, cluster, tls }: Settings,
): AsyncGenerator<Finding> {
  const missing: string[] = [];
  const check = async (
    flag: string,
    descriptor: Deno.PermissionDescriptor,
  ): Promise<void> => {
    const { state } = await Deno.permissions.query(descriptor);
    if (state !== "granted") missing.push(flag);
  };
  for (const server of sentinel?.addresses ?? cluster ?? [address]) {
    if ("path" in server) {
      const { path } = server;
      await check(`--allow-read=${path}`, { name: "read", path });
      await check(`--allow-write=${path}`, { name: "write", path });
    } else {
      const host = `${server.host}:${server.port}`;
      await check(`--allow-net=${host}`, { name: "net", host });
    }
  }
  for (const path of [tls?.caFile, tls?.certFile, tls?.keyFile]) {
    if (path !== undefined) {
      await check(`--allow-read=${path}`, { name: "read", path });
    }
  }
  if (missing.length > 0) {
    yield failure(
      "permissions",
      "Deno does not let this program reach Redis.",
      `Add to \`deno run\`: ${missing.join(" ")}`,
    );
    missing.length = 0;
  }
  await check("--allow-net", { name: "net" });
  await check("--allow-sys", { name: "sys" });
  await check("--allow-env", { name: "env" });
  yield missing.length === 0
    ? ok("permissions", "Network, system information and environment.")
    : warning(
      "permissions",
      "Deno does not permit everything that Zeroconf, the host's name as the device id, and settings from the environment need.",
      `Add to \`deno run\`: ${missing.join(" ")}`,
    );
}

/** The time that a packet to ourselves may take, in seconds. */
const TIMEOUT = 1;

const SHUT =
  "Let UDP port 5353 and 224.0.0.251 pass the firewall; in a container, use the host's network.";
const TAKEN =
  "Another program has UDP port 5353 there to itself: find it (ss -ulpn 'sport = 5353'), and end it or let it share the port (SO_REUSEADDR).";

/**
 * Looks at whether multicast works, by which Zeroconf finds and announces: on
 * each interface it joins the group and listens for its own packet.
 */
export async function* checkMulticast(): AsyncGenerator<Finding> {
  const interfaces = allInterfaces();
  const heard = await Promise.all(
    interfaces.map(({ name }) => hearOurselves(name)),
  );
  const isAnyHeard = heard.includes(undefined);
  const names = interfaces.filter((_, index) => heard[index] === undefined)
    .map(({ name }) => name);
  if (isAnyHeard) yield ok("multicast", `Works on ${names.join(", ")}.`);
  for (const [index, deafness] of heard.entries()) {
    if (deafness === undefined) continue;
    yield (isAnyHeard ? warning : failure)(
      "multicast",
      `Does not work on ${interfaces[index]!.name}: ${deafness.reason}.`,
      `${
        deafness.isPortTaken ? TAKEN : SHUT
      } Without it, nobody is found and nothing announced there.`,
    );
  }
  if (interfaces.length === 0) {
    yield failure(
      "multicast",
      "There is no network interface with an address.",
      "Connect to a network, or switch the loopback interface on: ip link set lo up",
    );
  }
}

/** Tells why a host does not hear what it sends to the group. */
interface Deafness {
  /** Says why, without a full stop. */
  readonly reason: string;
  /** True if another program has the port to itself. */
  readonly isPortTaken: boolean;
}

/**
 * Asks the network a question that nobody answers, and listens for it.
 *
 * @param interfaceName The interface on which to ask.
 * @returns Why it did not come back, or `undefined` where it did.
 */
async function hearOurselves(
  interfaceName: string,
): Promise<Deafness | undefined> {
  const question = `_${crypto.randomUUID().slice(0, 13)}._tcp.local`;
  const heard = new AbortController();
  let deafness: Deafness | undefined;
  const note = (text: string, error: unknown): void => {
    deafness ??= {
      reason: text.replace(/\.$/, ""),
      isPortTaken: error instanceof Error && "code" in error &&
        error.code === "EADDRINUSE",
    };
  };
  const sockets = new Sockets({
    choose: (all) => all.filter(({ name }) => name === interfaceName),
    warn: note,
    debug: note,
    onNetworkChange: () => {},
    onPacket: (packet) => {
      const { questions = [] } = decodeMessage(packet) ?? {};
      if (questions.some(({ name }) => name === question)) heard.abort();
    },
  });
  try {
    await sockets.open(false);
    sockets.send({
      type: "query",
      questions: [{ name: question, type: "PTR" }],
    });
    if (sockets.networks.length > 0) {
      await sleep(TIMEOUT, { signal: heard.signal });
    }
  } catch (error) {
    note((error as Error).message, error);
  } finally {
    await sockets.close();
  }
  if (heard.signal.aborted) return undefined;
  return deafness ??
    { reason: "Our own packets do not come back", isPortTaken: false };
}
