import { CLAUSES } from "./zeroconf_clauses.ts";
import { conformance } from "./zeroconf_conformance.ts";
import { noNamespaces } from "./zeroconf_rows.ts";
import { testUnless } from "../test_unless.ts";

/**
 * What there is by IPv4 alone: by IPv6, who is not on the network cannot send to
 * a link-local address, and Deno sets no hop limit.
 */
const BY_IPV4 = /by IPv4$|^who is not on the network/;

for (const [title, isIpv6] of [["", false], [", by IPv6", true]] as const) {
  testUnless(
    noNamespaces,
    `Zeroconf: what RFC 6762 and 6763 ask for, on the wire${title}`,
    async (t) => {
      const clauses = CLAUSES.filter(({ title }) =>
        !isIpv6 || !BY_IPV4.test(title)
      );
      const outcomes = await conformance("ours", clauses, isIpv6);
      for (const clause of clauses) {
        await t.step(`${clause.section}: ${clause.title}`, () => {
          if (outcomes.get(clause)) throw outcomes.get(clause);
        });
      }
    },
  );
}
