/**
 * Starts the whole thing for real, and watches twenty messages arrive: a Redis
 * server, the backend, a subscriber in a worker, the advertisement on the
 * network, a browser that finds it, another process that sends, and a page to
 * look at. With `--stay`, the page and the messages go on until Ctrl-C.
 *
 * ```sh
 * deno task demo
 * deno task demo --stay
 * ```
 *
 * @module
 */

import {
  browse,
  Event,
  RedisBackend,
  type ServiceInfo,
  startRedis,
} from "@platypush/redis";
import { printLine, program } from "@platypush/redis/cli";
import { dashboard } from "@platypush/redis/dashboard";

const COUNT = 20;
const QUEUE = "platypush/backend/redis";
const isPlain = Deno.noColor || !Deno.stdout.isTerminal();
const bold = (text: string): string => isPlain ? text : `\x1b[1m${text}\x1b[0m`;
const dim = (text: string): string => isPlain ? text : `\x1b[2m${text}\x1b[0m`;
const green = (text: string): string =>
  isPlain ? text : `\x1b[32m${text}\x1b[0m`;

await program(async (signal) => {
  const start = performance.now();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(18_000)]);
  await printLine(`\n  ${bold("@platypush/redis, for real")}\n`);

  await using server = await startRedis();
  await step("Redis", `a private server on ${server.address}`);

  // It ends after the backend, which waits for what it has at work.
  const worker = new Worker(new URL("./subscriber.ts", import.meta.url), {
    type: "module",
  });
  using _worker = { [Symbol.dispose]: () => worker.terminate() };
  const inWorker: number[] = [];
  const told = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  worker.onmessage = ({ data }) => {
    if (data === "ready") return ready.resolve();
    inWorker.push(data);
    if (inWorker.length === COUNT) told.resolve();
  };

  const deviceId = `demo-${crypto.randomUUID().slice(0, 4)}`;
  await using backend = new RedisBackend({
    redisArgs: server.redisArgs,
    deviceId,
  });
  await backend.start();
  await step("Backend", `listens to ${QUEUE} as ${deviceId}`);

  await using page = dashboard({ backend });
  await using http = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
  }, page);
  await step("Page", `look at ${bold(`http://127.0.0.1:${http.addr.port}/`)}`);

  await within(limit, ready.promise);
  await step("Worker", "subscribes to the same bus");

  const found = find(deviceId, limit);
  // No other host reaches the private server: there is no port to tell.
  const name = await backend.registerService({ port: 0 });
  await step("Zeroconf", `advertised as ${name}`);
  const service = await within(limit, found);
  await step(
    "",
    service
      ? `found again at ${
        service.addresses[0]
      }, with the queue ${service.queue}`
      : "not found again: does this machine let multicast through?",
  );

  const inMain: unknown[] = [];
  const all = Promise.withResolvers<void>();
  backend.bus.registerHandler(Event, async ({ args }) => {
    if (!args.type.startsWith("demo.")) return;
    inMain.push(args.n);
    await printLine(describe(args)).catch(all.reject);
    if (inMain.length === COUNT) all.resolve();
  });
  await using producer = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      new URL("./producer.ts", import.meta.url).href,
      server.address,
      QUEUE,
      deviceId,
    ],
  }).spawn();
  await step("Messages", `from process ${producer.pid}, with RPUSH\n`);
  const [{ success }] = await within(
    limit,
    Promise.all([producer.status, all.promise, told.promise]),
  );

  const isStaying = Deno.args.includes("--stay");
  if (!isStaying) await backend.stop();
  const { deadLettered } = backend.stats();
  const expected = String(Array.from({ length: COUNT }, (_, i) => i + 1));
  const isGood = success && deadLettered === 0 &&
    String(inMain) === expected && String(inWorker) === expected;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  await printLine(
    `\n  ${isGood ? green("✓") : "✗"} ${
      bold(
        `${COUNT} sent, ${inMain.length} here, ${inWorker.length} in the worker`,
      )
    }, ${
      isGood ? "in order, none lost" : "NOT as they were sent"
    }, ${seconds} s\n`,
  );
  await printLine(
    `  Now listen yourself:  ${
      bold("npx -y deno@2 run -A examples/listen.ts")
    }\n`,
  );
  if (!isGood) Deno.exitCode = 1;
  if (isStaying) {
    await stay(backend, signal);
    await backend.stop();
  }
});

/** Sends an event a second, so that there is something to look at. */
async function stay(
  backend: RedisBackend,
  signal: AbortSignal,
): Promise<void> {
  await printLine("\n  The page goes on until Ctrl-C.");
  let n = 0;
  while (!signal.aborted) {
    await backend.sendEvent({
      args: { type: "custom.Motion", room: "hall", n: ++n },
    });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1000);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      }, { once: true });
    });
  }
}

/** One line of what is there by now. */
async function step(title: string, text: string): Promise<void> {
  const mark = title ? green("✓") : " ";
  const name = title.padEnd(9);
  await printLine(`  ${mark} ${title ? bold(name) : name} ${text}`);
}

function describe(args: Record<string, unknown>): string {
  const { n, type, ...rest } = args;
  const values = Object.entries(rest).map(([name, value]) =>
    `${name}=${JSON.stringify(value)}`
  );
  return `    ${String(n).padStart(2)}  ${String(type).padEnd(16)} ${
    dim(values.join("  "))
  }`;
}

/** Waits for our own service to appear on the network, for a few seconds. */
async function find(
  deviceId: string,
  limit: AbortSignal,
): Promise<ServiceInfo | undefined> {
  const signal = AbortSignal.any([limit, AbortSignal.timeout(6000)]);
  for await (const { service } of browse({ signal })) {
    if (service.deviceId === deviceId) return service;
  }
  return undefined;
}

async function within<T>(limit: AbortSignal, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const onAbort = (): void => late.reject(tooLate(limit));
  limit.addEventListener("abort", onAbort);
  try {
    if (limit.aborted) throw tooLate(limit);
    return await Promise.race([work, late.promise]);
  } finally {
    limit.removeEventListener("abort", onAbort);
  }
}

function tooLate({ reason }: AbortSignal): Error {
  return new Error(
    reason instanceof DOMException && reason.name === "TimeoutError"
      ? "The demonstration took too long"
      : "Interrupted before everything had arrived",
  );
}
