import assert from "node:assert/strict";
import {
  type Batch,
  Inbox,
  Outbox,
  pauseQueue,
  resumeQueue,
} from "../../src/redis/mod.ts";
import { sleep } from "../../src/waiting.ts";
import { calls, callsOf } from "../calls.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { LineLogger } from "../line_logger.ts";
import { Proxy } from "../proxy.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const QUEUES = Array.from({ length: 50 }, (_, at) => `queue${at}`);

/** Counts the commands that the server has run, also within scripts. */
async function commands(server: TestServer): Promise<number> {
  const text = await server.run<string>("INFO", "commandstats");
  const counts = text.matchAll(/cmdstat_(?!info|rpush)\S+?:calls=(\d+)/g);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`Inbox (${delivery}) has one connection for many queues, and misses nothing`, async () => {
    await using server = await TestServer.start();
    const before = await server.clients();
    await server.run("RPUSH", QUEUES[3]!, "early");
    await using inbox = await Inbox.open(server.args, {
      queue: QUEUES,
      delivery,
      logger: new LineLogger(),
    });
    assert.equal(await server.clients() - before, 1);
    const seen: string[] = [];
    const reading = (async () => {
      for (let batch: Batch | undefined; (batch = await inbox.next());) {
        seen.push(...texts(batch).map((text) => `${batch!.queue} ${text}`));
        await batch.settle();
      }
    })();
    const sent = [`${QUEUES[3]} early`];
    for (let round = 0; round < 3; round++) {
      for (const queue of QUEUES) {
        await server.run("RPUSH", queue, ...["a", "b"].slice(0, 1 + round % 2));
        sent.push(`${queue} a`);
        if (round % 2 === 1) sent.push(`${queue} b`);
      }
      if (round === 1 && delivery === "at-least-once") {
        await server.run("CLIENT", "KILL", "TYPE", "normal");
      }
    }
    await until(() => seen.length >= sent.length);
    await inbox.stop();
    await reading;
    assert.deepEqual(seen.toSorted(), sent.toSorted());
    assert.deepEqual(await server.run("KEYS", "*"), []);
  });
}

Deno.test("Inbox joins many queues by a few scripts, and asks nothing of those in which nothing is", async () => {
  await using server = await TestServer.start();
  await using _inbox = await Inbox.open(server.args, {
    queue: QUEUES,
    heartbeatTimeout: 6,
    logger: new LineLogger(),
  });
  await until(async () => (await calls(server))["set"]! >= QUEUES.length + 3);
  const { evalsha = 0, eval: texts = 0, lmove = 0 } = await calls(server);
  assert.ok(evalsha + texts < QUEUES.length / 2, `${evalsha + texts} scripts`);
  assert.ok(lmove < 5, `${lmove} looks into a queue`);
});

Deno.test("Inbox tells a server that has forgotten its scripts each of them once, not once for each of many queues", async () => {
  await using server = await TestServer.start();
  const inbox = await Inbox.open(server.args, {
    queue: QUEUES,
    logger: new LineLogger(),
  });
  await server.run("SCRIPT", "FLUSH");
  const { eval: before = 0 } = await calls(server);
  await inbox.stop();
  const { eval: after = 0 } = await calls(server);
  assert.ok(after - before < 5, `${after - before} texts`);
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Inbox asks each of many queues nothing when it looks for what a lost connection carried", async () => {
  await using server = await TestServer.start();
  await using inbox = await Inbox.open(server.args, {
    queue: QUEUES,
    heartbeatTimeout: HEARTBEAT,
    logger: new LineLogger(),
  });
  const { hget: before = 0 } = await calls(server);
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await until(() => inbox.stats().reconnects > 0);
  const { set: beats = 0 } = await calls(server);
  await until(async () => (await calls(server))["set"]! >= beats + 4);
  const { hget: after = 0 } = await calls(server);
  // A look asks whether its session is over.
  assert.ok(after - before < QUEUES.length, `${after - before} looks`);
});

