import assert from "node:assert/strict";
import { Inbox } from "../../src/redis/mod.ts";
import { callsOf } from "../calls.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { later } from "../later.ts";
import { LineLogger } from "../line_logger.ts";
import { Proxy } from "../proxy.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { handleAll, open, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

/** Far more than a test takes, in seconds: no timer goes off, and no heartbeat expires. */
const LONG = 600;

/** Reads the heartbeat of the only process that consumes the queue. */
async function beat(server: TestServer): Promise<string> {
  const [key] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  return await server.run("GET", key!);
}

/** Handles one message alone. */
async function handle(
  server: TestServer,
  inbox: Inbox,
  text: string,
): Promise<void> {
  await server.run("RPUSH", "queue", text);
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), [text]);
  await batch!.settle();
}

/** A TCP proxy on loopback that lets something happen before certain commands. */
class SlowProxy extends Proxy {
  /** What the commands contain, and what happens before the first such one. */
  before: { text: RegExp; act: () => Promise<void> } | undefined;

  protected override async carry(
    bytes: Uint8Array,
    isToServer: boolean,
  ): Promise<Uint8Array> {
    const { before } = this;
    const sent = new TextDecoder().decode(bytes);
    if (isToServer && before !== undefined && before.text.test(sent)) {
      this.before = undefined;
      await before.act();
    }
    return bytes;
  }
}

Deno.test("A heartbeat that is due soon goes along with a message", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, { heartbeatTimeout: LONG });
  const first = await beat(server);
  await handle(server, inbox, "too early");
  // The next wait has begun when the list of this message is used again.
  await handle(server, inbox, "still too early");
  assert.equal(await beat(server), first);
  using _ = later(0.4 * LONG);
  await handle(server, inbox, "early enough");
  await until(async () => await beat(server) !== first);
  const second = await beat(server);
  await handle(server, inbox, "too early again");
  await handle(server, inbox, "and once more");
  assert.equal(await beat(server), second);
});

Deno.test("Nobody looks after a heartbeat of this process, though the server tells of it", async () => {
  await using server = await TestServer.start();
  const queue = ["queue", "second", "third"];
  await using inbox = await open(server, { queue, heartbeatTimeout: LONG });
  // Until the look at the start is over, and no message is taken by a script.
  let before: number;
  do {
    before = await callsOf(server, "evalsha");
    await handle(server, inbox, "one");
    await handle(server, inbox, "and another one");
  } while (await callsOf(server, "evalsha") !== before);
  // Later than the next heartbeat, and sooner than all keys are gone through.
  for (const seconds of [0.4 * LONG, 0.8 * LONG]) {
    const last = await beat(server);
    using _ = later(seconds);
    await handle(server, inbox, "with a heartbeat");
    await until(async () => await beat(server) !== last);
    await handle(server, inbox, "of which the server tells");
  }
  assert.equal(await callsOf(server, "evalsha"), before);
});

Deno.test("Who is asked to look runs one script where there is nothing", async () => {
  await using server = await TestServer.start();
  await using _inbox = await open(server, { heartbeatTimeout: 3 * HEARTBEAT });
  const [key] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  const first = await beat(server);
  // It waits by then.
  await until(async () => await beat(server) !== first);
  const before = await callsOf(server, "evalsha");
  const reads = await hashReads(server);
  let looks = 0;
  // The second look begins when the first one is over.
  while (looks < 2) {
    const asking = `${await beat(server)}!`;
    await server.run("SET", key!, asking, "KEEPTTL");
    await until(async () => await beat(server) !== asking);
    looks++;
    await until(async () => await callsOf(server, "evalsha") >= before + looks);
  }
  assert.equal(await callsOf(server, "evalsha"), before + looks);
  // That of its batches, and that of the consumers.
  assert.equal(await hashReads(server), reads + 2 * looks);
});

