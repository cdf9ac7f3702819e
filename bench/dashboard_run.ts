/**
 * One run of bench/dashboard.ts: handles so many messages, and prints how long
 * that took, in seconds, and the processor time of it, in microseconds.
 *
 *     dashboard_run.ts <redisArgs> <messages> none|closed|open
 */
import { RedisBackend } from "../src/backend/mod.ts";
import { consume } from "./consume.ts";

const [redisArgs = "{}", messages, how] = Deno.args;
await using backend = new RedisBackend({
  redisArgs: JSON.parse(redisArgs),
  queue: "bench",
  deviceId: "livingroom",
});
await using open = new AsyncDisposableStack();
if (how !== "none") {
  const { dashboard } = await import("../src/dashboard/mod.ts");
  const page = open.use(dashboard({ backend }));
  const http = open.use(
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, page),
  );
  if (how === "open") {
    const url = `http://127.0.0.1:${http.addr.port}/live?page=messages`;
    const reader = new Deno.Command(Deno.execPath(), {
      args: ["eval", reading(), url],
      stdout: "piped",
    }).spawn();
    open.defer(() => reader.kill());
    const [first] = await Array.fromAsync(firstOf(reader.stdout));
    if (first === undefined) throw new Error("Nobody looks");
  }
}
await consume(backend, Number(messages));

/** A program that reads everything, and says when it has begun. */
function reading(): string {
  return `const { body } = await fetch(Deno.args[0]);
    let has = false;
    for await (const _ of body) { if (!has) console.log("open"); has = true; }`;
}

async function* firstOf<T>(stream: ReadableStream<T>): AsyncGenerator<T> {
  for await (const each of stream) {
    yield each;
    return;
  }
}
