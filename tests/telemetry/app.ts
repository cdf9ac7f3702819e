/**
 * An application as a user writes it: a handler, an action, and a loop in a
 * worker, each with a span of its own.
 *
 *     app.ts <redisArgs> [idle | stay]
 */
// deno-lint-ignore-file no-console
import { context, propagation, trace } from "@opentelemetry/api";
import { Event, RedisBackend } from "../../mod.ts";

const [redisArgs = "{}", mode] = Deno.args;
const tracer = trace.getTracer("app");

await using backend = new RedisBackend({
  redisArgs: JSON.parse(redisArgs),
  deviceId: "livingroom",
  maxDeliveries: 1,
});
const over = Promise.withResolvers<void>();

async function relay(event: Event): Promise<void> {
  const args = { type: "custom.Relayed" };
  await backend.sendEvent({ args }, "elsewhere");
  const { traceparent } = event.extra as { traceparent: string };
  await backend.sendEvent({ args, extra: { traceparent } }, "forwarded");
}

async function handle(event: Event): Promise<void> {
  const { type } = event.args;
  await tracer.startActiveSpan(`app ${type}`, async (span) => {
    // A turn of the event loop later it is still the same trace.
    await new Promise((resolve) => setTimeout(resolve));
    tracer.startSpan("app inner").end();
    span.end();
    if (type === "custom.Relay") await relay(event);
    if (type === "custom.Bad") throw new TypeError("no light bulb");
    if (type === "custom.Stop") over.resolve();
  });
  console.log(`handled ${type}`);
}

let worker: Worker | undefined;
if (mode !== "idle") {
  worker = new Worker(new URL("./app_worker.ts", import.meta.url), {
    type: "module",
  });
  const { promise: ready, resolve } = Promise.withResolvers<unknown>();
  worker.onmessage = resolve;
  await ready;
  backend.bus.registerHandler(Event, handle);
  backend.registerAction("echo", (args) => {
    const carrier = {};
    propagation.inject(context.active(), carrier);
    return { args, carrier };
  });
}
// What starts the backend is not what its messages are about.
await tracer.startActiveSpan("app start", async (span) => {
  await backend.start();
  span.end();
});
console.log("ready");
await over.promise;
await backend.stop();
// Before that it may still have a message in hand.
worker?.terminate();
if (mode === "stay") {
  console.log("stopped");
  setInterval(() => {}, 1000);
}
