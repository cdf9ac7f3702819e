import type { Batch, Inbox } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import type { TestServer } from "../servers.ts";
import { until } from "../until.ts";

/** The next batch of an inbox, which has to come. */
export function nextBatch(inbox: Inbox): Promise<Batch | undefined> {
  const next = inTime(inbox.next(), "a batch comes");
  // It may be awaited late, or never when something else fails first.
  next.catch(() => {});
  return next;
}

/** Waits until the server knows that somebody waits for a message. */
export async function blocked(server: TestServer): Promise<void> {
  await until(async () =>
    /blocked_clients:1/.test(await server.run("INFO", "clients"))
  );
}
