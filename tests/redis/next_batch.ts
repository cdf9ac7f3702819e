import type { Batch, Inbox } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";

/** The next batch of an inbox, which has to come. */
export function nextBatch(inbox: Inbox): Promise<Batch | undefined> {
  const next = inTime(inbox.next(), "a batch comes");
  // It may be awaited late, or never when something else fails first.
  next.catch(() => {});
  return next;
}
