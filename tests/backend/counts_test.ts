import assert from "node:assert/strict";
import { Bus, type InboxStats, RedisBackend } from "../../mod.ts";

/** Writes counts as Prometheus reads them, which takes whatever is a record. */
function exported(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([name, count]) => `${name} ${count}\n`)
    .join("");
}

Deno.test("The counts of a bus, a backend and an inbox can be passed on as a record", async () => {
  await using bus = new Bus();
  const backend = new RedisBackend({ bus });
  const ofInbox: (counts: InboxStats) => string = exported;
  assert.match(exported(bus.stats()), /^posted 0$/m);
  assert.match(exported(backend.stats()), /^received 0$/m);
  assert.equal(ofInbox.length, 1);
});
