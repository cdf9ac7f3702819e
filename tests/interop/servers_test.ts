import assert from "node:assert/strict";
import {
  findOtherServer,
  OTHER_SERVERS,
  type OtherServer,
} from "../../scripts/other_servers.ts";
import { diagnose } from "../../src/doctor/mod.ts";
import { encodeDeadLetter } from "../../src/redis/dead_letter.ts";
import {
  type Batch,
  Connection,
  DeadLetters,
  Inbox,
  Outbox,
  queueStatus,
  type RedisArgs,
  type RedisError,
  startRedis,
} from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { testUnless } from "../test_unless.ts";

const QUICK = {
  queue: "queue",
  heartbeatTimeout: HEARTBEAT,
  retryPause: 0.02,
};
const decoder = new TextDecoder();

/** One row of the table for each server that is new enough, see `whyNot`. */
function row(
  title: string,
  test: (server: TestServer) => Promise<void>,
  config: readonly string[] = [],
): void {
  for (const other of OTHER_SERVERS.filter(({ name }) => name !== TOO_OLD)) {
    only(other, `${title} on ${other.name}`, async (program) => {
      const programs = [program];
      await using server = await TestServer.start({ programs, config });
      await test(server);
    });
  }
}

const TOO_OLD = "Redis 6.0";

/** A test that is skipped where the server is not in the cache. */
function only(
  server: OtherServer,
  title: string,
  test: (program: string) => Promise<void>,
): void {
  const program = findOtherServer(server);
  const reason = program === undefined
    ? "`scripts/provision.ts --peers` fetches the server"
    : undefined;
  testUnless(reason, title, () => test(program!));
}

/** Reads and settles batches until so many messages have come. */
async function read(inbox: Inbox, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    const batch: Batch = (await inTime(inbox.next(), "a batch"))!;
    found.push(...batch.payloads.map((payload) => decoder.decode(payload)));
    await batch.settle();
  }
  return found;
}

const numbers = Array.from({ length: 2000 }, (_, index) => `n${index}`);

for (const protocol of [2, 3] as const) {
  for (const delivery of ["at-least-once", "at-most-once"] as const) {
    row(`Inbox reads ${delivery} by protocol ${protocol}`, async (server) => {
      const args = { ...server.args, protocol };
      const commands = (): Promise<string> =>
        server.run<string>("INFO", "commandstats");
      await server.run("RPUSH", "queue", ...numbers);
      await using inbox = await Inbox.open(args, { ...QUICK, delivery });
      assert.deepEqual(await read(inbox, numbers.length), numbers);
      const late = read(inbox, 1);
      const waits = delivery === "at-most-once" ? "blmpop" : "blmove";
      while (!(await server.run<string>("CLIENT", "LIST")).includes(waits)) {
        // Until it waits.
      }
      await using outbox = new Outbox(args);
      await outbox.push("queue", "late");
      assert.deepEqual(await late, ["late"]);
      await inbox.stop();
      assert.match(await commands(), new RegExp(`cmdstat_${waits}:`));
      assert.equal(await server.run("EXISTS", "queue"), 0);
    });
  }
}

row(
  "A message that fails is tried again, then a dead letter",
  async (server) => {
    await using inbox = await Inbox.open(server.args, QUICK);
    await server.run("RPUSH", "queue", "bad");
    for (let delivered = 0; delivered < 3; delivered++) {
      const batch = (await inTime(inbox.next(), "a batch"))!;
      assert.deepEqual(batch.deliveries, [delivered]);
      const error = new Error("cannot handle it");
      await batch.settle([{ index: 0, reason: "failed", error }]);
    }
    const [letter] = await server.run<string[]>(
      "LRANGE",
      "{queue}:dead",
      "0",
      "-1",
    );
    const { reason, error, deliveries, message } = JSON.parse(letter!);
    assert.deepEqual(
      [reason, error, deliveries, message],
      ["failed", "cannot handle it", 3, "bad"],
    );
  },
);

row("Inbox puts back what a dead consumer had in hand", async (server) => {
  const sent = ["one", "two", "three"];
  await server.run("RPUSH", "queue", ...sent);
  const logger = new LineLogger();
  // Nothing is left of it but what it had in hand.
  const rare = { ...QUICK, heartbeatTimeout: 600, logger };
  const dead = await Inbox.open(server.args, rare);
  assert.equal((await dead.next())!.payloads.length, 3);
  await dead.pause();
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!);
  await using inbox = await Inbox.open(server.args, { ...QUICK, logger });
  const batch = (await inTime(inbox.next(), "a batch"))!;
  assert.deepEqual(batch.payloads.map((text) => decoder.decode(text)), sent);
  assert.deepEqual(batch.deliveries, [1, 1, 1]);
  await batch.settle();
  await dead.stop(0);
});

