import assert from "node:assert/strict";
import type { HeldBatch } from "../../src/redis/held_batch.ts";
import type { Batch } from "../../src/redis/mod.ts";
import { calls, callsOf } from "../calls.ts";
import { LineLogger } from "../line_logger.ts";
import { Proxy } from "../proxy.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

import { numbers, open, queued, texts } from "./inboxes.ts";
import { blocked, nextBatch } from "./next_batch.ts";

const decoder = new TextDecoder();
const HELD = "{queue}:processing:*:*";

/** A message that has an id and a time of its own: its list is used again. */
function complete(name: string): string {
  return JSON.stringify({ id: name, _timestamp: 1 });
}

async function held(server: TestServer): Promise<string[]> {
  return await server.run<string[]>("KEYS", HELD);
}

Deno.test("What is in hand goes back in its order, also where lists were used again", async () => {
  await using server = await TestServer.start();
  const sent = ["a", "b", "c", "d"].map(complete);
  {
    await using inbox = await open(server);
    const batches = [];
    for (const text of sent.slice(0, 3)) {
      await blocked(server);
      await server.run("RPUSH", "queue", text);
      batches.push((await nextBatch(inbox))!);
    }
    // The list of one that was handled may be used again, before that of an older one.
    await batches[0]!.settle();
    await batches[1]!.settle();
    await blocked(server);
    for (const text of [sent[3]!, complete("e"), complete("f")]) {
      await server.run("RPUSH", "queue", text);
      assert.deepEqual(texts(await nextBatch(inbox)), [text]);
      await blocked(server);
    }
    await inbox.stop(0);
  }
  assert.deepEqual(
    await queued(server),
    [sent[2], ...["d", "e", "f"].map(complete)],
  );
});

Deno.test("A list that somebody has removed is not used again", async () => {
  await using server = await TestServer.start();
  {
    await using inbox = await open(server);
    await blocked(server);
    await server.run("RPUSH", "queue", complete("a"));
    const batch = (await nextBatch(inbox))!;
    // As after a failover to a replica that lacks the last move.
    await server.run("DEL", ...await held(server));
    await batch.settle();
    for (const name of ["b", "c", "d"]) {
      await blocked(server);
      await server.run("RPUSH", "queue", complete(name));
      await nextBatch(inbox);
    }
    await inbox.stop(0);
  }
  assert.deepEqual(await queued(server), ["b", "c", "d"].map(complete));
});

for (
  const { what, sent } of [
    { what: "moved", sent: ["a"] },
    { what: "taken by a script", sent: ["a", "b", "c"] },
  ]
) {
  Deno.test(`What could not be acknowledged goes back when its consumer has left (${what})`, async () => {
    await using server = await TestServer.start();
    const all = sent.map(complete);
    {
      if (all.length > 1) await server.run("RPUSH", "queue", ...all);
      await using inbox = await open(server);
      if (all.length === 1) {
        await blocked(server);
        await server.run("RPUSH", "queue", ...all);
      }
      const batch = (await nextBatch(inbox))!;
      assert.deepEqual(texts(batch), all);
      const [list] = await held(server);
      const [, batches, number] = /^(.*):(\d+)$/.exec(list!)!;
      const notes = await server.run("HGET", batches!, number!);
      await server.run("ACL", "SETUSER", "default", "-del");
      await batch.settle();
      assert.equal(await server.run("HGET", batches!, number!), notes);
      await inbox.stop(0);
    }
    await server.run("ACL", "SETUSER", "default", "+del");
    await using _other = await open(server, { paused: true });
    await until(async () => (await queued(server)).length === all.length);
    assert.deepEqual(await queued(server), all);
    assert.deepEqual(await held(server), []);
  });
}

Deno.test("A list to which nothing could be moved is not looked after for ever", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, { logger: new LineLogger() });
  await blocked(server);
  await inbox.pause();
  await server.run("SET", "queue", "a text");
  inbox.resume();
  const [batches] = await server.run<string[]>("KEYS", "{queue}:processing:*");
  await until(async () => {
    const stats = await server.run<string>("INFO", "commandstats");
    return Number(/blmove:.*failed_calls=(\d+)/.exec(stats)?.[1]) > 3;
  });
  const announced = await server.run<number>("HLEN", batches!);
  assert.ok(announced <= 2, `${announced} lists are announced`);
  await server.run("DEL", "queue");
  await server.run("RPUSH", "queue", complete("a"));
  assert.deepEqual(texts(await nextBatch(inbox)), [complete("a")]);
});

Deno.test("Looks that find nothing while a message is in hand use one list again and again", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { queue: ["queue", "other"], logger });
  await server.run("RPUSH", "queue", complete("a"));
  await nextBatch(inbox);
  const looks = (): Promise<number> => callsOf(server, "lmove");
  // Another consumer is quicker each time.
  for (let round = 0; round < 10; round++) {
    const before = await looks();
    await server.run(
      "EVAL",
      "redis.call('RPUSH', KEYS[1], 'b'); redis.call('LPOP', KEYS[1])",
      "1",
      "queue",
    );
    await until(async () => await looks() > before);
  }
  const keys = await server.run<string[]>("KEYS", "{queue}:processing:*");
  const batches = keys.find((key) => !/:\d+$/.test(key));
  const announced = await server.run<number>("HLEN", batches!);
  assert.ok(announced <= 3, `${announced} lists are announced`);
  await inbox.stop(0);
});