Deno.test("A session that is over learns of it although another one has made the heartbeat anew", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new SlowProxy(port);
  const logger = new LineLogger();
  // Without version 3, the server tells of no changes.
  const args = { port: proxy.port, protocol: 2 } as const;
  await using inbox = await Inbox.open(args, {
    queue: ["other", "queue"],
    heartbeatTimeout: HEARTBEAT,
    logger,
  });
  const handled = new Set<string>();
  const reading = handleAll(inbox, handled);
  const [name] = await server.run<string[]>("HKEYS", "{queue}:consumers");
  proxy.before = {
    // Whether it looks by itself, or with all others in one script.
    text: /\{other\}:(subscribers|\r\n)/,
    async act(): Promise<void> {
      await server.run(
        "DEL",
        ...await server.run<string[]>("KEYS", "*:consumer:*"),
      );
      const [seconds] = await server.run<string[]>("TIME");
      await server.run("HSET", "{queue}:consumers", name!, seconds!);
    },
  };
  // The other queue alone has a reason to look.
  await server.run("SET", "other", "no list");
  await logger.line(/^error: Cannot read "other"/);
  await logger.line(/^warn: .* is no consumer of "queue" any more/);
  await server.run("RPUSH", "queue", "one");
  await until(() => handled.has("one"));
  await inbox.stop();
  await reading;
});

/** Counts how often hashes were read. */
async function hashReads(server: TestServer): Promise<number> {
  let count = 0;
  for (const name of ["hget", "hgetall", "hkeys"]) {
    count += await callsOf(server, name);
  }
  return count;
}

for (const queue of [["queue"], ["queue", "second", "third"]]) {
  Deno.test(`However many consume queues, each watches few of them (${queue.length})`, async () => {
    await using server = await TestServer.start();
    const inboxes: Inbox[] = [];
    await using stack = new AsyncDisposableStack();
    for (let count = 0; count < 12; count++) {
      inboxes.push(stack.use(await open(server, { queue })));
    }
    // Who was there learns of the last one with its next beat.
    const beats = async (count: number): Promise<void> => {
      const begin = await callsOf(server, "set");
      await until(async () => await callsOf(server, "set") >= begin + count);
    };
    await beats(3 * inboxes.length);
    const before = [await callsOf(server, "get"), await callsOf(server, "set")];
    await beats(4 * inboxes.length);
    const read = await callsOf(server, "get") - before[0]!;
    const written = await callsOf(server, "set") - before[1]!;
    assert.ok(read <= 2 * written, `${read} looks, ${written} beats`);
  });
}

Deno.test("Inbox puts back what many consumers had in hand that die one after the other", async () => {
  await using server = await TestServer.start();
  const dead = Array.from({ length: 7 }, (_, at) => `gone.${at}`);
  for (const [at, name] of dead.entries()) {
    const key = `{queue}:consumer:${name}`;
    const life = String(3000 + at * 500);
    await server.run("HSET", "{queue}:consumers", name, "alive");
    await server.run("SET", key, `${life} beat`, "PX", life);
    await server.run("HSET", `{queue}:processing:${name}`, "1", "@1 ");
    await server.run("RPUSH", `{queue}:processing:${name}:1`, name);
  }
  await using inbox = await open(server);
  const handled: string[] = [];
  while (handled.length < dead.length) {
    const batch = await nextBatch(inbox);
    handled.push(...texts(batch));
    await batch!.settle();
  }
  assert.deepEqual(handled.toSorted(), dead);
});

Deno.test("Who beats rarely leaves no one to be found late", async () => {
  await using server = await TestServer.start();
  await using _first = await open(server, { consumer: "a" });
  await using _rare = await open(server, {
    consumer: "b",
    heartbeatTimeout: LONG,
  });
  await using _rarer = await open(server, {
    consumer: "c",
    heartbeatTimeout: LONG,
  });
  const [first] = await server.run<string[]>("KEYS", "{queue}:consumer:a.*");
  // Another one joins, and tells the first one.
  await server.run("HSET", "{queue}:consumers", "d", "alive");
  await server.run("SET", "{queue}:consumer:d", "6000 beat", "PX", "6000");
  await server.run("HSET", "{queue}:processing:d", "1", "@1 ");
  await server.run("RPUSH", "{queue}:processing:d:1", "text");
  const before = await callsOf(server, "evalsha");
  await server.run("APPEND", first!, "!");
  await until(async () => await callsOf(server, "evalsha") > before);
  // It dies.
  await until(async () =>
    await server.run("EXISTS", "{queue}:processing:d:1") === 0
  );
});

/** Names that come behind all tokens of processes, in their order. */
const LAST = ["zzzzzzz1", "zzzzzzz2", "zzzzzzz3", "zzzzzzz4"] as const;

