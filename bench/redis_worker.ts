/** The handler of bench/redis.ts that is in a worker. */
import { Bus, Event } from "../src/bus/mod.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
};

scope.onmessage = async ({ data: { name, count } }) => {
  const bus = new Bus({ name });
  let handled = 0;
  bus.registerHandler(Event, () => {
    if (++handled === count) scope.postMessage("done");
  });
  await bus.ready();
  scope.postMessage("ready");
};
