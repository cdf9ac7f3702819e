import { Bus } from "../../src/bus/mod.ts";

// Tells what it may do.
const bus = new Bus({ name: "test/limited", deviceId: "hall" });
bus.on({ type: "custom.Tell" }, async () => {
  const states = (["read", "net", "env"] as const).map((name) =>
    Deno.permissions.querySync({ name }).state
  );
  const args = { type: "custom.Told", states };
  await bus.post({ type: "event", args });
});
