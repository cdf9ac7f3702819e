import assert from "node:assert/strict";
import { diagnose } from "../../src/doctor/mod.ts";
import {
  type Batch,
  Connection,
  DeadLetters,
  Inbox,
  Outbox,
  queueStatus,
  type RedisArgs,
  type RedisError,
} from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const GUIDE = new URL("../../docs/redis.md", import.meta.url);
const QUEUE = "platypush/backend/redis";

/** Needed after a fault only: the server has no memory, or a batch belongs to a consumer that counts as dead, or was handled late. */
const AFTER_FAULTS = ["lpos", "pexpire", "hsetnx"];

/** The rules of the user that the guide creates, word by word. */
async function documentedRules(): Promise<string[]> {
  const guide = await Deno.readTextFile(GUIDE);
  const command = /^redis-cli ACL SETUSER listener ((?:.*\\\n)*.*)$/m.exec(
    guide,
  );
  assert.ok(command);
  return command[1]!.split(/[\s\\]+/).map((word) => word.replaceAll("'", ""));
}

async function createUser(
  server: TestServer,
  rules: readonly string[],
): Promise<RedisArgs> {
  await server.run("ACL", "SETUSER", "listener", ...rules);
  return { ...server.args, username: "listener", password: "secret" };
}

/** What all heartbeats hold. */
async function beats(server: TestServer): Promise<readonly string[]> {
  const keys = await server.run<string[]>("KEYS", "*:consumer:*");
  const values = await Promise.all(
    keys.map((key) => server.run<string | null>("GET", key)),
  );
  return values.filter((value) => value !== null && !value.startsWith("="))
    .map((value) => value!.replace("!", ""));
}

/** An inbox that others take for dead when its cable is frozen. */
class Frail implements AsyncDisposable {
  private constructor(
    readonly server: TestServer,
    readonly cable: TcpProxy,
    readonly inbox: Inbox,
  ) {}

  static async open(
    server: TestServer,
    args: RedisArgs,
    queue: string[],
  ): Promise<Frail> {
    const cable = new TcpProxy(server.args.port!);
    const inbox = await Inbox.open({ ...args, port: cable.port }, {
      queue,
      heartbeatTimeout: HEARTBEAT,
      logger: new LineLogger(),
    });
    return new Frail(server, cable, inbox);
  }

  /** Takes a message. */
  async take(text: string): Promise<Batch> {
    const waiting = nextBatch(this.inbox);
    await this.server.run("RPUSH", "b", text);
    const batch = await waiting;
    assert.deepEqual(texts(batch), [text]);
    return batch!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inbox.stop(0);
    await this.cable[Symbol.asyncDispose]();
  }
}

/** Lets consumers begin without finding out what they may do. */
function withoutTrying(): Disposable {
  const { script } = Connection.prototype;
  Connection.prototype.script = function (
    this: Connection,
    ...args
  ): Promise<unknown> {
    return args[0].lua.includes("redis.pcall(unpack(ARGV")
      ? Promise.resolve([])
      : script.apply(this, args);
  } as typeof script;
  return {
    [Symbol.dispose]: () => void (Connection.prototype.script = script),
  };
}

/** Does all that the guide says the user may. */
async function useEverything(
  args: RedisArgs,
  delivery: "at-least-once" | "at-most-once",
): Promise<void> {
  const error = new Error("cannot handle it");
  const logger = new LineLogger();
  const options = { queue: QUEUE, delivery, logger, retryPause: 0.01 };
  await using outbox = new Outbox(args);
  await outbox.push(QUEUE, ["a batch", "that waits"]);
  {
    await using inbox = await Inbox.open(args, {
      ...options,
      maxDeadLetters: 1,
      maxDeadLetterBytes: 50_000,
    });
    for (let count = 0; count < 2;) {
      const batch = (await inTime(inbox.next(), "what waits"))!;
      count += batch.payloads.length;
      await batch.settle();
    }
    const waiting = inTime(inbox.next(), "a message");
    await outbox.push(QUEUE, "one");
    await (await waiting)!.settle([{ index: 0, reason: "failed", error }]);
    await outbox.push(
      QUEUE,
      "larger than all dead letters may be ".repeat(2000),
    );
    while (inbox.stats().deadLettered < 1) {
      const batch = (await inTime(inbox.next(), "a large message"))!;
      await batch.settle([{ index: 0, reason: "malformed", error }]);
    }
    await outbox.push(QUEUE, ["two", "three"]);
    while (inbox.stats().deadLettered < 4) {
      const batch = (await inTime(inbox.next(), "more messages"))!;
      const indexes = [...batch.payloads.keys()];
      await batch.settle(indexes.map((index) => ({
        index,
        reason: batch.deliveries[index]! > 0 ? "failed" : "malformed",
        error,
      })));
    }
    await outbox.push(QUEUE, "four");
    await inTime(inbox.next(), "the last message");
    await inbox.backlogs();
    await inbox.stop(0);
  }
  assert.deepEqual(logger.lines.filter((line) => /^error/.test(line)), []);
  for (const id of ["1", "0".repeat(32)]) {
    await outbox.pushResponse(id, "x");
    await outbox.waitForResponse(id, 60);
  }
  await using dead = new DeadLetters(args, { queue: QUEUE });
  assert.equal(await dead.requeue("all"), 1);
  assert.equal(await dead.count(), 0);
}

