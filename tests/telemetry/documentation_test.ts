import assert from "node:assert/strict";
import { INSTRUMENTS } from "../../src/telemetry/metrics.ts";

Deno.test("The guide names every metric, and no other", async () => {
  const guide = await Deno.readTextFile(
    new URL("../../docs/telemetry.md", import.meta.url),
  );
  const row = /^\| `([a-z._]+)` +\| (\w+) +\| `(\S+)` +\| (.*?) +\|$/gm;
  const documented = [...guide.matchAll(row)].map((match) => match.slice(1, 5));
  assert.deepEqual(
    documented,
    Object.entries(INSTRUMENTS).map(([name, { kind, unit, description }]) => [
      name,
      kind,
      unit,
      description,
    ]),
  );
});
