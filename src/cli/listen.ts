import { RedisBackend } from "../../mod.ts";
import { logToStderr } from "./log_to_stderr.ts";
import { readCommandLine, readNumber } from "./options.ts";
import { printLine } from "./print_line.ts";
import { provideRedis } from "./provide_redis.ts";

/** `listen`: prints what arrives, one JSON message a line. */
export async function runListen(
  args: string[],
  signal: AbortSignal,
): Promise<void> {
  await logToStderr();
  const line = await readCommandLine(args, {
    count: { type: "string" },
    advertise: { type: "boolean" },
  });
  const count = readNumber(line, "count") ?? Infinity;
  await using redis = await provideRedis(line.url);
  await using backend = new RedisBackend({
    redisArgs: redis.redisArgs,
    queue: line.queue,
    deviceId: line.deviceId,
    // Announcing takes a while, and only then the loop below subscribes.
    subscriberGrace: Infinity,
  });
  signal.addEventListener("abort", () => backend.stop());
  await backend.start();
  if (line.values.advertise) await backend.registerService();
  let printed = 0;
  for await (const message of backend.bus) {
    await printLine(message.toString());
    if (++printed >= count) break;
  }
}