Deno.test("What a server that has lost its last writes puts back into a list that was used comes again soon", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server);
  await blocked(server);
  await server.run("RPUSH", "queue", complete("a"));
  const first = (await nextBatch(inbox))!;
  await blocked(server);
  await server.run("RPUSH", "queue", complete("b"));
  const second = (await nextBatch(inbox))!;
  await blocked(server);
  const lists = await held(server);
  for (const list of lists) await server.run("COPY", list, `copy ${list}`);
  await first.settle();
  await second.settle();
  await until(async () => (await held(server)).length === 0);
  for (const list of lists) await server.run("RENAME", `copy ${list}`, list);
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  const again = [await nextBatch(inbox), await nextBatch(inbox)];
  assert.deepEqual(again.map(texts), [[complete("a")], [complete("b")]]);
  for (const batch of again) await batch!.settle();
  await inbox.stop();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Messages need hardly more than three commands each where the next one is waited for while one is in hand", async () => {
  const COUNT = 200;
  await using server = await TestServer.start();
  await using inbox = await open(server, { heartbeatTimeout: 60 });
  const ran = async (): Promise<number> => {
    const { blmove = 0, exists = 0, del = 0, hset = 0, hdel = 0 } = await calls(
      server,
    );
    return blmove + exists + del + hset + hdel;
  };
  await blocked(server);
  const before = await ran();
  for (const name of numbers(COUNT)) {
    await server.run("RPUSH", "queue", complete(name));
    const batch = await nextBatch(inbox);
    await blocked(server);
    await batch!.settle();
  }
  const each = (await ran() - before) / COUNT;
  assert.ok(each < 3.25, `${each} commands a message`);
  const [batches] = await server.run<string[]>("KEYS", "{queue}:processing:*");
  const announced = await server.run<number>("HLEN", batches!);
  assert.ok(announced <= 64, `${announced} lists are announced`);
});

Deno.test("What is in hand goes back in its order, whichever was settled before", async () => {
  await using server = await TestServer.start();
  let random = 1;
  for (let round = 0; round < 5; round++) {
    await using inbox = await open(server, { heartbeatTimeout: 60 });
    await blocked(server);
    const inHand = new Map<string, Batch>();
    for (const name of numbers(60)) {
      await server.run("RPUSH", "queue", complete(name));
      inHand.set(complete(name), (await nextBatch(inbox))!);
      await blocked(server);
      for (const [text, batch] of [...inHand]) {
        random = random * 48271 % 0x7fffffff;
        if (random % 3 > 0 || name === "n59") continue;
        await batch.settle();
        inHand.delete(text);
      }
    }
    await inbox.stop(0);
    assert.ok(inHand.size > 1);
    assert.deepEqual(await queued(server), [...inHand.keys()]);
    await server.run("DEL", "queue", "{queue}:deliveries");
    assert.deepEqual(await server.run("KEYS", "*"), []);
  }
});

/** Loses a command that settles a failure, or its answer, and all connections. */
class LosingProxy extends Proxy {
  /** Loses none before: the server may have to be told the script first. */
  isArmed = false;
  readonly #lost: string;
  #settling: Deno.TcpConn | undefined;

  constructor(target: number, lost: string) {
    super(target);
    this.#lost = lost;
  }

  protected override carry(
    bytes: Uint8Array,
    isToServer: boolean,
    client: Deno.TcpConn,
  ): Promise<Uint8Array> {
    const isSettling = this.isArmed && isToServer &&
      decoder.decode(bytes).includes("\r\nretry\r\n");
    if (isSettling) this.#settling = client;
    const isLost = this.#lost === "command"
      ? isSettling
      : this.#lost === "answer" && !isToServer && client === this.#settling;
    if (!isLost) return Promise.resolve(bytes);
    this.isArmed = false;
    this.#settling = undefined;
    this.cut();
    return Promise.resolve(new Uint8Array());
  }
}

for (const lost of ["nothing", "command", "answer"]) {
  const what = lost === "nothing"
    ? "is used again"
    : `is not used again where the ${lost} that settles it was lost`;
  Deno.test(`The list of a message that has failed ${what}`, async () => {
    await using server = await TestServer.start({ socket: false });
    await using proxy = new LosingProxy(server.args.port!, lost);
    const args = { ...server.args, port: proxy.port };
    const logger = new LineLogger();
    await using inbox = await open({ args }, { retryPause: 60, logger });
    const lists: number[] = [];
    for (const name of ["a", "b", "c", "d"]) {
      await blocked(server);
      await server.run("RPUSH", "queue", complete(name));
      const batch = (await nextBatch(inbox)) as HeldBatch;
      lists.push(batch.place.number);
      proxy.isArmed = name === "b";
      const error = new Error("not now");
      await batch.settle([{ index: 0, reason: "failed", error }]);
    }
    assert.equal(await server.run("ZCARD", "{queue}:retry"), 4);
    const [, second, ...others] = lists;
    assert.equal(
      others.includes(second!),
      lost === "nothing",
      lists.join(", "),
    );
    // It was not settled by others.
    assert.doesNotMatch(logger.lines.join("\n"), /too late/);
    await inbox.stop();
  });
}
