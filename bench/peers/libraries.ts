/** The ways of `consumer.ts` that are libraries of others, with the client of each. */
import { countOne } from "./count.ts";
import type { Library } from "./process.ts";

const [, path, queue] = Deno.args as [string, string, string];

/** What each contender does; it resolves when that takes messages. */
export const ways: Record<Library, () => Promise<void>> = {
  "BullMQ": async () => {
    const { Worker } = await import("bullmq");
    const handle = (
      job: { data: { args: { sent?: unknown } } },
    ): Promise<void> => Promise.resolve(countOne(job.data.args.sent));
    const worker = new Worker(queue, handle, {
      connection: { path, maxRetriesPerRequest: null },
    });
    await worker.waitUntilReady();
  },
  "bee-queue": async () => {
    const { default: Queue } = await import("bee-queue");
    const bee = new Queue(queue, { redis: { path } as { path: string } });
    bee.process((job) => Promise.resolve(countOne(job.data.args.sent)));
    await bee.ready();
  },
};
