import assert from "node:assert/strict";
import { sleep } from "../src/sleep.ts";

Deno.test("sleep does not end at once where it has no end", async () => {
  for (const seconds of [undefined, Infinity, 1e300]) {
    const end = new AbortController();
    const long = sleep(seconds, { signal: end.signal });
    assert.equal(await Promise.race([long, sleep(0.02)]), false);
    end.abort();
    assert.equal(await long, true);
  }
});
