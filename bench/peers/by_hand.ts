/** The ways of `consumer.ts` that need the bare client, and nothing else. */
import { createClient, RESP_TYPES } from "@redis/client";
import { CheckedMessage } from "./checked_message.ts";
import { countOne } from "./count.ts";
import type { Contender, Library, Ours } from "./process.ts";
import { listenInWorkers } from "./workers.ts";

const [, path, queue, , batch = "512"] = Deno.args as [string, string, string];
const decoder = new TextDecoder();
const bytes = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

function handle(payload: Uint8Array): void {
  countOne(JSON.parse(decoder.decode(payload)).args.sent);
}

/** The bare client: `BLMPOP`, and each message is read as JSON. */
async function popBare(
  {
    timeout = "1",
    isAhead = false,
    take = (payloads: readonly Uint8Array[]): void | Promise<void> =>
      payloads.forEach(handle),
  } = {},
): Promise<void> {
  const client = createClient({ socket: { path, tls: false } });
  await client.connect();
  const pop = (): Promise<[unknown, Uint8Array[]] | null> =>
    client.sendCommand(
      ["BLMPOP", timeout, "1", queue, "LEFT", "COUNT", batch],
      bytes,
    );
  void (async () => {
    for (let next = pop();;) {
      const reply = await next;
      if (isAhead) next = pop();
      await take(reply?.[1] ?? []);
      if (!isAhead) next = pop();
    }
  })();
}

async function moveByHand(): Promise<void> {
  const client = createClient({ RESP: 2, socket: { path, tls: false } });
  await client.connect();
  const mine = `${queue}:mine`;
  const run = (...command: string[]): Promise<Uint8Array | null> =>
    client.sendCommand(command, bytes);
  void (async () => {
    for (let others = 0;;) {
      const payloads = await Promise.all([
        run("BLMOVE", queue, mine, "LEFT", "RIGHT", "1"),
        ...Array.from(
          { length: others },
          () => run("LMOVE", queue, mine, "LEFT", "RIGHT"),
        ),
      ]);
      const found = payloads.filter((payload) => payload !== null);
      for (const payload of found) handle(payload);
      if (found.length > 0) void run("DEL", mine);
      // As many as there seem to be wait behind the first one.
      others = found.length > others
        ? Math.min(2 * others + 1, Number(batch) - 1)
        : 0;
    }
  })();
}

/** Moves as many messages as there may be to a list of the consumer. */
const MOVE = `
redis.call('SORT', KEYS[1], 'BY', 'nosort', 'LIMIT', 0, ARGV[1], 'STORE', KEYS[2])
redis.call('LTRIM', KEYS[1], ARGV[1], -1)`;

/** What a script has moved to a list. */
interface ScriptBatch {
  readonly payloads: readonly Uint8Array[];
  /** Removes the list: the messages are handled. */
  settle(): void;
}

/**
 * The least that is at least once, and gives a handler checked messages: a batch
 * is moved by a script and read behind it, the next one is under way, and a list
 * goes when its messages are handled. Nobody looks after what a consumer has left
 * when it died.
 *
 * @returns What gives the next batch.
 */
async function openScript(): Promise<() => Promise<ScriptBatch>> {
  const client = createClient({ RESP: 2, socket: { path, tls: false } });
  await client.connect();
  const run = (...command: string[]): Promise<unknown> =>
    client.sendCommand(command, bytes);
  const take = async (list: string): Promise<Uint8Array[]> => {
    const [, payloads] = await Promise.all([
      run("EVAL", MOVE, "2", queue, list, batch),
      run("LRANGE", list, "0", "-1"),
    ]) as [unknown, Uint8Array[]];
    if (payloads.length > 0) return payloads;
    const one = await run("BLMOVE", queue, list, "LEFT", "RIGHT", "1");
    return one === null ? [] : [one as Uint8Array];
  };
  // What another one has left stays where it is.
  const lists = `${queue}:${crypto.randomUUID()}`;
  let number = 0;
  let next = take(`${lists}:0`);
  return async () => {
    const payloads = await next;
    const list = `${lists}:${number}`;
    next = take(`${lists}:${++number}`);
    return { payloads, settle: () => void run("DEL", list) };
  };
}

function read(payload: Uint8Array): CheckedMessage {
  return new CheckedMessage(JSON.parse(decoder.decode(payload)));
}

async function takeByScript(): Promise<void> {
  const next = await openScript();
  void (async () => {
    for (;;) {
      const { payloads, settle } = await next();
      for (const payload of payloads) countOne(read(payload).args["sent"]);
      if (payloads.length > 0) settle();
    }
  })();
}

/** The same for a loop, at the least that one costs: a promise for each message. */
async function loopByScript(): Promise<void> {
  const next = await openScript();
  let { payloads, settle }: ScriptBatch = {
    payloads: [],
    settle: () => {},
  };
  let at = 0;
  const messages: AsyncIterator<CheckedMessage> = {
    next: () =>
      at < payloads.length
        ? Promise.resolve({ value: read(payloads[at++]!), done: false })
        : more(),
  };
  const more = async (): ReturnType<typeof messages.next> => {
    settle();
    do ({ payloads, settle } = await next()); while (payloads.length === 0);
    at = 1;
    return { value: read(payloads[0]!), done: false };
  };
  void (async () => {
    for await (const _ of { [Symbol.asyncIterator]: () => messages }) {
      countOne();
    }
  })();
}