Deno.test("Inbox finds in many queues at once what waits there, pauses, or is due", async () => {
  await using server = await TestServer.start();
  {
    await using inbox = await Inbox.open(server.args, {
      queue: QUEUES[10]!,
      retryPause: 1,
      logger: new LineLogger(),
    });
    await server.run("RPUSH", QUEUES[10]!, "failed");
    const batch = await nextBatch(inbox);
    await batch!.settle([
      { index: 0, reason: "failed", error: new Error("not now") },
    ]);
  }
  await server.run("RPUSH", QUEUES[20]!, "waits");
  const outbox = new Outbox(server.args);
  await outbox.schedule(QUEUES[30]!, [{ id: "1", payload: "is due" }], {
    delay: 1,
  });
  await outbox.close();
  await server.run("RPUSH", QUEUES[40]!, "is paused");
  await pauseQueue(server.args, { queue: QUEUES[40]! });
  const logger = new LineLogger();
  await using inbox = await Inbox.open(server.args, { queue: QUEUES, logger });
  const seen: string[] = [];
  const take = async (count: number): Promise<void> => {
    while (seen.length < count) {
      const batch = await nextBatch(inbox);
      seen.push(...texts(batch).map((text) => `${batch!.queue} ${text}`));
      await batch!.settle();
    }
  };
  await take(3);
  const found = ["queue10 failed", "queue20 waits", "queue30 is due"];
  assert.deepEqual(seen.toSorted(), found);
  await resumeQueue(server.args, { queue: QUEUES[40]! });
  await take(4);
  assert.equal(seen[3], "queue40 is paused");
});