/** Lays a consumer that beats for good, at any key, and has a message in hand. */
async function lay(
  server: TestServer,
  name: string,
  key = `{queue}:consumer:${name}`,
): Promise<void> {
  await server.run("HSET", "{queue}:consumers", name, "alive");
  const pointer = `{queue}:consumer:${name}`;
  if (key !== pointer) await server.run("SET", pointer, `=${key}`);
  await server.run("SET", key, "1 beat");
  await server.run("HSET", `{queue}:processing:${name}`, "1", "@1 ");
  await server.run("RPUSH", `{queue}:processing:${name}:1`, name);
}

/** Waits until somebody has found that it is dead. */
async function found(server: TestServer, name: string): Promise<void> {
  const list = `{queue}:processing:${name}:1`;
  const isFound = async (): Promise<boolean> =>
    await server.run("EXISTS", list) === 0;
  await until(isFound, `${name} is found`, 40);
}

Deno.test("Each watches those that follow it, at whatever keys these beat", async () => {
  await using server = await TestServer.start();
  const [first, ...others] = LAST;
  // By its key, it would be the last one.
  await lay(server, first, "{z}:consumer:first");
  for (const name of others) await lay(server, name);
  await using _inbox = await open(server);
  await server.run("DEL", "{z}:consumer:first");
  await found(server, first);
});

Deno.test("Who may not look after a queue says so", async () => {
  await using server = await TestServer.start({ port: freePort() });
  const rights = ["on", ">secret", "+@all", "~other", "~{other}:*"];
  const user = ["ACL", "SETUSER", "user"] as const;
  const all = ["~queue", "~{queue}:*"];
  await server.run(...user, ...rights, ...all);
  const args = { ...server.args, username: "user", password: "secret" };
  const [name] = LAST;
  await lay(server, name);
  await using _inbox = await open({ args }, { queue: ["other", "queue"] });
  const [key] = await server.run<string[]>("KEYS", "{other}:consumer:*");
  const saysSo = async (): Promise<boolean> =>
    /\?!?$/.test(await server.run("GET", key!));
  assert.ok(!await saysSo());
  await server.run(...user, "resetkeys", ...rights);
  await server.run("DEL", `{queue}:consumer:${name}`);
  await until(saysSo);
  await server.run(...user, ...all);
  await until(async () => !await saysSo());
  await found(server, name);
});

for (const isLate of [false, true]) {
  Deno.test(`Nobody counts on those who may not look, also where they say so ${isLate ? "later" : "before"}`, async () => {
    await using server = await TestServer.start();
    const [one, two, three] = LAST;
    for (const name of [one, two, three]) await lay(server, name);
    const say = async (): Promise<void> => {
      for (const name of [one, two]) {
        await server.run("SET", `{queue}:consumer:${name}`, "1 beat?");
      }
    };
    if (!isLate) await say();
    await using _inbox = await open(server);
    await server.run("DEL", `{queue}:consumer:${three}`);
    if (isLate) await say();
    await found(server, three);
  });
}

/** Waits until a look has begun and ended: the server tells of what one has read. */
async function hasLooked(server: TestServer): Promise<void> {
  const beats = await callsOf(server, "set");
  await until(async () => await callsOf(server, "set") >= beats + 2);
}

Deno.test("A key that points to the heartbeat comes back, though nothing is in the queue", async () => {
  await using server = await TestServer.start();
  await using _inbox = await open(server, { queue: ["other", "queue"] });
  const pointers = (): Promise<string[]> =>
    server.run<string[]>("KEYS", "{queue}:consumer:*");
  const [before] = await pointers();
  await hasLooked(server);
  await server.run("DEL", before!);
  await until(async () => (await pointers())[0] === before, "the key", 20);
});

Deno.test("A session that is over is not taken for alive since its process is", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, { queue: ["other", "queue"] });
  const names = (): Promise<string[]> =>
    server.run<string[]>("HKEYS", "{queue}:consumers");
  const [name] = await names();
  const processing = `{queue}:processing:${name}`;
  await server.run("RPUSH", `${processing}:77`, "stray");
  await server.run("HSET", processing, "77", "@1 ");
  await inbox.pause();
  await hasLooked(server);
  await server.run("DEL", "{queue}:consumers");
  await until(async () => (await names()).some((other) => other !== name));
  // All keys are gone through.
  using _ = later(700);
  await until(
    async () => await server.run("EXISTS", `${processing}:77`) === 0,
    "it is put back",
    40,
  );
});
