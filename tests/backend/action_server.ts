import { RedisBackend } from "../../mod.ts";

// Answers requests for the device "livingroom" until it is told to end. Says
// on stdout when it is ready, and which actions it has begun.
const backend = new RedisBackend({
  redisArgs: JSON.parse(Deno.args[0]!),
  deviceId: "livingroom",
});
const told = Promise.withResolvers<void>();
Deno.addSignalListener("SIGTERM", () => told.resolve());

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

backend.registerAction("math.sum", ({ numbers }) => {
  if (!Array.isArray(numbers)) throw new TypeError("no numbers");
  return { sum: numbers.reduce((sum, number) => sum + number, 0) };
});
// Never ends the first time.
backend.registerAction("hang", async (_args, { redelivered }) => {
  say("hangs");
  if (redelivered === 0) await new Promise(() => {});
  return { redelivered, pid: Deno.pid };
}, { timeout: Infinity });
backend.registerAction("finish", async () => {
  say("waits");
  await told.promise;
  return backend.shouldStop() ? "while it stops" : "before it stops";
});

await backend.start();
say("ready");
await told.promise;
await backend.stop();
