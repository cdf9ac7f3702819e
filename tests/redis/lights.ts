import type { Connection } from "../../src/redis/mod.ts";
import { NamedSubscribers } from "../../src/redis/named_subscribers.ts";
import type { LineLogger } from "../line_logger.ts";

/** Makes the named subscribers of "queue", of which "lights" is present. */
export function withLights(
  { control, logger, takeMissed }: {
    control: Connection;
    logger: LineLogger;
    /** Tells how many messages were taken that it has missed. */
    takeMissed: () => Promise<number>;
  },
): NamedSubscribers {
  const subscribers = new NamedSubscribers({
    queue: "queue",
    control,
    maxMissed: 10,
    maxMissedBytes: 2 ** 20,
    missedAge: 3600,
    logger,
    stats: { missedLost: 0 },
  }, {
    isBusy: false,
    change: () => Promise.resolve(),
    takeMissed,
  });
  subscribers.present = new Set(["lights"]);
  return subscribers;
}