async function readStream(
  take: (payload: Uint8Array) => void = handle,
): Promise<void> {
  const client = createClient({ RESP: 2, socket: { path, tls: false } });
  await client.connect();
  await client.sendCommand(
    ["XGROUP", "CREATE", queue, "group", "0", "MKSTREAM"],
  );
  type Reply = [unknown, [id: Uint8Array, fields: Uint8Array[]][]][] | null;
  void (async () => {
    for (;;) {
      const reply = await client.sendCommand<Reply>(
        `XREADGROUP GROUP group me COUNT ${batch} BLOCK 1000 STREAMS`
          .split(" ").concat(queue, ">"),
        bytes,
      );
      const entries = reply?.[0]?.[1] ?? [];
      for (const [, fields] of entries) take(fields[1]!);
      const ids = entries.map(([id]) => String(id));
      if (ids.length === 0) continue;
      void client.sendCommand(["XACK", queue, "group", ...ids]);
      void client.sendCommand(["XDEL", queue, ...ids]);
    }
  })();
}

/** Streams, and each message is also given to whoever listens on a channel. */
async function readAndPost(): Promise<void> {
  const messages = new BroadcastChannel("messages");
  await readStream((payload) => {
    const message = JSON.parse(decoder.decode(payload));
    messages.postMessage(message);
    countOne(message.args.sent);
  });
}

/** The bare client, which hands everything on to sixty workers. */
async function popForWorkers(file: string): Promise<void> {
  const messages = new BroadcastChannel("messages");
  await popBare({
    take: (payloads) => payloads.forEach((one) => messages.postMessage(one)),
  });
  await listenInWorkers(60, file);
}

/** The bare client, which hands bytes on to a worker: the least that a handler there costs. */
async function shareByHand(): Promise<void> {
  const share = await startWorker(false);
  await popBare({
    isAhead: true,
    take: async (payloads) => {
      if (payloads.length > 0) await share(payloads);
    },
  });
}

/** A script, which does so too: the list of a batch goes when the worker has handled it. */
async function shareByScript(): Promise<void> {
  const share = await startWorker(true);
  const next = await openScript();
  void (async () => {
    for (;;) {
      const { payloads, settle } = await next();
      if (payloads.length > 0) await share(payloads, settle);
    }
  })();
}

/**
 * Starts `hand_worker.ts`.
 *
 * @param isKept Whether messages are kept until they are handled, and checked.
 * @returns Hands a batch on, and resolves when it is written. What is given with it
 * is called when the worker needs it no more.
 */
async function startWorker(
  isKept: boolean,
): Promise<
  (payloads: readonly Uint8Array[], onOver?: () => void) => Promise<void>
> {
  const boxes = [0, 1].map(() => new SharedArrayBuffer(2 ** 21));
  const url = new URL("hand_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  await new Promise((resolve) => {
    worker.onmessage = resolve;
    worker.postMessage({ boxes, isKept });
  });
  const over = boxes.map(() => Promise.resolve());
  let turn = 0;
  return async (payloads, onOver) => {
    const at = turn++ % boxes.length;
    await over[at];
    write(boxes[at]!, payloads);
    over[at] = emptied(boxes[at]!).then(onOver);
  };
}

/** Resolves when the worker needs no more of what is in a piece of memory. */
async function emptied(box: SharedArrayBuffer): Promise<void> {
  const words = new Int32Array(box);
  for (let count; (count = Atomics.load(words, 0)) !== 0;) {
    await Atomics.waitAsync(words, 0, count).value;
  }
}

/** Writes a batch for `hand_worker.ts`, where the one before it is over. */
function write(box: SharedArrayBuffer, payloads: readonly Uint8Array[]): void {
  const words = new Int32Array(box);
  let at = 4 * (1 + 2 * payloads.length);
  for (const [i, payload] of payloads.entries()) {
    // As far from a multiple of 8 as before, bytes are copied ten times faster.
    at += (payload.byteOffset - at) & 7;
    words[1 + 2 * i] = at;
    words[2 + 2 * i] = payload.length;
    new Uint8Array(box).set(payload, at);
    at += payload.length;
  }
  Atomics.store(words, 0, payloads.length);
  Atomics.notify(words, 0);
}

/** What each contender does; it resolves when that takes messages. */
export const ways: Record<
  Exclude<Contender, Ours | Library | "redis-py">,
  () => Promise<void>
> = {
  "bare client": () => popBare(),
  "bare client, waiting without end": () => popBare({ timeout: "0" }),
  "bare client, reading ahead": () => popBare({ isAhead: true }),
  "bare client, unparsed": () =>
    popBare({
      isAhead: true,
      take: (payloads) => payloads.forEach(() => countOne()),
    }),
  "bare client, 60 workers": () => popForWorkers("bare_listener.ts"),
  "bare client with node: imports, 60 workers": () =>
    popForWorkers("bare_listener.ts?node"),
  "bare client, handler in a worker": shareByHand,
  "script by hand, handler in a worker": shareByScript,
  "LMOVE by hand": moveByHand,
  "script by hand": takeByScript,
  "script by hand, for await": loopByScript,
  "streams by hand": readStream,
  "streams by hand, posting": readAndPost,
};