Deno.test("The permissions in the guide are enough, and each of them is needed", async () => {
  await using server = await TestServer.start();
  const rules = await documentedRules();
  const args = await createUser(server, rules);
  await server.run("CONFIG", "RESETSTAT");
  {
    // What is tried out at the start needs each of them anyway.
    using _ = withoutTrying();
    await useEverything(args, "at-least-once");
  }
  const used = await server.run<string>("INFO", "commandstats");
  const unused = rules.filter((rule) => rule.startsWith("+"))
    .map((rule) => rule.slice(1))
    .filter((name) => !used.includes(`cmdstat_${name}:`));
  assert.deepEqual(unused, AFTER_FAULTS);
  assert.ok(await server.run<number>("LLEN", QUEUE) > 0);
});

Deno.test("At most once needs two permissions more, and one of them is one of two", async () => {
  const rules = await documentedRules();
  {
    await using server = await TestServer.start();
    await assert.rejects(
      useEverything(await createUser(server, rules), "at-most-once"),
      /may not run lpop, blpop; ACL SETUSER listener \+lpop \+blpop$/,
    );
  }
  for (
    const more of [
      ["+lpop", "+blpop"],
      ["+lpop", "+command|info", "+blmpop"],
    ]
  ) {
    await using server = await TestServer.start();
    await useEverything(
      await createUser(server, [...rules, ...more]),
      "at-most-once",
    );
  }
});

Deno.test("Other databases, the status of a queue and mere senders need what the guide says", async () => {
  await using server = await TestServer.start();
  const rules = await documentedRules();
  const more = ["+select", "+zcard", "+pttl"];
  const args = await createUser(server, [...rules, ...more]);
  await using outbox = new Outbox({ ...args, db: 1 });
  assert.equal(await outbox.push(QUEUE, "one"), 1);
  const { length, server: { usedMemory } } = await queueStatus(args);
  assert.deepEqual([length, usedMemory], [0, undefined]);

  const few = ["reset", "on", ">secret", `~${QUEUE}`, "+hello", "+ping"];
  await createUser(server, [...few, "+rpush"]);
  await using sender = new Outbox(args);
  assert.equal(await sender.push(QUEUE, "one"), 1);
});

Deno.test("A cluster needs to be asked for its slots", async () => {
  await using server = await TestServer.start({
    port: freePort(),
    config: ["cluster-enabled yes"],
  });
  await server.run("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  while (/state:fail/.test(await server.run("CLUSTER", "INFO"))) {
    // It takes a moment.
  }
  const rules = [...await documentedRules(), "+cluster|slots"];
  const { port, ...user } = await createUser(server, rules);
  const cluster = [`127.0.0.1:${port}`];
  await useEverything({ ...user, cluster }, "at-least-once");
});

Deno.test("Looking for what goes wrong needs what the guide says, too", async () => {
  await using server = await TestServer.start();
  const rules = await documentedRules();
  const more = [
    "+zcard",
    "+zrem",
    "+zscan",
    "+pttl",
    "+info",
    "+lpop",
    "+blpop",
    "+multi",
    "+discard",
  ];
  const redisArgs = await createUser(server, [...rules, ...more]);
  const findings = await Array.fromAsync(
    diagnose({ redisArgs, multicast: false }),
  );
  assert.deepEqual(
    findings.filter(({ status }) => status !== "ok").map(({ message }) =>
      message
    ),
    [
      'The user "listener" may not take messages at most once: it may not run blmpop.',
      "The server writes snapshots only: a crash loses what came since the last one.",
    ],
  );
});

Deno.test("Inbox says which permission it lacks", async () => {
  await using server = await TestServer.start();
  const rules = await documentedRules();
  const args = await createUser(server, [...rules, "-evalsha", "-eval"]);
  await assert.rejects(
    Inbox.open(args, { queue: QUEUE }),
    (error: RedisError) =>
      error.code === "permission" && /evalsha/i.test(error.message),
  );
});

