import assert from "node:assert/strict";
import { wait } from "../../src/zeroconf/wait.ts";

Deno.test("wait does not end at once where it has no end", async () => {
  for (const seconds of [Infinity, 1e300]) {
    const end = new AbortController();
    const long = wait(seconds, end.signal).then(() => "over");
    const short = wait(0.02).then(() => "still waiting");
    assert.equal(await Promise.race([long, short]), "still waiting");
    end.abort();
    assert.equal(await long, "over");
    await short;
  }
});
