import assert from "node:assert/strict";
import {
  diagnose,
  type DiagnoseOptions,
  Inbox,
  queueStatus,
  type RedisArgs,
} from "../../mod.ts";
import { checkDeno } from "../../src/doctor/check_surroundings.ts";
import { callsOf } from "../calls.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { buryMany, DEAD } from "../redis/dead_letters.ts";
import { findings, problems, SOUND } from "./findings.ts";

function assertOne(found: readonly string[], pattern: RegExp): void {
  assert.equal(found.length, 1, found.join("\n"));
  assert.match(found[0]!, pattern);
}

/** Waits until the server tells something about itself. */
async function informed(
  server: TestServer,
  pattern: RegExp,
  command = ["INFO", "persistence"],
): Promise<void> {
  await until(
    async () => pattern.test(await server.run<string>(...command)),
    `${command.join(" ")} with ${pattern}`,
  );
}

Deno.test("diagnose finds nothing wrong where nothing is, and changes nothing", async () => {
  await using server = await TestServer.start({ config: SOUND });
  await server.run("CONFIG", "RESETSTAT");
  const found = await findings(server.args);
  assert.deepEqual(found.filter(({ status }) => status !== "ok"), []);
  assert.deepEqual(
    [...new Set(found.map(({ check }) => check))],
    [
      "deno",
      "permissions",
      "server",
      "access",
      "writing",
      "memory",
      "persistence",
      "queue",
    ],
  );
  assert.deepEqual(await server.run("KEYS", "*"), []);
  const stats = await server.run<string>("INFO", "commandstats");
  const ran = [...stats.matchAll(/^cmdstat_([^:]+):calls=[1-9]/gm)]
    .map(([, name]) => name!.split("|")[0]!);
  const writing = ["rpush", "lpop", "set", "hset", "zadd", "del", "blmove"];
  assert.deepEqual(ran.filter((name) => writing.includes(name)), []);
  assert.ok(ran.includes("multi") && !ran.includes("exec"), ran.join());
});

Deno.test("diagnose says why there is no connection, and looks no further at Redis", async () => {
  const port = freePort();
  assertOne(
    await problems({ port }),
    new RegExp(`^failure server: .*127.0.0.1:${port}.*\\| Start the server`),
  );
  await using server = await TestServer.start({
    config: ["requirepass secret"],
    redisArgs: { password: "secret" },
  });
  const wrong = { ...server.args, password: "wrong-one" };
  const found = await findings(wrong);
  assert.deepEqual(found.at(-1)!.check, "server");
  assertOne(
    await problems(wrong),
    /^failure server: .*password.*\| Set the user's name and password/,
  );
  assert.ok(!JSON.stringify(found).includes("wrong-one"));
  const { password: _, ...none } = server.args;
  assertOne(await problems(none), /^failure server: .*`password`/);
  await assert.rejects(problems({ prot: 1 } as RedisArgs), TypeError);
});

