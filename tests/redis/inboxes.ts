import { type Batch, Inbox, type InboxOptions } from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { LineLogger } from "../line_logger.ts";
import type { TestServer } from "../servers.ts";

const decoder = new TextDecoder();

export function texts(batch: Batch | undefined): string[] {
  return batch?.payloads.map((payload) => decoder.decode(payload)) ?? [];
}

export function numbers(count: number, start = 0): string[] {
  return Array.from({ length: count }, (_, index) => `n${start + index}`);
}

/** Opens an inbox whose times are short. */
export function open(
  { args }: Pick<TestServer, "args">,
  options: Partial<InboxOptions> = {},
): Promise<Inbox> {
  return Inbox.open(args, {
    queue: "queue",
    heartbeatTimeout: HEARTBEAT,
    retryPause: 0.02,
    logger: new LineLogger(),
    ...options,
  });
}

export async function queued(
  server: TestServer,
  queue = "queue",
): Promise<string[]> {
  return await server.run("LRANGE", queue, "0", "-1");
}

/** Settles all that comes, and notes it; resolves when the inbox is stopped. */
export async function handleAll(
  inbox: Inbox,
  handled: { add(text: string): unknown },
): Promise<void> {
  for (let batch; (batch = await inbox.next());) {
    for (const text of texts(batch)) handled.add(text);
    await batch.settle();
  }
}
