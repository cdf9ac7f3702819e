/** A member of the group in bench/groups.ts: it computes. */
import { Bus } from "../src/bus/mod.ts";

const name = new URL(import.meta.url).searchParams.get("bus")!;
const bus = new Bus({ name, group: "compute", plain: false });

bus.on({ type: "bench.Work" }, ({ args }) => {
  let sum = Number(args.n);
  for (let i = 1; i < 100_000; i++) sum = (sum * 31 + i) % 1_000_003;
  return sum;
});