Deno.test("Inbox does not begin before the user may do all that it can need, and says how", async () => {
  await using server = await TestServer.start();
  const rules = await documentedRules();
  await server.run("RPUSH", QUEUE, "one");
  for (const delivery of ["at-least-once", "at-most-once"] as const) {
    const all = delivery === "at-least-once"
      ? rules
      : [...rules, "+lpop", "+blpop"];
    const lacking = await createUser(server, [...all, "-lpush", "-ltrim"]);
    await assert.rejects(
      Inbox.open(lacking, { queue: QUEUE, delivery }),
      (error: RedisError) =>
        error.code === "permission" &&
        /may not run l\w+, l\w+; ACL SETUSER listener \+l\w+ \+l\w+$/.test(
          error.message,
        ) && /\+ltrim/.test(error.message) && /\+lpush/.test(error.message),
    );
    const elsewhere = await createUser(server, [
      ...all,
      "resetkeys",
      `~${QUEUE}`,
    ]);
    await assert.rejects(
      Inbox.open(elsewhere, { queue: QUEUE, delivery }),
      (error: RedisError) =>
        error.message.endsWith(
          `may not touch all keys of the queue; ACL SETUSER listener ~${QUEUE} ~{${QUEUE}}:*`,
        ),
    );
    // The advice is all that it takes.
    await server.run(
      "ACL",
      "SETUSER",
      "listener",
      `~${QUEUE}`,
      `~{${QUEUE}}:*`,
    );
    await (await Inbox.open(elsewhere, {
      queue: QUEUE,
      delivery,
      paused: true,
    }))
      .stop();
  }
  assert.deepEqual(await server.run("KEYS", "*"), [QUEUE]);
});

Deno.test("Inbox reports after a reconnect what the user may no longer do", async () => {
  await using server = await TestServer.start();
  const args = await createUser(server, await documentedRules());
  const logger = new LineLogger();
  await using inbox = await Inbox.open(args, { queue: QUEUE, logger });
  await server.run("ACL", "SETUSER", "listener", "-zadd");
  await server.run("CLIENT", "KILL", "USER", "listener");
  await logger.line(
    /^error: Cannot read .* may not run zadd; ACL SETUSER listener \+zadd\.$/,
  );
  await server.run("ACL", "SETUSER", "listener", "+zadd");
  await inbox.stop(0);
});

for (
  const [what, rules, count] of [
    ["may not read", [], 3],
    ["may read, but not write", ["%R~{a}:consumer:*"], 2],
  ] as const
) {
  Deno.test(`Inbox and another one whose heartbeat it ${what} put back what the other had in hand`, async () => {
    await using server = await TestServer.start({ port: freePort() });
    const b = ["on", ">secret", "+@all", "~b", "~{b}:*", ...rules];
    const user = await createUser(server, b);
    await using wide = await Frail.open(server, server.args, ["a", "b"]);
    await using narrow = await Frail.open(server, user, ["b"]);
    // Who was there before beats where the other one can read it.
    await until(async () => (await beats(server)).length === count);
    for (let beat = 0; beat < 4; beat++) {
      const before = await beats(server);
      await until(async () => {
        const now = await beats(server);
        return now.every((beat) => !before.includes(beat));
      }, "all beat");
    }
    for (const [dies, lives] of [[wide, narrow], [narrow, wide]] as const) {
      await lives.inbox.pause();
      const batch = await dies.take("one");
      dies.cable.freeze();
      lives.inbox.resume();
      const again = await nextBatch(lives.inbox);
      assert.deepEqual(texts(again), ["one"]);
      await again!.settle();
      dies.cable.thaw();
      await batch.settle();
      assert.equal(dies.inbox.stats().taken, 1);
      await until(async () => (await beats(server)).length === count);
    }
  });
}

Deno.test("Where Inbox may not read a heartbeat, it asks for another one, and takes the consumer for dead when none comes", async () => {
  await using server = await TestServer.start();
  const args = await createUser(
    server,
    ["on", ">secret", "+@all", "~b", "~{b}:*"],
  );
  const pointer = "{b}:consumer:gone.12345678";
  await server.run("SET", pointer, "={a}:consumer:gone.12345678");
  await server.run("HSET", "{b}:consumers", "gone.12345678", "alive");
  await server.run("HSET", "{b}:processing:gone.12345678", "1", "?");
  await server.run("RPUSH", "{b}:processing:gone.12345678:1", "one");
  await using inbox = await Inbox.open(args, {
    queue: "b",
    heartbeatTimeout: HEARTBEAT,
    logger: new LineLogger(),
  });
  const left = await server.run<number>("PTTL", pointer);
  assert.ok(left > 600_000 && left <= 1_200_000);
  assert.equal(inbox.stats().reclaimed, 0);
  await server.run("PEXPIRE", pointer, "1");
  assert.deepEqual(texts(await nextBatch(inbox)), ["one"]);
  await inbox.stop(0);
});
