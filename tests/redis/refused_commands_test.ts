import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Bus, Event, RedisBackend } from "../../mod.ts";
import {
  type Batch,
  Connection,
  DeadLetters,
  Inbox,
  type RedisArgs,
  type Script,
} from "../../src/redis/mod.ts";
import type { TakenBatch } from "../../src/redis/consumer.ts";
import { sleep } from "../../src/waiting.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { withLights } from "./lights.ts";

/** In place of a command: one that the user of these tests may not run, or what a full server answers. */
const REFUSALS = {
  permission: "local function refused() return redis.call('INCR', 'x') end\n",
  memory: `local function refused()
redis.call('SET', 'reached', '1')
error({err = "OOM command not allowed when used memory > 'maxmemory'."})
end
`,
};
/** Where a script runs a command; what `add` itself runs is counted where it is called. */
const COMMAND = /redis\.call\((?!\.\.\.)|(?<!function )\badd\(/g;

/** A function of a script, which may be one of those that several scripts share. */
const FUNCTION = /^local function (\w+)\([\s\S]*?\nend$/gm;

const SURVIVORS = [
  "d0",
  "d1",
  "d2",
  "e0",
  "e1",
  "m0",
  "q0",
  "q1",
  "q2",
  "q3",
  "q4",
  "q5",
  "r0",
  "r1",
  "x0",
];

/** Runs scripts, but with a command of one of them refused. */
class Saboteur implements Disposable {
  readonly scripts = new Set<string>();
  target:
    | { lua: string; place: number; refusal: keyof typeof REFUSALS }
    | undefined;
  /** Resolves when the command was refused. */
  refused = Promise.withResolvers<void>();
  #original = Connection.prototype.script;

  constructor() {
    const original = this.#original;
    // deno-lint-ignore no-this-alias
    const saboteur = this;
    Connection.prototype.script = function <Reply>(
      this: Connection,
      script: Script,
      ...rest: [readonly string[], readonly string[], object?]
    ): Promise<Reply> {
      saboteur.scripts.add(script.lua);
      const { target } = saboteur;
      if (target?.lua !== script.lua) {
        return original.call(this, script, ...rest) as Promise<Reply>;
      }
      const lua = REFUSALS[target.refusal] + script.lua.replace(
        COMMAND,
        (found, place) => place === target.place ? "refused(" : found,
      );
      const [keys, args, options] = rest;
      return this.command<Reply>(
        ["EVAL", lua, String(keys.length), ...keys, ...args],
        options,
      ).catch((error) => {
        saboteur.refused.resolve();
        throw error;
      });
    } as typeof original;
  }

  [Symbol.dispose](): void {
    Connection.prototype.script = this.#original;
  }
}

/** Finds the commands of a script, but for those in functions that it does not use. */
function commandsIn(lua: string): readonly number[] {
  const unused: [from: number, to: number][] = [];
  for (let text = lua;;) {
    const found = [...text.matchAll(FUNCTION)].find(([whole, name]) =>
      !new RegExp(`\\b${name}\\(`).test(text.replace(whole, ""))
    );
    if (found === undefined) break;
    const [whole] = found;
    const end = found.index + whole.length;
    unused.push([found.index, end]);
    // Places stay what they are.
    text = text.slice(0, found.index) + whole.replace(/[^\n]/g, " ") +
      text.slice(end);
  }
  return [...lua.matchAll(COMMAND)].map(({ index }) => index)
    .filter((place) =>
      !unused.some(([from, to]) => from <= place && place < to)
    );
}

/** Puts messages where they can be: the queue, the hands of the dead, the pause, the dead letters, and with what a named subscriber has missed. */
async function lay(server: TestServer): Promise<void> {
  await server.run("FLUSHALL");
  await server.run("HSET", "{queue}:subscribers", "lights", "1");
  const now = String(Date.now() / 1000);
  await server.run("RPUSH", "{queue}:missed:lights", `${now} 1.0.0.0 m0`);
  await server.run("ACL", "LOG", "RESET");
  await server.run("RPUSH", "queue", "q0", "q1", "q2", "q3", "q4", "q5");
  // Some have come back before, and somebody has said late that he lives.
  await server.run("HSET", "{queue}:handled", "late", "0");
  for (const message of ["q0", "q1", "q4"]) {
    const digest = createHash("sha1").update(message).digest("hex");
    const history = "1.0.1.0~~late@1";
    await server.run("HSET", "{queue}:deliveries", digest, history);
  }
  await server.run("HSET", "{queue}:consumers", "gone.1", "alive");
  await server.run("HSET", "{queue}:processing:gone.1", "1", "0:1.1.0.0");
  await server.run("RPUSH", "{queue}:processing:gone.1:1", "d0", "d1");
  // It died before it knew of this one.
  await server.run("HSET", "{queue}:processing:gone.1", "2", "?");
  await server.run("RPUSH", "{queue}:processing:gone.1:2", "d2");
  await server.run("ZADD", "{queue}:retry", "1", "a:1:1 1.1.0.0 r0");
  // The clock was an hour further when it failed.
  const score = String(Date.now() + 3_600_000);
  await server.run("ZADD", "{queue}:retry", score, "b:1:1@50000 1.1.0.0 r1");
  // One that was delayed is due, and the clock was further when another one was sent.
  await server.run("ZADD", "{queue}:delayed", "1", "a:1@1 e0");
  await server.run("ZADD", "{queue}:delayed", score, "b:1@50000 e1");
  const letter = {
    id: "x",
    reason: "failed",
    error: "e",
    time: Date.now() / 1000,
    received: 1,
  };
  await server.run(
    "RPUSH",
    "{queue}:dead",
    JSON.stringify({ ...letter, deliveries: 1, message: "x0" }),
  );
}

/** Does all that moves messages, and goes on whatever is refused; returns what was handled. */
async function live(
  args: RedisArgs,
  refused: Promise<void>,
): Promise<Set<string>> {
  const handled = new Set<string>();
  const logger = new LineLogger();
  // What is settled is tried again while there is no memory.
  const settle = (batch: Batch, ...how: unknown[]): Promise<unknown> =>
    Promise.race([
      (batch as TakenBatch).settle(...how as Parameters<TakenBatch["settle"]>),
      refused,
    ]);
  const decoder = new TextDecoder();
  const inbox = await Inbox.open(args, {
    queue: "queue",
    batchSize: 4,
    heartbeatTimeout: 60,
    retryPause: 30,
    logger,
    signal: AbortSignal.timeout(2000),
  }).catch(() => undefined);
  const error = new Error("cannot handle it");
  if (inbox !== undefined) {
    const next = async (seconds: number): Promise<Batch | undefined> => {
      const over = new AbortController();
      const { signal } = over;
      const batch = await Promise.race([
        inbox.next(),
        refused.then(() => sleep(0.2, { signal })),
        sleep(seconds, { signal }),
      ]);
      over.abort();
      return typeof batch === "object" ? batch : undefined;
    };
    const batch = await next(5);
    if (batch !== undefined) {
      await settle(
        batch,
        [
          { index: 0, reason: "failed", error },
          { index: 1, reason: "malformed", error },
        ],
        [{ index: 2, reason: "dropped", error }],
        [
          { index: 0, subscriber: "lights", retry: "- 0 =lights" },
          { index: 3, subscriber: "radio", retry: "- 0 =radio" },
        ],
      );
      handled.add(decoder.decode(batch.payloads[3]));
    }
    await inbox.pause();
    inbox.resume();
    const second = await next(5);
    if (second !== undefined) {
      await settle(second, [{ index: 0, reason: "left", error }]);
    }
    for (const payload of second?.payloads.slice(1) ?? []) {
      handled.add(decoder.decode(payload));
    }
    await next(0.1);
    await inbox.stop(0);
  }
  const control = await Connection.connect(args, { logger, key: "queue" });
  const lights = withLights({
    control,
    logger,
    takeMissed: () => Promise.resolve(0),
  });
  await lights.look();
  await lights.stop();
  await control.close();
  await using dead = new DeadLetters(args, {
    queue: "queue",
    connectionTimeout: 1,
  });
  await dead.requeue({ id: "x" }).catch(() => {});
  return handled;
}

/** A text that is too large for the dead letters, and one that is too large to be taken. */
const LARGE = { s0: 30_000, t0: 200_000 };

/** Lays one of these into the queue, with another message behind it. */
async function layLarge(
  server: TestServer,
  name: keyof typeof LARGE,
): Promise<void> {
  await server.run("FLUSHALL");
  await server.run("ACL", "LOG", "RESET");
  const large = name.padEnd(LARGE[name], "-");
  await server.run("RPUSH", "queue", large, "a0");
}

/** Buries a large text, lists it again without its letter, and puts it back. */
async function liveLarge(
  server: TestServer,
  args: RedisArgs,
  refused: Promise<void>,
): Promise<Set<string>> {
  const error = new Error("cannot handle it");
  const handled = new Set<string>();
  for (const isFirst of [true, false]) {
    const inbox = await Inbox.open(args, {
      queue: "queue",
      batchSize: 1,
      maxDeadLetterBytes: 20_000,
      maxSize: 100_000,
      heartbeatTimeout: 60,
      logger: new LineLogger(),
      signal: AbortSignal.timeout(2000),
    }).catch(() => undefined);
    while (isFirst && inbox !== undefined) {
      const over = new AbortController();
      const { signal } = over;
      const batch = await Promise.race([
        inbox.next(),
        refused.then(() => sleep(0.2, { signal })),
        sleep(5, { signal }),
      ]);
      over.abort();
      if (typeof batch !== "object") break;
      const isLarge = batch.payloads[0]!.length > 2;
      const settled = batch.settle(
        isLarge ? [{ index: 0, reason: "malformed", error }] : [],
      );
      await Promise.race([settled, refused]);
      if (!isLarge) handled.add("a0");
      if (handled.size > 0) break;
    }
    await inbox?.stop(0);
    if (isFirst) await server.run("DEL", "{queue}:dead");
  }
  await using dead = new DeadLetters(args, {
    queue: "queue",
    connectionTimeout: 1,
  });
  await dead.requeue("all").catch(() => {});
  return handled;
}

/** Messages that come while an inbox waits, and what a lost answer has left to it. */
const WAITED = ["b0", "b1", "b2"].map((id) =>
  JSON.stringify({ id, _timestamp: 1 })
);
const LOST = ["l0", "l1", "l2"];
/** The same where together they are too much for the way. */
const LOST_LARGE = LOST.map((text) => text.padEnd(10_000, "-"));

/** Settles messages that came while an inbox waited, and finds what a lost answer left. */
async function liveWaiting(
  server: TestServer,
  args: RedisArgs,
  refused: Promise<void>,
  lost: readonly string[],
): Promise<Set<string>> {
  const handled = new Set<string>();
  const decoder = new TextDecoder();
  const error = new Error("cannot handle it");
  await server.run("DEL", "queue", "lost");
  const inbox = await Inbox.open(args, {
    queue: "queue",
    heartbeatTimeout: 60,
    retryPause: 30,
    logger: new LineLogger(),
    signal: AbortSignal.timeout(5000),
  }).catch(() => undefined);
  const next = async (): Promise<Batch | undefined> => {
    const over = new AbortController();
    const { signal } = over;
    const batch = await Promise.race([
      inbox?.next(),
      refused.then(() => sleep(0.2, { signal })),
      sleep(5, { signal }),
    ]);
    over.abort();
    return typeof batch === "object" ? batch : undefined;
  };
  for (const [at, message] of WAITED.entries()) {
    await server.run("RPUSH", "queue", message);
    if (inbox === undefined) continue;
    const batch = await next();
    if (batch === undefined) continue;
    const reason = (["failed", "malformed", "left"] as const)[at]!;
    const settled = batch.settle([{ index: 0, reason, error }]);
    await Promise.race([settled, refused]);
  }
  await server.run("RPUSH", "lost", ...lost);
  const consumers = await server.run<string[]>("HKEYS", "{queue}:consumers");
  const hash = `{queue}:processing:${consumers[0] ?? "gone.1"}`;
  await server.run("HSET", hash, "77", "?");
  await server.run("RENAME", "lost", `${hash}:77`);
  await server.run(
    "HSETNX",
    "{queue}:consumers",
    consumers[0] ?? "gone.1",
    "1",
  );
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  const all = WAITED.length + LOST.length;
  for (let seen = WAITED.length - 1; inbox !== undefined && seen < all;) {
    const batch = await next();
    if (batch === undefined) break;
    await Promise.race([batch.settle(), refused]);
    for (const payload of batch.payloads) {
      handled.add(decoder.decode(payload).replace(/-+$/, ""));
    }
    seen += batch.payloads.length;
  }
  await inbox?.stop(0);
  return handled;
}

/** Messages that a named subscriber has missed. */
const MISSED = ["k0", "k1", "k2"].map((id) =>
  JSON.stringify({ type: "event", id, args: { type: "custom.Missed" } })
);

async function layMissed(server: TestServer): Promise<void> {
  await server.run("FLUSHALL");
  await server.run("ACL", "LOG", "RESET");
  const now = String(Date.now() / 1000);
  await server.run("HSET", "{queue}:subscribers", "lights", `${Date.now()}`);
  for (const text of MISSED) {
    await server.run(
      "RPUSH",
      "{queue}:missed:lights",
      `${now} 1.0.0.0 ${text}`,
    );
  }
}

/** Hands a named subscriber what it has missed. */
async function liveMissed(
  args: RedisArgs,
  refused: Promise<void>,
): Promise<Set<string>> {
  const handled = new Set<string>();
  const all = Promise.withResolvers<void>();
  const logger = new LineLogger();
  const options = { subscriber: "lights", plain: false, logger };
  await using bus = new Bus({ name: crypto.randomUUID(), ...options });
  bus.registerHandler(Event, ({ id }) => {
    handled.add(MISSED.find((text) => JSON.parse(text).id === id)!);
    if (handled.size === MISSED.length) all.resolve();
  });
  await using backend = new RedisBackend({
    redisArgs: args,
    queue: "queue",
    bus,
    retryPause: 30,
    heartbeatTimeout: 60,
    stopTimeout: 1,
    logger,
  });
  const over = new AbortController();
  const { signal } = over;
  await backend.start({ signal: AbortSignal.timeout(2000) }).catch(() => {});
  await Promise.race([
    all.promise,
    refused.then(() => sleep(0.2, { signal })),
    sleep(5, { signal }),
  ]);
  over.abort();
  return handled;
}

/** Finds all messages, and fails where one lies where nobody looks. */
async function find(server: TestServer): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const note = (message: string): void => {
    found.set(message, (found.get(message) ?? 0) + 1);
  };
  for (const key of await server.run<string[]>("KEYS", "*")) {
    const type = await server.run("TYPE", key);
    if (type === "zset") {
      const members = await server.run<string[]>("ZRANGE", key, "0", "-1");
      for (const member of members) note(member.split(" ").at(-1)!);
    }
    if (type !== "list") continue;
    const items = await server.run<string[]>("LRANGE", key, "0", "-1");
    const [, hash, number] = /^(.*:processing:[^:]*):(\d+)$/.exec(key) ?? [];
    if (hash !== undefined) {
      assert.equal(await server.run("HEXISTS", hash, number!), 1, key);
      const name = hash.replace(/^.*:/, "");
      assert.equal(await server.run("HEXISTS", "{queue}:consumers", name), 1);
    }
    for (const item of items) {
      if (key === "{queue}:dead") {
        // Of one whose text is apart this is not the message.
        const { message } = JSON.parse(item);
        if (message !== undefined) note(message);
      } else if (key.includes(":missed:")) note(item.split(" ")[2]!);
      else note(item.replace(/-+$/, ""));
    }
  }
  return found;
}

for (const refusal of ["permission", "memory"] as const) {
  const how =
    { permission: "by the user's rights", memory: "by a full server" }[refusal];
  Deno.test(`Every message is somewhere, whatever command of a script is refused ${how}`, async () => {
    await using server = await TestServer.start();
    await server.run(
      "ACL",
      "SETUSER",
      "listener",
      "on",
      ">secret",
      "~*",
      "+@all",
      "-incr",
    );
    const args = { ...server.args, username: "listener", password: "secret" };
    const reached = new Set<string>();
    const unreached = new Map<string, string>();
    let cases = 0;
    const scenes = [
      {
        survivors: SURVIVORS,
        lay: () => lay(server),
        live: (refused: Promise<void>) => live(args, refused),
      },
      ...(["s0", "t0"] as const).map((name) => ({
        survivors: ["a0", name],
        lay: () => layLarge(server, name),
        live: (refused: Promise<void>) => liveLarge(server, args, refused),
      })),
      {
        survivors: MISSED,
        lay: () => layMissed(server),
        live: (refused: Promise<void>) => liveMissed(args, refused),
      },
      ...[LOST, LOST_LARGE].map((lost) => ({
        survivors: [...LOST, ...WAITED].toSorted(),
        lay: async () => {
          await server.run("FLUSHALL");
          await server.run("ACL", "LOG", "RESET");
        },
        live: (refused: Promise<void>) =>
          liveWaiting(server, args, refused, lost),
      })),
    ];
    for (const { survivors, lay, live } of scenes) {
      using saboteur = new Saboteur();
      await lay();
      const handled = await live(saboteur.refused.promise);
      const found = await find(server);
      const all = new Set([...handled, ...found.keys()]);
      assert.deepEqual([...all].toSorted(), survivors);
      for (const lua of [...saboteur.scripts]) {
        for (const place of commandsIn(lua)) {
          // Each command in the first scene that comes to it.
          if (reached.has(`${place} ${lua}`)) continue;
          saboteur.target = { lua, place, refusal };
          saboteur.refused = Promise.withResolvers();
          await lay();
          const handled = await live(saboteur.refused.promise);
          const line = lua.slice(lua.lastIndexOf("\n", place) + 1)
            .split("\n")[0]!.trim();
          const found = await find(server);
          const all = new Set([...handled, ...found.keys()]);
          assert.deepEqual([...all].toSorted(), survivors, line);
          const log = await server.run<unknown[]>("ACL", "LOG");
          const isReached = log.length > 0 ||
            await server.run("EXISTS", "reached") === 1;
          if (isReached) reached.add(`${place} ${lua}`);
          else unreached.set(`${place} ${lua}`, line);
          // Taking back keeps what is refused again and again from piling up.
          const most = Math.max(...found.values());
          assert.ok(most <= 3, `${line}: ${most} times`);
          cases++;
        }
      }
    }
    for (const one of reached) unreached.delete(one);
    assert.ok(cases > 60);
    // Some are for what is too much, or on an older server.
    assert.ok(
      unreached.size < (reached.size + unreached.size) / 3,
      [...unreached.values()].join("\n"),
    );
  });
}