row("Operating a queue: dead letters, status, diagnosis", async (server) => {
  const bytes = new Uint8Array([255, 0, 128]);
  const letter = (id: string, payload: Uint8Array): string =>
    encodeDeadLetter({
      id,
      queue: "queue",
      reason: "failed",
      error: "no",
      time: Date.now() / 1000 - 60,
      deliveries: 3,
      payload,
    });
  const ids = numbers.slice(0, 300);
  const letters = ids.map((id) => letter(id, new TextEncoder().encode(id)));
  await server.run("RPUSH", "{queue}:dead", letter("x", bytes), ...letters);
  const before = await queueStatus(server.args, { queue: "queue" });
  const facts = await server.run<string>("INFO", "server");
  const isValkey = facts.includes("valkey_version");
  assert.equal(before.server.name, isValkey ? "Valkey" : "Redis");
  assert.equal(before.deadLetters.count, 301);
  assert.ok(before.deadLetters.oldest! >= 60);
  assert.match(before.server.version, /^\d+\.\d+/);
  await using dead = new DeadLetters(server.args, { queue: "queue" });
  assert.equal(await dead.requeue({ index: 0 }), 1);
  assert.equal(await dead.requeue("all"), 300);
  const [first, ...rest] = await server.redis.command<Uint8Array[]>(
    ["LRANGE", "queue", "0", "-1"],
    { bytes: true },
  );
  assert.deepEqual([...first!], [...bytes]);
  assert.deepEqual(rest.map((text) => decoder.decode(text)), ids);
  const redisArgs = server.args;
  const findings = await Array.fromAsync(
    diagnose({ redisArgs, queue: "queue", multicast: false }),
  );
  assert.deepEqual(
    findings.filter(({ status }) => status !== "ok").map(({ check }) => check),
    ["persistence", "queue"],
  );
});

row("Outbox sends a request's response", async (server) => {
  await using outbox = new Outbox(server.args);
  const waiting = outbox.waitForResponse("1", 5);
  await outbox.pushResponse("1", "answer");
  assert.equal(decoder.decode(await waiting), "answer");
});

row(
  "An ACL user sees only what it may",
  async (server) => {
    const user: RedisArgs = { ...server.args, username: "listener" };
    await assert.rejects(
      Connection.connect({ ...user, password: "wrong" }),
      (error: RedisError) =>
        error.code === "auth" && !error.message.includes("wrong"),
    );
    const args = { ...user, password: "secret" };
    await using connection = await Connection.connect(args);
    await assert.rejects(
      connection.command(["RPUSH", "forbidden", "x"]),
      (error: RedisError) => error.code === "permission",
    );
    await using inbox = await Inbox.open(args, QUICK);
    await connection.command(["RPUSH", "queue", "x"]);
    assert.deepEqual(await read(inbox, 1), ["x"]);
    await assert.rejects(
      Inbox.open(args, { ...QUICK, queue: "forbidden" }),
      (error: RedisError) => error.code === "permission",
    );
  },
  ["user listener on >secret ~queue ~{queue}:* +@all"],
);

row(
  "What a script may not do is told like everything that a user may not do",
  async (server) => {
    await server.run(
      ...["ACL", "SETUSER", "guest", "on", ">secret", "~queue", "~{queue}:*"],
      ...["+@all", "-ltrim", "-zcard", "-info"],
    );
    const args = { ...server.args, username: "guest", password: "secret" };
    await assert.rejects(
      Inbox.open(args, QUICK),
      (error: RedisError) =>
        error.code === "permission" &&
        error.message.endsWith(
          'the user "guest" may not run ltrim; ACL SETUSER guest +ltrim',
        ),
    );
    await using connection = await Connection.connect(args);
    const { server: own } = await queueStatus(server.args, { queue: "queue" });
    const findings = await Array.fromAsync(
      diagnose({ redisArgs: args, queue: "queue", multicast: false }),
    );
    assert.equal(
      findings.find(({ check }) => check === "server")?.message,
      `${own.name} ${own.version} at ${own.address}.`,
    );
    const run = (script: string): Promise<unknown> =>
      connection.command(["EVAL", script, "0"]);
    for (const call of ["call", "pcall"]) {
      await assert.rejects(
        run(`return redis.${call}('ZCARD', 'queue')`),
        { code: "permission", refused: "command" },
      );
      await assert.rejects(
        run(`return redis.${call}('GET', 'other')`),
        { code: "permission", refused: "key" },
      );
      await assert.rejects(
        run(`return redis.${call}('NO-SUCH')`),
        { refused: "unknown-command", reason: /^a script needs a command/ },
      );
    }
  },
);

row("Errors keep their kind", async (server) => {
  await server.run("SET", "text", "x");
  await assert.rejects(
    Inbox.open(server.args, { ...QUICK, queue: "text" }),
    (error: RedisError) => error.code === "wrong-type",
  );
  await using outbox = new Outbox(server.args);
  await server.run("CONFIG", "SET", "maxmemory", "1");
  await assert.rejects(
    outbox.push("queue", "x"),
    (error: RedisError) => error.code === "memory",
  );
  await assert.rejects(
    outbox.pushResponse("1", "x"),
    (error: RedisError) => error.code === "memory",
  );
});

const old = OTHER_SERVERS.find(({ name }) => name === TOO_OLD)!;
only(
  old,
  `${TOO_OLD} is refused, with the oldest version that works`,
  async (program) => {
    const refusal = (error: RedisError): boolean =>
      error.code === "unsupported" &&
      /^Cannot use the server at \S+: it is Redis 6\.0\.\d+, and the oldest supported version is 6\.2$/
        .test(error.message);
    await assert.rejects(startRedis({ programs: [program] }), refusal);
    const port = freePort();
    await using _process = new Deno.Command(program, {
      args: ["--port", String(port), "--bind", "127.0.0.1", "--save", ""],
      stdout: "null",
    }).spawn();
    const logger = new LineLogger();
    for (const protocol of [2, 3] as const) {
      const args = { port, protocol };
      await assert.rejects(Connection.connect(args, { logger }), refusal);
      await assert.rejects(Inbox.open(args, { ...QUICK, logger }), refusal);
      await using outbox = new Outbox(args, { logger });
      await assert.rejects(
        outbox.push("queue", "x"),
        /^RedisError: Cannot send to "queue" at \S+: it is Redis 6\.0\.\d+, /,
      );
    }
  },
);
