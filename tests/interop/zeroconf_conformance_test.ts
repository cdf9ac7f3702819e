import { conformance } from "./zeroconf_conformance.ts";
import { CLAUSES } from "./zeroconf_clauses.ts";
import { noNamespaces } from "./zeroconf_rows.ts";

/** What this package cannot do, and why. */
const IMPOSSIBLE: ReadonlyMap<string, string> = new Map();

Deno.test({
  name: "Zeroconf: what RFC 6762 and 6763 ask for, on the wire",
  ignore: noNamespaces !== undefined,
  fn: async (t) => {
    const clauses = await conformance(
      "ours",
      ({ title }) => !IMPOSSIBLE.has(title),
    );
    for (const clause of CLAUSES) {
      const { section, title } = clause;
      await t.step({
        name: `${section}: ${title}`,
        ignore: IMPOSSIBLE.has(title),
        fn: () => {
          if (clauses.get(clause)) throw clauses.get(clause);
        },
      });
    }
  },
});
