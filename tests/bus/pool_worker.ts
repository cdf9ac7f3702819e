import { Bus } from "../../src/bus/mod.ts";

// The name of the bus and the group of the pool are behind the address.
const { searchParams } = new URL(import.meta.url);

// What the pool has said by then, no Bus has heard.
const late = searchParams.get("late");
while (late !== null) {
  const event = await new Promise<Event>((resolve) =>
    self.addEventListener("message", resolve, { once: true })
  );
  if ((event as MessageEvent).data["platypush/pool"] === late) break;
}

const only = searchParams.get("only");
if (only !== null && only !== self.name) {
  if (searchParams.has("close")) self.close();
  await new Promise(() => setInterval(() => {}, 1e6));
}

const bus = new Bus({ name: searchParams.get("bus")!, group: "pool" });

bus.on({ type: "custom.Work" }, async ({ args: { how }, redelivered }) => {
  const { name } = self as unknown as { name: string };
  if (how === "wait") {
    bus.post({ type: "event", args: { type: "custom.Begun", name } });
    await new Promise(() => {});
  }
  if (redelivered > 0) return;
  if (how === "throw") {
    setTimeout(() => {
      throw new TypeError("no light bulb");
    });
    await new Promise(() => {});
  }
  if (how === "close") self.close();
});
