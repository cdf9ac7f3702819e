import { Bus, pool } from "../../src/bus/mod.ts";

// Prints what a worker of a pool may do, as it tells.
await using bus = new Bus({ name: "test/limited", deviceId: "hall" });
const told = Promise.withResolvers<unknown>();
bus.on({ type: "custom.Told" }, ({ args }) => told.resolve(args.states));
await using workers = pool(import.meta.resolve("./limited_worker.ts"), {
  size: 1,
  permissions: JSON.parse(Deno.args[0]!),
});
await workers.ready();
const receipt = await bus.post({
  type: "event",
  args: { type: "custom.Tell" },
});
const failures = await receipt.handled;
const text = JSON.stringify(
  failures.length > 0 ? failures : await told.promise,
);
await Deno.stdout.write(new TextEncoder().encode(`${text}\n`));
