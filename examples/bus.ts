/**
 * Passes messages to handlers by nothing but the bus: without Redis, and
 * without a permission but to know the host's name.
 *
 * ```sh
 * deno run -A examples/bus.ts
 * ```
 *
 * @module
 */

import { Bus, Event } from "@platypush/redis/bus";
import { printLine, program } from "@platypush/redis/cli";

await program(async () => {
  await using bus = new Bus({ name: "rooms" });
  bus.on(
    { type: "custom.Temperature", celsius: { $gt: 25 } },
    ({ args }) => printLine(`It is hot in the ${args.room}`),
  );
  bus.registerHandler(Event, ({ args }) => printLine(JSON.stringify(args)));

  for (const [room, celsius] of [["hall", 21], ["attic", 31]] as const) {
    await bus.post({
      type: "event",
      args: { type: "custom.Temperature", room, celsius },
    });
  }
  await bus.flush(); // until everybody has handled them
});
