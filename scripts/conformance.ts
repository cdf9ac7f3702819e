/**
 * Tries Zeroconf stacks against RFC 6762 and 6763, on the wire between network
 * namespaces, and writes the table of `docs/zeroconf-conformance.md`.
 */

import { CLAUSES } from "../tests/interop/zeroconf_clauses.ts";
import { conformance } from "../tests/interop/zeroconf_conformance.ts";
import type { Stack } from "../tests/interop/zeroconf_peer.ts";

const STACKS = {
  ours: "this package",
  avahi: "Avahi",
  python: "python-zeroconf",
  node: "ciao announces, bonjour-service looks",
} as const satisfies Partial<Record<Stack, string>>;

const stacks = Object.keys(STACKS) as (keyof typeof STACKS)[];
// One after the other: a busy machine would make all of them late.
const failed = new Map<string, Set<unknown>>();
for (const stack of stacks) {
  const outcomes = await conformance(stack, CLAUSES);
  const wrong = CLAUSES.filter((clause) => outcomes.get(clause) !== undefined);
  failed.set(stack, new Set(wrong));
  // deno-lint-ignore no-console -- it is what the program is for
  console.log(`${STACKS[stack]}: ${CLAUSES.length - wrong.length}`);
}

const table = [
  ["section", "", ...stacks.map((stack) => STACKS[stack])],
  ["---", "---", ...stacks.map(() => ":---:")],
  ...CLAUSES.map((clause) => [
    clause.section,
    clause.title,
    ...stacks.map((stack) => failed.get(stack)!.has(clause) ? "no" : "yes"),
  ]),
  [
    "",
    "**together**",
    ...stacks.map((stack) =>
      `**${CLAUSES.length - failed.get(stack)!.size} of ${CLAUSES.length}**`
    ),
  ],
].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const page = new URL("../docs/zeroconf-conformance.md", import.meta.url);
const text = await Deno.readTextFile(page);
const [before] = text.split("<!-- table -->");
await Deno.writeTextFile(page, `${before}<!-- table -->\n\n${table}\n`);
await new Deno.Command(Deno.execPath(), {
  args: ["fmt", "-q", page.pathname],
}).output();
