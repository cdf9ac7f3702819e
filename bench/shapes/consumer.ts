/**
 * One consumer, in a process of its own, of one of the shapes:
 *
 *     consumer.ts SHAPE SOCKET QUEUE COUNT TIMEOUT [LOG]
 *
 * It says "started"; "done", and how many milliseconds that took, after COUNT
 * messages; and for each line on stdin how many milliseconds of the processor it
 * has used. It ends with stdin. LOG gets the id of each message that was handled.
 */
// deno-lint-ignore-file no-console -- this is a program
import { createClient, RESP_TYPES } from "@redis/client";
import process from "node:process";
import { Bus, Event, RedisBackend } from "../../mod.ts";
import { Lists } from "./lists.ts";
import type { Delivered } from "./shape.ts";
import { Streams } from "./streams.ts";

const [shape, path, queue, count, timeout, log, username] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
  string?,
  string?,
];
const file = log && Deno.openSync(log, { append: true, create: true });
const decoder = new TextDecoder();
const encoder = new TextEncoder();
let handled = 0;
let start = performance.now();

function one(
  event: { id?: unknown; args: Record<string, unknown> },
): void | Promise<void> {
  if (event.args.hang) return new Promise(() => {});
  if (typeof event.args.block === "number") {
    const end = performance.now() + event.args.block;
    while (performance.now() < end);
  }
  if (event.args.fail) throw new Error("This message always fails");
  if (file) file.writeSync(encoder.encode(`${event.id}\n`));
  if (++handled === Number(count)) {
    console.log(`done ${performance.now() - start}`);
  }
}
const handle = ({ payload }: Delivered): void | Promise<void> =>
  one(JSON.parse(decoder.decode(payload)));

const options = {
  path,
  queue,
  handle,
  timeout: Number(timeout),
  onError: (error: Error): void => console.error(error.message),
  ...(username && { username }),
};
let stop: () => Promise<void>;
start = performance.now();
if (shape === "lists") {
  const lists = await Lists.start(options);
  stop = () => lists.stop();
} else if (shape === "streams") {
  const streams = await Streams.start(options);
  stop = () => streams.stop();
} else if (shape === "ours") {
  const bus = new Bus({ name: "shapes" });
  bus.registerHandler(
    Event,
    (event) => one(event as unknown as Parameters<typeof one>[0]),
  );
  const backend = new RedisBackend({
    redisArgs: { unix_socket_path: path },
    queue,
    deviceId: "livingroom",
    heartbeatTimeout: Number(timeout),
    bus,
  });
  await backend.start();
  stop = () => backend.stop();
} else {
  const client = createClient({ socket: { path, tls: false } });
  await client.connect();
  const pop = (): Promise<[unknown, Uint8Array[]] | null> =>
    client.sendCommand(
      ["BLMPOP", "20", "1", queue, "LEFT", "COUNT", "512"],
      { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
    );
  void (async () => {
    for (let next = pop();;) {
      const payloads = (await next)?.[1] ?? [];
      next = pop();
      next.catch(() => {});
      for (const payload of payloads) void handle({ payload, redelivered: 0 });
    }
  })().catch(() => {});
  stop = () => Promise.resolve(client.destroy());
}
console.log("started");
for await (const _ of Deno.stdin.readable) {
  const { user, system } = process.cpuUsage();
  console.log(`cpu ${(user + system) / 1000} ${handled}`);
}
await stop();
Deno.exit(0);
