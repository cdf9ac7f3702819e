import { Lan, type Namespace } from "../namespaces.ts";
import { GROUPS } from "./zeroconf_clauses.ts";
import { type Clause, Lab } from "./zeroconf_lab.ts";
import { Peer, type Stack } from "./zeroconf_peer.ts";
import { Probe } from "./zeroconf_probe.ts";

/** What was wrong, by clause; a clause that is fulfilled has `undefined`. */
export type Outcomes = Map<Clause, unknown>;

/** The networks in which a stack has to fail before it is wrong: a busy machine hears packets late. */
const TRIES = 3;

/**
 * Tries what the RFCs ask for on one stack, on the wire between two hosts; what
 * fails is tried again in a new network.
 *
 * @param isIpv6 Whether the probe speaks IPv6 alone.
 */
export async function conformance(
  stack: Stack,
  clauses: readonly Clause[],
  isIpv6 = false,
): Promise<Outcomes> {
  const outcomes: Outcomes = new Map();
  let wanted = new Set(clauses);
  for (let tries = TRIES; tries > 0 && wanted.size > 0; tries--) {
    const found = await tryOnce(stack, (each) => wanted.has(each), isIpv6);
    for (const [clause, outcome] of found) outcomes.set(clause, outcome);
    wanted = new Set(clauses.filter((each) => outcomes.get(each)));
  }
  return outcomes;
}

async function tryOnce(
  stack: Stack,
  wanted: (clause: Clause) => boolean,
  isIpv6: boolean,
): Promise<Outcomes> {
  const outcomes: Outcomes = new Map();
  const ended = await Promise.allSettled(
    GROUPS.map((group) =>
      tryGroup(stack, group.filter(wanted), outcomes, isIpv6)
    ),
  );
  for (const end of ended) if (end.status === "rejected") throw end.reason;
  return outcomes;
}

async function tryGroup(
  stack: Stack,
  clauses: readonly Clause[],
  outcomes: Outcomes,
  isIpv6: boolean,
): Promise<void> {
  if (clauses.length === 0) return;
  await using lan = await Lan.make(2);
  const [host, other] = lan.hosts;
  // The probe also speaks as a host from another network.
  await other!.ip("addr", "add", "192.0.2.7/32", "dev", "eth0");
  await host!.ip("route", "add", "192.0.2.7/32", "dev", "eth0");
  if (isIpv6) {
    await giveIpv6(host!, 1);
    await giveIpv6(other!, 2);
    await other!.ip("addr", "add", "2001:db8::7/128", "nodad", "dev", "eth0");
    await host!.ip("route", "add", "2001:db8::7/128", "dev", "eth0");
  }
  // An address of IPv6 is on trial for a while, and what it brings begins anew.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  await using probe = new Probe(other!, isIpv6);
  await using peer = new Peer(host!, stack);
  await peer.ready();
  if (clauses[0]!.role === "announces") {
    await peer.register("wire", 1_000, "192.168.77.1", { id: "1" });
    // Its announcements are over by then.
    await new Promise((resolve) => setTimeout(resolve, 4_500));
  } else await peer.browse();
  const lab = new Lab(probe, peer, host!);
  for (const clause of clauses) {
    try {
      await clause.try(lab);
      outcomes.set(clause, undefined);
    } catch (error) {
      outcomes.set(clause, error ?? new Error("It failed"));
    }
  }
}

/** Gives a host one address of IPv6 that is known, in place of what it makes up. */
async function giveIpv6(host: Namespace, number: number): Promise<void> {
  const eth0 = ["dev", "eth0"];
  await host.ip("link", "set", ...eth0, "addrgenmode", "none");
  await host.ip("-6", "addr", "flush", ...eth0);
  await host.ip("addr", "add", `fe80::77:${number}/64`, "nodad", ...eth0);
}
