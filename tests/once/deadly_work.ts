// deno-lint-ignore-file no-console -- this is a program
import { FileOnce, RedisOnce } from "../../mod.ts";

// Waits to be killed: in the middle of work whose claim it goes on renewing, or
// when the work is done and nothing remembers it yet.
const [place, when] = Deno.args;
const once = place!.startsWith("{")
  ? await RedisOnce.open(JSON.parse(place!), { lease: 0.5 })
  : new FileOnce(place!, { lease: 0.5 });
setInterval(() => {}, 1000);
await once.run("id", () => {
  console.log(`${when} the work`);
  if (when === "after") {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
  return new Promise(() => {});
});
