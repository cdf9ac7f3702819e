import assert from "node:assert/strict";
import {
  type Batch,
  Connection,
  DeadLetters,
  Inbox,
  type RedisArgs,
  type Script,
} from "../../src/redis/mod.ts";
import { sleep } from "../../src/waiting.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";

/** A command that the user of these tests may not run. */
const REFUSED = "local function refused() return redis.call('INCR', 'x') end\n";
/** Where a script runs a command; what `add` itself runs is counted where it is called. */
const COMMAND = /redis\.call\((?!\.\.\.)|(?<!function )\badd\(/g;

const SURVIVORS = [
  "d0",
  "d1",
  "q0",
  "q1",
  "q2",
  "q3",
  "q4",
  "q5",
  "r0",
  "r1",
  "s0",
  "s1",
  "x0",
];

/** Runs scripts, but with a command of one of them refused. */
class Saboteur implements Disposable {
  readonly scripts = new Set<string>();
  target: { lua: string; at: number } | undefined;
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
      let count = 0;
      const lua = REFUSED + script.lua.replace(
        COMMAND,
        (found) => count++ === target.at ? "refused(" : found,
      );
      const [keys, args, options] = rest;
      return this.command<Reply>(
        ["EVAL", lua, String(keys.length), ...keys, ...args],
        options,
      );
    } as typeof original;
  }

  [Symbol.dispose](): void {
    Connection.prototype.script = this.#original;
  }
}

/** Puts messages where they can be: the queue, the hands of the dead, the pause, the dead letters. */
async function lay(server: TestServer): Promise<void> {
  await server.run("FLUSHALL");
  await server.run("ACL", "LOG", "RESET");
  await server.run("RPUSH", "queue", "q0", "q1", "q2", "q3", "q4", "q5");
  await server.run("HSET", "{queue}:consumers", "gone.1", "alive");
  await server.run("HSET", "{queue}:processing:gone.1", "1", "0:1.1.0.0");
  await server.run("RPUSH", "{queue}:processing:gone.1:1", "d0", "d1");
  await server.run("ZADD", "{queue}:retry", "1", "a:1:1 1.1.0.0 r0");
  // The clock was an hour further when it failed.
  const score = String(Date.now() + 3_600_000);
  await server.run("ZADD", "{queue}:retry", score, "b:1:1@50000 1.1.0.0 r1");
  await server.run("ZADD", "{queue}:delayed", "1", "c:1@9000 s0");
  await server.run("ZADD", "{queue}:delayed", score, "d:1@50000 s1");
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
async function live(args: RedisArgs): Promise<Set<string>> {
  const handled = new Set<string>();
  const decoder = new TextDecoder();
  const inbox = await Inbox.open(args, {
    queue: "queue",
    batchSize: 4,
    heartbeatTimeout: 60,
    retryPause: 30,
    logger: new LineLogger(),
  }).catch(() => undefined);
  const error = new Error("cannot handle it");
  if (inbox !== undefined) {
    const next = (): Promise<Batch | undefined> =>
      Promise.race([inbox.next(), sleep(0.1).then(() => undefined)]);
    const batch = await next();
    if (batch !== undefined) {
      await batch.settle(
        [
          { index: 0, reason: "failed", error },
          { index: 1, reason: "malformed", error },
        ],
        [{ index: 2, reason: "dropped", error }],
      );
      handled.add(decoder.decode(batch.payloads[3]));
    }
    await inbox.pause();
    inbox.resume();
    const second = await next();
    await second?.settle([{ index: 0, reason: "left", error }]);
    for (const payload of second?.payloads.slice(1) ?? []) {
      handled.add(decoder.decode(payload));
    }
    await next();
    await inbox.stop(0);
  }
  await using dead = new DeadLetters(args, { queue: "queue" });
  await dead.requeue({ id: "x" }).catch(() => {});
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
      note(key === "{queue}:dead" ? JSON.parse(item).message : item);
    }
  }
  return found;
}

Deno.test("Every message is somewhere, whatever command of a script is refused", async () => {
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
  using saboteur = new Saboteur();
  await lay(server);
  const handled = await live(args);
  const found = await find(server);
  assert.deepEqual([...handled, ...found.keys()].toSorted(), SURVIVORS);
  assert.deepEqual([...new Set(found.values())], [1]);
  const unreached: string[] = [];
  let cases = 0;
  for (const lua of [...saboteur.scripts]) {
    const count = [...lua.matchAll(COMMAND)].length;
    for (let at = 0; at < count; at++) {
      saboteur.target = { lua, at };
      await lay(server);
      const handled = await live(args);
      const place = [...lua.matchAll(COMMAND)][at]!.index;
      const line = lua.slice(lua.lastIndexOf("\n", place) + 1).split("\n")[0]!
        .trim();
      const found = await find(server);
      const all = new Set([...handled, ...found.keys()]);
      assert.deepEqual([...all].toSorted(), SURVIVORS, line);
      const log = await server.run<unknown[]>("ACL", "LOG");
      if (log.length === 0) unreached.push(line);
      // Taking back keeps what is refused again and again from piling up.
      const most = Math.max(...found.values());
      assert.ok(most <= 2, `${line}: ${most} times`);
      cases++;
    }
  }
  assert.ok(cases > 60);
  // Functions that several scripts share are not all used by each of them.
  assert.ok(unreached.length < cases / 2);
});