Deno.test("Inbox names the one of many queues that it cannot read", async () => {
  await using server = await TestServer.start();
  const open = async (username = "default"): Promise<void> => {
    const args = { ...server.args, username };
    await using _inbox = await Inbox.open(
      username === "default" ? server.args : { ...args, password: "secret" },
      { queue: QUEUES, logger: new LineLogger() },
    );
  };
  await server.run("SET", QUEUES[30]!, "no list");
  await assert.rejects(open(), { code: "wrong-type", message: /"queue30"/ });
  await server.run("DEL", QUEUES[30]!);
  await server.run(
    ...["ACL", "SETUSER", "guest", "on", ">secret", "+@all"],
    ...QUEUES.filter((queue) => queue !== "queue20").map((queue) =>
      `~${queue}`
    ),
    ...QUEUES.map((queue) => `~{${queue}}*`),
  );
  await assert.rejects(open("guest"), {
    code: "permission",
    message: /read "queue20".*ACL SETUSER guest ~queue20 /,
  });
  // It may be looked at, and nothing may be taken from it.
  await server.run("ACL", "SETUSER", "guest", "%R~queue20");
  await assert.rejects(open("guest"), { code: "permission" });
  await server.run("ACL", "SETUSER", "guest", "~queue20");
  await open("guest");
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

/** A TCP proxy that leads one connection elsewhere, and lets the later ones wait. */
class ForkingProxy extends Proxy {
  /** The connection that is led elsewhere, counted from 1. */
  static readonly ELSEWHERE = 3;
  readonly #port: number;
  readonly #elsewhere: number;
  #count = 0;
  /** The number of connections that have waited. */
  late = 0;

  constructor(port: number, elsewhere: number) {
    super(port);
    this.#port = port;
    this.#elsewhere = elsewhere;
  }

  protected override async admit(): Promise<void> {
    const count = ++this.#count;
    if (count > ForkingProxy.ELSEWHERE) {
      await sleep(1);
      this.late++;
    }
    this.target = count === ForkingProxy.ELSEWHERE
      ? this.#elsewhere
      : this.#port;
  }

  protected override carry(bytes: Uint8Array): Promise<Uint8Array> {
    return Promise.resolve(bytes);
  }
}

Deno.test("Inbox leaves no connection behind where one of many is refused", async () => {
  const [port, elsewhere] = [freePort(), freePort()];
  await using server = await TestServer.start({ port });
  // So each queue has a connection of its own.
  await server.run("ACL", "SETUSER", "default", "-client|tracking");
  await using _strict = await TestServer.start({
    port: elsewhere,
    config: ["requirepass hunter2"],
    redisArgs: { password: "hunter2" },
  });
  await using proxy = new ForkingProxy(port, elsewhere);
  const queue = QUEUES.slice(0, 5);
  const logger = new LineLogger();
  await assert.rejects(Inbox.open({ port: proxy.port }, { queue, logger }), {
    code: "auth",
  });
  await until(() => proxy.late === 3);
  await until(async () => await server.clients() === 0);
});

Deno.test("Inbox beats at one key for all its queues, and puts back in each of them what the dead had in hand", async () => {
  await using server = await TestServer.start();
  const heartbeat = "{queue0}:consumer:gone.1";
  // It would count for an hour, if it did not say for how long it counts.
  await server.run("SET", heartbeat, "5000 x1", "PX", "3600000");
  for (const queue of QUEUES.slice(1)) {
    await server.run("HSET", `{${queue}}:consumers`, "gone.1", "alive");
    await server.run("SET", `{${queue}}:consumer:gone.1`, `=${heartbeat}`);
    await server.run("HSET", `{${queue}}:processing:gone.1`, "1", "?");
    await server.run("RPUSH", `{${queue}}:processing:gone.1:1`, "one");
  }
  await using inbox = await Inbox.open(server.args, {
    queue: QUEUES,
    heartbeatTimeout: HEARTBEAT,
    logger: new LineLogger(),
  });
  const beating: string[] = [];
  for (const key of await server.run<string[]>("KEYS", "*:consumer:c*")) {
    if (await server.run<number>("PTTL", key) > 0) beating.push(key);
  }
  assert.equal(beating.length, 1);
  assert.equal(inbox.stats().reclaimed, 0);
  for (const _ of QUEUES.slice(1)) {
    const batch = await nextBatch(inbox);
    assert.deepEqual(texts(batch), ["one"]);
    await batch!.settle();
  }
  assert.equal(inbox.stats().reclaimed, QUEUES.length - 1);
});

Deno.test("Inbox goes on with other queues when the rights to the first one are gone, and beats there", async () => {
  await using server = await TestServer.start();
  const queues = QUEUES.slice(0, 20);
  const permit = (...patterns: string[]): Promise<unknown> =>
    server.run("ACL", "SETUSER", "user", "on", ">x", "resetkeys", ...patterns);
  const rules = queues.map((queue) => [`~${queue}`, `~{${queue}}:*`]);
  await server.run("ACL", "SETUSER", "user", "+@all");
  await permit("~*");
  const logger = new LineLogger();
  const args = { ...server.args, username: "user", password: "x" };
  await using inbox = await Inbox.open(args, {
    queue: queues,
    heartbeatTimeout: HEARTBEAT,
    logger,
  });
  // Others with all rights, who would put back what is in the hands of the dead.
  await using other = await Inbox.open(server.args, {
    queue: queues,
    heartbeatTimeout: HEARTBEAT,
    paused: true,
    logger: new LineLogger(),
  });
  await permit(...rules.slice(1).flat());
  const [, ...allowed] = queues;
  const held: Batch[] = [];
  const take = async (queue: string, text: string): Promise<void> => {
    await server.run("RPUSH", queue, text);
    const batch = await nextBatch(inbox);
    assert.deepEqual([batch!.queue, ...texts(batch)], [queue, text]);
    held.push(batch!);
  };
  for (const queue of allowed) await take(queue, "held");
  await logger.line(
    /^error: Cannot read "queue0" at .* NOPERM .*\. Trying again\.$/,
  );
  const beating = async (): Promise<string | undefined> => {
    for (const key of await server.run<string[]>("KEYS", "*:consumer:c*")) {
      const value = await server.run<string>("GET", key);
      // One that is gone meanwhile beats no more.
      if (value === null || value.startsWith("=")) continue;
      if (!key.includes("queue0")) return value;
    }
    return undefined;
  };
  for (let beat = 0; beat < 6; beat++) {
    const before = await beating();
    await until(async () => await beating() !== before, "it beats elsewhere");
  }
  assert.equal(other.stats().reclaimed, 0);
  for (const batch of held) await batch.settle();
  assert.equal(inbox.stats().acknowledged, allowed.length);
  await permit("~*");
  await take(queues[0]!, "again");
  await held.pop()!.settle();
  await inbox.stop();
  await other.stop();
  assert.deepEqual(await server.run("KEYS", "*:consumer:*"), []);
});

Deno.test("Inbox takes messages as cheaply as before while the rights to another queue are gone", async () => {
  await using server = await TestServer.start();
  const rules = ["on", ">x", "+@all", "~*"];
  await server.run("ACL", "SETUSER", "user", ...rules);
  const args = { ...server.args, username: "user", password: "x" };
  const logger = new LineLogger();
  await using inbox = await Inbox.open(args, {
    queue: ["refused", "allowed"],
    heartbeatTimeout: HEARTBEAT,
    logger,
  });
  await server.run(
    ...["ACL", "SETUSER", "user", "resetkeys", "~allowed", "~{allowed}:*"],
  );
  await server.run("RPUSH", "refused", "one");
  await logger.line(/^error: Cannot read "refused" at .* NOPERM/);
  const scripts = (): Promise<number> => callsOf(server, "evalsha");
  // Each beat has one look, at the queue that is refused.
  const handle = async (text: string): Promise<void> => {
    await server.run("RPUSH", "allowed", text);
    const batch = await nextBatch(inbox);
    assert.deepEqual(texts(batch), [text]);
    await batch!.settle();
  };
  const costOfTen = async (): Promise<number> => {
    const before = await scripts();
    for (let count = 0; count < 10; count++) await handle(`text ${count}`);
    return await scripts() - before;
  };
  await until(async () => await costOfTen() < 5, "they need no script");
});

Deno.test("Inbox does not beat, nor look into the other queues, where the rights to some are gone", async () => {
  await using server = await TestServer.start();
  const [allowed, ...refused] = QUEUES.slice(0, 25);
  await server.run("ACL", "SETUSER", "user", "on", ">x", "+@all", "~*");
  const logger = new LineLogger();
  const args = { ...server.args, username: "user", password: "x" };
  await using inbox = await Inbox.open(args, {
    queue: [...refused, allowed!],
    // So it beats only where it is told to.
    heartbeatTimeout: 3600,
    logger,
  });
  const patterns = [`~${allowed}`, `~{${allowed}}:*`, `~{${refused[0]}}:*`];
  await server.run("ACL", "SETUSER", "user", "resetkeys", ...patterns);
  for (const queue of refused) await server.run("RPUSH", queue, "one");
  const refusals = (): number =>
    logger.lines.filter((line) => /Cannot read .* NOPERM /.test(line)).length;
  await until(() => refusals() > 5 * refused.length, "they are tried again");
  // One for each queue that it has joined, and some for the beginning.
  const { set = 0 } = await calls(server);
  assert.ok(set < 2 * refused.length, `${set} keys were set`);
  await server.run("RPUSH", allowed!, "one");
  const batch = await nextBatch(inbox);
  assert.equal(batch!.queue, allowed);
  await batch!.settle();
});

/** Counts the commands that set a key, and the writes in which they come. */
class CountingProxy extends Proxy {
  commands = 0;
  writes = 0;

  protected override carry(
    bytes: Uint8Array,
    isToServer: boolean,
  ): Promise<Uint8Array> {
    const text = new TextDecoder("latin1").decode(bytes);
    const { length } = isToServer ? text.split("\r\nSET\r\n").slice(1) : [];
    this.commands += length;
    if (length > 0) this.writes++;
    return Promise.resolve(bytes);
  }
}

Deno.test("Inbox looks in many queues at once for a key at which it may beat", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await server.run("ACL", "SETUSER", "user", "on", ">x", "+@all", "~*");
  await using proxy = new CountingProxy(port);
  await using _inbox = await Inbox.open({
    port: proxy.port,
    username: "user",
    password: "x",
  }, {
    queue: QUEUES,
    heartbeatTimeout: HEARTBEAT,
    logger: new LineLogger(),
  });
  await server.run("ACL", "SETUSER", "user", "resetkeys");
  await until(() => proxy.commands > 4 * QUEUES.length, "it has looked");
  assert.ok(proxy.writes < proxy.commands / 5, `${proxy.writes} writes`);
});

Deno.test("Inbox tries many queues that it may not read as rarely as a single one", async () => {
  await using server = await TestServer.start();
  const queues = Array.from({ length: 200 }, (_, at) => `queue${at}`);
  await server.run("ACL", "SETUSER", "user", "on", ">x", "+@all", "~*");
  const args = { ...server.args, username: "user", password: "x" };
  const open = async (
    queue: string[],
  ): Promise<{ inbox: Inbox; tries: () => number }> => {
    const logger = new LineLogger();
    return {
      inbox: await Inbox.open(args, { queue, logger }),
      tries: () =>
        logger.lines.filter((line) => /Cannot read .* NOPERM /.test(line))
          .length,
    };
  };
  const many = await open(queues);
  await using _many = many.inbox;
  const single = await open(["single"]);
  await using _single = single.inbox;
  await server.run("ACL", "SETUSER", "user", "resetkeys");
  for (const queue of [...queues, "single"]) {
    await server.run("RPUSH", queue, "one");
  }
  await until(() => single.tries() > 8, "it is tried again");
  const most = 1.4 * queues.length * single.tries();
  assert.ok(many.tries() < most, `${many.tries()} tries`);
});

for (
  const [what, together, most] of [
    ["three commands a message that comes alone", [1], 4],
    ["no more where two come together now and then", [1, 2, 1], 3.7],
    ["less where two come together each time", [2], 2.9],
  ] as const
) {
  Deno.test(`Inbox takes ${what}`, async () => {
    await using server = await TestServer.start();
    await using inbox = await Inbox.open(server.args, {
      queue: "queue",
      logger: new LineLogger(),
    });
    const message = JSON.stringify({ id: "0".repeat(32), _timestamp: 1 });
    const handle = async (count: number): Promise<void> => {
      const first = nextBatch(inbox);
      await server.run("RPUSH", "queue", ...Array(count).fill(message));
      for (let batch = await first, handled = 0;;) {
        handled += batch!.payloads.length;
        await batch!.settle();
        if (handled === count) return;
        batch = await nextBatch(inbox);
      }
    };
    const handleAll = async (): Promise<void> => {
      for (const count of together) await handle(count);
    };
    // Two lists are announced, and used in turns.
    for (let round = 0; round < 3; round++) await handleAll();
    const before = await commands(server);
    for (let round = 0; round < 20; round++) await handleAll();
    const messages = 20 *
      together.reduce<number>((sum, count) => sum + count, 0);
    const perMessage = (await commands(server) - before) / messages;
    assert.ok(perMessage < most, `${perMessage} commands a message`);
  });
}

for (const count of [1, QUEUES.length]) {
  Deno.test(`Inbox at rest beats, and does nothing else, with ${count} ${count === 1 ? "queue" : "queues"}`, async () => {
    await using server = await TestServer.start();
    await using _inbox = await Inbox.open(server.args, {
      queue: QUEUES.slice(0, count),
      heartbeatTimeout: 6,
      logger: new LineLogger(),
    });
    /** Counts all commands after some more beats, but those of this test. */
    const after = async (beats: number): Promise<Record<string, number>> => {
      const goal = await callsOf(server, "set") + beats;
      await until(async () => await callsOf(server, "set") >= goal);
      const { info: _, set: _beats, ...others } = await calls(server);
      return others;
    };
    // The first beats look who else there is.
    const others = await after(2);
    assert.deepEqual(await after(3), others);
  });
}
