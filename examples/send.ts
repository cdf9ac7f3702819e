/**
 * Sends an event to a queue, with values that are JSON or else texts.
 *
 * ```sh
 * deno run -A examples/send.ts custom.Motion room=hall seen=true
 * ```
 *
 * Environment: as `examples/listen.ts`; the device id is the event's target.
 *
 * @module
 */

import { RedisBackend } from "@platypush/redis";
import { logToStderr, printLine, program } from "@platypush/redis/cli";

await program(async (signal) => {
  await logToStderr("warning");
  const [type = "custom.Hello", ...pairs] = Deno.args;
  const url = Deno.env.get("REDIS_URL");
  await using backend = new RedisBackend({
    redisArgs: url ? { url } : {},
    queue: Deno.env.get("PLATYPUSH_REDIS_QUEUE"),
    deviceId: Deno.env.get("PLATYPUSH_DEVICE_ID"),
  });
  signal.addEventListener("abort", () => backend.stop());
  const args = Object.fromEntries(pairs.map(parsePair));
  const event = await backend.sendEvent({ args: { ...args, type } });
  await printLine(event.toString());
});

function parsePair(pair: string): [name: string, value: unknown] {
  const [name = "", ...rest] = pair.split("=");
  const text = rest.join("=");
  try {
    return [name, JSON.parse(text)];
  } catch {
    return [name, text];
  }
}
