import { Lan } from "../namespaces.ts";
import { CLAUSES, Lab } from "./zeroconf_clauses.ts";
import { Peer, type Stack } from "./zeroconf_peer.ts";
import { Probe } from "./zeroconf_probe.ts";

/** What became of a clause: nothing, or what was wrong. */
export interface Outcome {
  readonly clause: (typeof CLAUSES)[number];
  readonly error?: unknown;
}

/**
 * Tries what the RFCs ask for on one stack, on the wire between two hosts.
 *
 * @param wanted Chooses the clauses; all by default.
 */
export async function* conformance(
  stack: Stack,
  wanted: (clause: (typeof CLAUSES)[number]) => boolean = () => true,
): AsyncGenerator<Outcome> {
  for (const role of ["announces", "looks"] as const) {
    const clauses = CLAUSES.filter((each) =>
      each.role === role && wanted(each)
    );
    if (clauses.length === 0) continue;
    await using lan = await Lan.make(2);
    const [host, other] = lan.hosts;
    // The probe also speaks as a host from another network.
    await other!.ip("addr", "add", "192.0.2.7/32", "dev", "eth0");
    await host!.ip("route", "add", "192.0.2.7/32", "dev", "eth0");
    // An address of IPv6 is on trial for a while, and what it brings begins anew.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await using probe = new Probe(other!);
    await using peer = new Peer(host!, stack);
    await peer.ready();
    if (role === "announces") {
      await peer.register("wire", 1_000, "192.168.77.1", { id: "1" });
      // Its announcements are over by then.
      await new Promise((resolve) => setTimeout(resolve, 4_500));
    } else await peer.browse();
    const lab = new Lab(probe, peer, host!);
    for (const clause of clauses) {
      try {
        await clause.try(lab);
        yield { clause };
      } catch (error) {
        yield { clause, error };
      }
    }
  }
}
