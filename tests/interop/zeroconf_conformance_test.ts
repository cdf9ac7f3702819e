import { CLAUSES } from "./zeroconf_clauses.ts";
import { conformance, type Outcomes } from "./zeroconf_conformance.ts";
import type { Clause } from "./zeroconf_lab.ts";
import { noNamespaces } from "./zeroconf_rows.ts";

/**
 * What there is by IPv4 alone: by IPv6, who is not on the network cannot send to
 * a link-local address, and Deno sets no hop limit.
 */
const BY_IPV4 = /by IPv4$|^who is not on the network/;

for (const [title, isIpv6] of [["", false], [", by IPv6", true]] as const) {
  Deno.test({
    name: `Zeroconf: what RFC 6762 and 6763 ask for, on the wire${title}`,
    ignore: noNamespaces !== undefined,
    fn: async (t) => {
      const clauses = CLAUSES.filter(({ title }) =>
        !isIpv6 || !BY_IPV4.test(title)
      );
      const outcomes: Outcomes = new Map();
      let wanted: readonly Clause[] = clauses;
      // A busy machine hears packets late, and then what was sent on time seems not
      // to be. Whoever is wrong is so in three networks.
      for (let tries = 3; tries > 0 && wanted.length > 0; tries--) {
        const tried = new Set(wanted);
        const found = await conformance(
          "ours",
          (clause) => tried.has(clause),
          isIpv6,
        );
        for (const [clause, outcome] of found) outcomes.set(clause, outcome);
        wanted = clauses.filter((clause) => outcomes.get(clause) !== undefined);
      }
      for (const clause of clauses) {
        await t.step(`${clause.section}: ${clause.title}`, () => {
          if (outcomes.get(clause)) throw outcomes.get(clause);
        });
      }
    },
  });
}
