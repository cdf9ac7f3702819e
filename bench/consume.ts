import process from "node:process";
import type { RedisBackend } from "../src/backend/mod.ts";
import { Event } from "../src/bus/mod.ts";

/**
 * Has a backend handle so many events, and prints how long that took, in seconds,
 * and the processor time of it, in microseconds.
 */
export async function consume(
  backend: RedisBackend,
  messages: number,
): Promise<void> {
  const done = Promise.withResolvers<void>();
  let handled = 0;
  backend.bus.registerHandler(Event, () => {
    if (++handled === messages) done.resolve();
  });
  const before = process.cpuUsage();
  const start = performance.now();
  await backend.start();
  await done.promise;
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  // deno-lint-ignore no-console -- whoever has started this program reads it
  console.log(JSON.stringify({ seconds, cpu: user + system }));
}
