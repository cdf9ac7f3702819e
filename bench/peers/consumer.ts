/**
 * One consumer of a queue, in a process of its own, by one of the ways that
 * `bench/peers.ts` and `bench/load.ts` compare:
 *
 *     consumer.ts CONTENDER SOCKET QUEUE [COUNT [BATCH]]
 *
 * It says "started", and after every COUNT messages "done" and the milliseconds
 * since the first of them. It ends when stdin does. Those by hand take up to BATCH
 * at once.
 */
// deno-lint-ignore-file no-console -- this is a program
import { createClient, RESP_TYPES } from "@redis/client";

const [contender, path, queue] = Deno.args as [string, string, string];
const count = Number(Deno.args[3] ?? 0);
const batch = Number(Deno.args[4] ?? 512);
const decoder = new TextDecoder();
const bytes = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
let handled = 0;
let first = 0;

function countOne(): void {
  if (handled++ === 0) first = performance.now();
  if (handled !== count) return;
  handled = 0;
  console.log("done", performance.now() - first);
}

function handle(payload: Uint8Array): void {
  if (JSON.parse(decoder.decode(payload)).type === "event") countOne();
}

if (contender === "ours") {
  const { Bus, Event, RedisBackend } = await import("../../mod.ts");
  const bus = new Bus();
  bus.registerHandler(Event, countOne);
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
        ["BLMPOP", "20", "1", queue, "LEFT", "COUNT", String(batch)],
        bytes,
      );
      for (const payload of reply?.[1] ?? []) handle(payload);
    }
  })();
} else if (contender === "LMOVE by hand") {
  const client = createClient({ RESP: 2, socket: { path, tls: false } });
  await client.connect();
  const mine = `${queue}:mine`;
  const run = (...command: string[]): Promise<Uint8Array | null> =>
    client.sendCommand(command, bytes);
  void (async () => {
    for (let others = 0;;) {
      const payloads = await Promise.all([
        run("BLMOVE", queue, mine, "LEFT", "RIGHT", "20"),
        ...Array.from(
          { length: others },
          () => run("LMOVE", queue, mine, "LEFT", "RIGHT"),
        ),
      ]);
      const found = payloads.filter((payload) => payload !== null);
      for (const payload of found) handle(payload);
      if (found.length > 0) void run("DEL", mine);
      // As many as there seem to be wait behind the first one.
      others = found.length > others ? Math.min(2 * others + 1, batch - 1) : 0;
    }
  })();
} else if (contender === "streams by hand") {
  const client = createClient({ RESP: 2, socket: { path, tls: false } });
  await client.connect();
  await client.sendCommand(
    ["XGROUP", "CREATE", queue, "group", "0", "MKSTREAM"],
  );
  type Reply = [unknown, [id: Uint8Array, fields: Uint8Array[]][]][] | null;
  void (async () => {
    for (;;) {
      const reply = await client.sendCommand<Reply>(
        `XREADGROUP GROUP group me COUNT ${batch} BLOCK 20000 STREAMS`
          .split(" ").concat(queue, ">"),
        bytes,
      );
      const entries = reply?.[0]?.[1] ?? [];
      for (const [, fields] of entries) handle(fields[1]!);
      const ids = entries.map(([id]) => String(id));
      if (ids.length === 0) continue;
      void client.sendCommand(["XACK", queue, "group", ...ids]);
      void client.sendCommand(["XDEL", queue, ...ids]);
    }
  })();
} else if (contender === "BullMQ") {
  const { Worker } = await import("bullmq");
  // deno-lint-ignore require-await -- it wants a promise
  const worker = new Worker(queue, async () => countOne(), {
    connection: { path, maxRetriesPerRequest: null },
  });
  await worker.waitUntilReady();
} else {
  const { default: Queue } = await import("bee-queue");
  const bee = new Queue(queue, { redis: { path } as { path: string } });
  // deno-lint-ignore require-await -- it wants a promise
  bee.process(async () => countOne());
  await bee.ready();
}
console.log("started");
for await (const _ of Deno.stdin.readable);
Deno.exit(0);