Deno.test("diagnose tells why a server takes nothing that is written", async () => {
  await using server = await TestServer.start({ config: SOUND });
  const set = (name: string, value: string): Promise<unknown> =>
    server.run("CONFIG", "SET", name, value);
  await server.run("REPLICAOF", "127.0.0.1", String(freePort()));
  assertOne(
    await problems(server.args),
    /^failure writing: The server is a replica.*\| Connect to its master/,
  );
  await server.run("REPLICAOF", "NO", "ONE");
  await set("min-replicas-to-write", "1");
  assertOne(await problems(server.args), /^failure writing: Too few replicas/);
  await set("min-replicas-to-write", "0");
  await set("maxmemory", "1");
  const full = await problems(server.args);
  assert.match(full[0]!, /^failure writing: The server is out of memory/);
  assert.match(full[1]!, /^warning memory: \d+ % of the server's memory/);
  assert.equal(full.length, 2);
});

Deno.test("diagnose tells that a server cannot save, and what a restart loses", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await using server = await TestServer.start({ directory });
    const set = (name: string, value: string): Promise<unknown> =>
      server.run("CONFIG", "SET", name, value);
    assertOne(
      await problems(server.args),
      /^warning persistence: .* in memory only.*\| CONFIG SET appendonly yes/,
    );
    await set("save", "3600 1");
    assertOne(
      await problems(server.args),
      /^warning persistence: The server writes snapshots only/,
    );
    // A folder in its place keeps the snapshot from being written.
    await Deno.mkdir(`${directory}/dump.rdb/x`, { recursive: true });
    await server.run("SET", "key", "value");
    await assert.rejects(server.run("SAVE"));
    await server.run("BGSAVE");
    await informed(server, /rdb_last_bgsave_status:err/);
    assertOne(
      await problems(server.args),
      /^failure server: .* cannot save its data to disk.*\| Make room/,
    );
    await set("stop-writes-on-bgsave-error", "no");
    const [found, second] = await problems(server.args);
    assert.match(found!, /^failure persistence: .* write its snapshot/);
    assert.match(second!, /snapshots only/);
    await set("save", "");
    await Deno.remove(`${directory}/dump.rdb`, { recursive: true });
    await server.run("BGSAVE");
    await informed(server, /rdb_last_bgsave_status:ok/);
    await set("appendonly", "yes");
    await informed(server, /aof_rewrite_in_progress:0[^]*write_status:ok/);
    const messages = async (): Promise<string> =>
      (await findings(server.args))
        .filter(({ check }) => check === "persistence")
        .map(({ status, message }) => `${status}: ${message}`).join();
    assert.match(await messages(), /^ok: .* append-only file; .* a second/);
    await set("appendfsync", "always");
    assert.match(await messages(), /^ok: Every message is on disk/);
    await set("appendfsync", "no");
    assert.match(await messages(), /^warning: .* half a minute/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("diagnose tells when the server may throw messages away", async () => {
  await using server = await TestServer.start({ config: SOUND });
  const look = async (policy: string, limit: string): Promise<string[]> => {
    await server.run("CONFIG", "SET", "maxmemory-policy", policy);
    await server.run("CONFIG", "SET", "maxmemory", limit);
    return await problems(server.args);
  };
  const advice = /CONFIG SET maxmemory-policy noeviction/;
  for (const policy of ["allkeys-lru", "allkeys-random"]) {
    assertOne(await look(policy, "100mb"), /^failure memory: .*whole queues/);
    assertOne(await look(policy, "0"), /^warning memory: .*whole queues/);
    assertOne(await look(policy, "0"), advice);
  }
  assertOne(
    await look("volatile-ttl", "100mb"),
    /^warning memory: .*heartbeat/,
  );
  assert.deepEqual(await look("noeviction", "0"), []);
});

Deno.test("diagnose asks for no type of what keeps duplicates out, however much there is", async () => {
  await using server = await TestServer.start({ config: SOUND });
  for (let n = 0; n < 200; n++) {
    await server.run("SET", `{queue}:duplicates:${n}`, "");
  }
  await problems(server.args);
  const count = await callsOf(server, "type");
  assert.ok(count < 100, `${count} times`);
});

Deno.test("diagnose and the status name each key that is of another type", async () => {
  await using server = await TestServer.start({ config: SOUND });
  const texts = ["paused", "dead:text", "consumer:x.00000001"];
  const others = [
    ..."consumers deliveries handled subscribers retry delayed dead".split(" "),
    ..."dead:front passed missed:lights dead:text:one".split(" "),
    "processing:x.00000001",
    "processing:x.00000001:1",
  ];
  // Of these the status tells nothing.
  const silent = /deliveries|handled|passed|dead:text:/;
  for (const end of [...texts, ...others]) {
    const key = `{queue}:${end}`;
    await server.run("FLUSHALL");
    await server.run("HSET", "{queue}:consumers", "x.00000001", "alive");
    await server.run("DEL", key);
    if (texts.includes(end)) await server.run("RPUSH", key, "x");
    else await server.run("SET", key, "x");
    const found = texts.includes(end) ? "list" : "string";
    const lines = await problems(server.args);
    assertOne(
      lines.filter((line) => line.startsWith("failure")),
      new RegExp(
        `^failure queue: The key "${key}" is a ${found}, but has to be a \\w+. \\| .*remove the key`,
      ),
    );
    const status = queueStatus(server.args, { queue: "queue" });
    if (silent.test(end)) await status;
    else {
      await assert.rejects(status, {
        code: "wrong-type",
        message: new RegExp(
          `: the key "${key}" is a ${found}, but has to be a \\w+; use another queue or remove the key$`,
        ),
      });
    }
  }
});

Deno.test("diagnose looks at the queue's keys, and at how it stands", async () => {
  await using server = await TestServer.start({ config: SOUND });
  await server.run("SET", "queue", "text");
  await server.run("SET", "{queue}:retry", "text");
  assert.deepEqual(
    (await problems(server.args)).map((line) => line.split(" |")[0]),
    [
      'failure queue: The key "queue" is a string, but has to be a list.',
      'failure queue: The key "{queue}:retry" is a string, but has to be a zset.',
    ],
  );
  await server.run("DEL", "queue", "{queue}:retry");
  await server.run("RPUSH", "queue", "a", "b", "c");
  assertOne(
    await problems(server.args),
    /^warning queue: 3 messages wait in "queue", and no consumer/,
  );
  await using inbox = await Inbox.open(server.args, {
    queue: "queue",
    batchSize: 2,
    maxInFlight: 2,
    heartbeatTimeout: 600,
  });
  const batch = await inbox.next();
  await server.run("RPUSH", "queue", "d", "e", "f");
  assert.deepEqual(await problems(server.args), []);
  await batch!.settle([
    { index: 0, reason: "malformed", error: new Error("no") },
  ]);
  assertOne(
    await problems(server.args),
    /^warning queue: 1 message of "queue" could not be handled/,
  );
  await inbox.next();
  await inbox.pause();
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!);
  const found = await problems(server.args);
  assert.match(found[0]!, /^warning queue: 3 messages wait in "queue"/);
  assert.match(found[1]!, /^warning queue: A consumer of "queue" has died/);
  await inbox.stop(0);
});

Deno.test("diagnose says nothing of a queue at which the user may not look", async () => {
  await using server = await TestServer.start({ config: SOUND });
  await server.run("RPUSH", "queue", "a", "b", "c");
  const rules = "on nopass ~* &* +@all -eval -evalsha -script -lrange -hgetall";
  await server.run("ACL", "SETUSER", "guest", ...rules.split(" "));
  const args = { ...server.args, username: "guest", password: "any" };
  const found = await findings(args);
  assert.ok(
    found.some(({ check, status }) =>
      check === "access" && status === "failure"
    ),
  );
  assert.deepEqual(found.filter(({ check }) => check === "queue"), []);
});

Deno.test("diagnose tells when little room is left for dead letters and missed messages", async () => {
  await using server = await TestServer.start({ config: SOUND });
  const missed = "{queue}:missed:lights";
  const large = "x".repeat(2 ** 20);
  await server.run("HSET", "{queue}:subscribers", "lights", "1");
  await buryMany(server, 7_999);
  await server.run("RPUSH", missed, ...Array(7_999).fill("0 1.0.0.0 m"));
  const near = async (): Promise<string[]> =>
    (await problems(server.args)).filter((line) => /80 %/.test(line));
  assert.deepEqual(await near(), []);
  await buryMany(server, 1);
  await server.run("RPUSH", missed, "0 1.0.0.0 m");
  const [missing, dead, ...more] = await near();
  assert.deepEqual(more, []);
  assert.match(
    missing!,
    /^warning queue: The messages of "queue" that wait for "lights" take .* by default: 8,000 of 10,000 \(maxMissed\), [^|]* of 8 MiB \(maxMissedBytes\)\. \| Start it/,
  );
  assert.match(
    dead!,
    /^warning queue: The dead letters of "queue" take .* by default: 8,000 of 10,000 \(maxDeadLetters\), [^|]* of 16 MiB \(maxDeadLetterBytes\)\. \| Requeue or purge/,
  );
  // Whoever knows the limits of those who consume gives them.
  const wide = {
    maxDeadLetters: 20_000,
    maxDeadLetterBytes: 2 ** 30,
    maxMissed: 20_000,
    maxMissedBytes: 2 ** 30,
  };
  const findings = async (limits: DiagnoseOptions): Promise<string> =>
    (await Array.fromAsync(
      diagnose({
        redisArgs: server.args,
        queue: "queue",
        multicast: false,
        ...limits,
      }),
      ({ message }) => message,
    )).join("\n");
  assert.doesNotMatch(await findings(wide), /80 %/);
  const narrow = await findings({ maxDeadLetters: 9_000, maxMissed: 9_000 });
  assert.match(narrow, /of what they may: 8,000 of 9,000 \(maxDeadLetters\)/);
  assert.match(narrow, /of what they may: 8,000 of 9,000 \(maxMissed\)/);
  await server.run("DEL", DEAD, missed);
  for (const [list, count] of [[DEAD, 13], [missed, 7]] as const) {
    await server.run("RPUSH", list, ...Array(count).fill(large));
  }
  const [missingBytes, deadBytes] = await near();
  assert.match(missingBytes!, /: 7 of 10,000 .* MiB of 8 MiB/);
  assert.match(deadBytes!, /: 13 of 10,000 .* MiB of 16 MiB/);
});

Deno.test("diagnose finds what a consumer had in hand whom somebody has removed from the index", async () => {
  await using server = await TestServer.start({ config: SOUND });
  await server.run("RPUSH", "queue", "a", "b", "c");
  const options = { queue: "queue", batchSize: 3, maxInFlight: 3 };
  await using inbox = await Inbox.open(server.args, {
    ...options,
    heartbeatTimeout: 600,
  });
  await inbox.next();
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!, "{queue}:consumers");
  assertOne(
    await problems(server.args),
    /^warning queue: Somebody has removed consumers that have 3 messages of "queue" in hand from \{queue\}:consumers\. \| Start a consumer/,
  );
  await using next = await Inbox.open(server.args, options);
  const again = await next.next();
  assert.equal(again!.payloads.length, 3);
  await again!.settle();
  assert.deepEqual(await problems(server.args), []);
  await inbox.stop(0);
});

Deno.test("diagnose tells when the keys of a queue are on different nodes", async () => {
  await using server = await TestServer.start({
    port: freePort(),
    config: [...SOUND, "cluster-enabled yes", `cluster-port ${freePort()}`],
  });
  await server.run("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  await informed(server, /cluster_state:ok/, ["CLUSTER", "INFO"]);
  const args = { cluster: [`127.0.0.1:${server.args.port}`] };
  assert.deepEqual(await problems(args, { queue: "{jobs}:high" }), []);
  assert.match(
    (await problems(args, { queue: "a}b" })).at(-1)!,
    /^failure queue: The keys of "a}b" are on different nodes/,
  );
});

Deno.test("diagnose tells what is the same for several queues once", async () => {
  await using server = await TestServer.start();
  await server.run("SET", "second", "text");
  const found = await findings(server.args, { queue: ["queue", "second"] });
  assert.deepEqual(
    found.slice(2).map(({ status, check }) => `${status} ${check}`),
    [
      "ok server",
      "ok access",
      "ok writing",
      "ok memory",
      "warning persistence",
      "ok queue",
      "failure queue",
    ],
  );
});

Deno.test("diagnose gives up when it is aborted between two queues, and leaves the network alone", async () => {
  await using server = await TestServer.start();
  for (const queue of ["queue", ["queue", "second"]]) {
    const abort = new AbortController();
    const found: string[] = [];
    await assert.rejects(
      async () => {
        const { signal } = abort;
        const options = { redisArgs: server.args, queue, signal };
        for await (const { check } of diagnose(options)) {
          found.push(check);
          if (check === "queue") abort.abort();
        }
      },
      (error) => error === abort.signal.reason,
    );
    assert.equal(found.at(-1), "queue");
  }
});

Deno.test("diagnose gives up when it is aborted while the server does not answer", async () => {
  await using server = await TestServer.start();
  const abort = new AbortController();
  const found: string[] = [];
  const looking = assert.rejects(
    async () => {
      const { signal } = abort;
      const options = { redisArgs: server.args, queue: "queue", signal };
      for await (const { check } of diagnose(options)) {
        found.push(check);
        if (check !== "server") continue;
        Deno.kill(server.pid, "SIGSTOP");
        setTimeout(() => abort.abort());
      }
    },
    { name: "RedisError", code: "closed" },
  );
  await looking.finally(() => Deno.kill(server.pid, "SIGCONT"));
  assert.equal(found.at(-1), "server");
});

Deno.test("diagnose wants a recent Deno", () => {
  assert.equal(checkDeno("2.9.0").status, "ok");
  assert.equal(checkDeno("3.0.0").status, "ok");
  assert.equal(checkDeno("2.8.9").status, "failure");
  assert.match(checkDeno("1.46.3").advice!, /deno upgrade/);
});
