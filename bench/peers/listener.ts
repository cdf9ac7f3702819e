/** A worker of `consumer.ts` that listens, on the bus or on a channel. */
const scope = self as unknown as { postMessage(message: unknown): void };

if (new URL(import.meta.url).search === "?bus") {
  const { Bus } = await import("../../src/bus/mod.ts");
  const bus = new Bus();
  bus.on({ type: "event" }, () => {});
  await bus.ready();
} else {
  new BroadcastChannel("messages").onmessage = (): void => {};
}
scope.postMessage("listening");
