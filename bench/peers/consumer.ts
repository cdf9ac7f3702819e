/**
 * One consumer of a queue, in a process of its own, by one of the ways that
 * `bench/peers.ts` compares:
 *
 *     consumer.ts CONTENDER SOCKET QUEUE
 *
 * It says "started", and ends with stdin.
 */
// deno-lint-ignore-file no-console -- this is a program
import { createClient, RESP_TYPES } from "@redis/client";

const [contender, path, queue] = Deno.args as [string, string, string];
const decoder = new TextDecoder();
const bytes = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
let handled = 0;

function handle(payload: Uint8Array): void {
  if (JSON.parse(decoder.decode(payload)).type === "event") handled++;
}

if (contender === "ours") {
  const { Bus, Event, RedisBackend } = await import("../../mod.ts");
  const bus = new Bus();
  bus.registerHandler(Event, () => void handled++);
  const backend = new RedisBackend({
    redisArgs: { unix_socket_path: path },
    deviceId: "livingroom",
    queue,
    bus,
  });
  await backend.start();
} else if (contender === "bare client") {
  const client = createClient({ socket: { path, tls: false } });
  await client.connect();
  void (async () => {
    for (;;) {
      const reply = await client.sendCommand<[unknown, Uint8Array[]] | null>(
        ["BLMPOP", "20", "1", queue, "LEFT", "COUNT", "512"],
        bytes,
      );
      for (const payload of reply?.[1] ?? []) handle(payload);
    }
  })();
} else if (contender === "streams by hand") {
  const client = createClient({ RESP: 2, socket: { path, tls: false } });
  await client.connect();
  await client.sendCommand(
    ["XGROUP", "CREATE", queue, "group", "$", "MKSTREAM"],
  );
  type Reply = [unknown, [id: Uint8Array, fields: Uint8Array[]][]][] | null;
  void (async () => {
    for (;;) {
      const reply = await client.sendCommand<Reply>(
        "XREADGROUP GROUP group me COUNT 512 BLOCK 20000 STREAMS".split(" ")
          .concat(queue, ">"),
        bytes,
      );
      for (const [id, fields] of reply?.[0]?.[1] ?? []) {
        handle(fields[1]!);
        await client.sendCommand(["XACK", queue, "group", String(id)]);
      }
    }
  })();
} else if (contender === "BullMQ") {
  const { Worker } = await import("bullmq");
  // deno-lint-ignore require-await -- it wants a promise
  const worker = new Worker(queue, async () => void handled++, {
    connection: { path, maxRetriesPerRequest: null },
  });
  await worker.waitUntilReady();
} else {
  const { default: Queue } = await import("bee-queue");
  const bee = new Queue(queue, { redis: { path } as { path: string } });
  // deno-lint-ignore require-await -- it wants a promise
  bee.process(async () => void handled++);
  await bee.ready();
}
console.log("started");
for await (const _ of Deno.stdin.readable);
Deno.exit(0);
