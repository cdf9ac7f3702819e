import assert from "node:assert/strict";
import {
  Connection,
  DeadLetters,
  Outbox,
  queueStatus,
  RedisError,
} from "../../src/redis/mod.ts";
import * as client from "@redis/client";
import { RedisOnce } from "../../src/once/mod.ts";
import { restate, toRedisError } from "../../src/redis/redis_error.ts";
import { TestServer } from "../servers.ts";
import { open, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const REFUSED = {
  attempted: "run LLEN",
  place: "127.0.0.1:6379",
  reason: "the server is out of memory",
  advice: "raise its `maxmemory`",
};

Deno.test("RedisError makes its sentence of its fields", () => {
  const error = new RedisError(REFUSED, "memory");
  assert.equal(
    error.message,
    "Cannot run LLEN at 127.0.0.1:6379: the server is out of memory; raise its `maxmemory`",
  );
  const plain = new RedisError("The server is out of memory", "memory");
  assert.equal(plain.message, "The server is out of memory");
  assert.equal(plain.reason, plain.message);
});

Deno.test("An error that is told again keeps what is known of it", () => {
  const cause = new RedisError(
    { ...REFUSED, note: "It was full before" },
    "memory",
    {
      mayHaveRun: true,
      reply: "OOM",
    },
  );
  const error = restate(cause, {
    attempted: 'count "queue"',
    note: "It was done once",
  });
  assert.equal(
    error.message,
    'Cannot count "queue" at 127.0.0.1:6379: the server is out of memory; raise its `maxmemory`. It was full before. It was done once',
  );
  assert.equal(error.code, "memory");
  assert.equal(error.reply, "OOM");
  assert.ok(error.mayHaveRun);
  assert.equal(error.cause, cause);
  assert.equal(restate(cause, { mayHaveRun: false }).mayHaveRun, false);
});

Deno.test("The client's own errors of a connection are told by their class", () => {
  const errors = [
    new client.AbortError(),
    new client.ClientClosedError(),
    new client.ClientOfflineError(),
    new client.CommandTimeoutDuringMaintenanceError(1),
    new client.ConnectionTimeoutError(),
    new client.DisconnectsClientError(),
    new client.SocketClosedUnexpectedlyError(),
    new client.SocketTimeoutDuringMaintenanceError(1),
    new client.SocketTimeoutError(1),
    new client.TimeoutError(),
  ];
  for (const error of errors) {
    // Whatever words another version of the client finds.
    error.message = "It did not work";
    const { code, isTransient } = toRedisError(error, {});
    assert.equal(code, "connection", error.constructor.name);
    assert.ok(isTransient);
  }
});

for (const transport of ["a socket", "TCP"]) {
  Deno.test(`An error over ${transport} says once what was attempted, where and why`, async () => {
    const socket = transport === "a socket";
    await using server = await TestServer.start({ socket });
    await server.run(
      "ACL",
      "SETUSER",
      "guest",
      "on",
      ">pw",
      "~*",
      "&*",
      "+ping",
    );
    const args = { ...server.args, username: "guest", password: "pw" };
    const place = server.address;
    await using letters = new DeadLetters(args, { queue: "queue" });
    await using outbox = new Outbox(args);
    const said: [() => Promise<unknown>, string, string][] = [
      [() => letters.count(), 'count the dead letters of "queue"', "llen"],
      [() => outbox.push("queue", "one"), 'send to "queue"', "rpush"],
    ];
    for (const [work, attempted, command] of said) {
      await assert.rejects(work(), (error: RedisError) => {
        assert.equal(error.code, "permission");
        assert.equal(error.refused, "command");
        assert.equal(error.subject, command);
        assert.equal(error.reply, "NOPERM");
        assert.equal(error.attempted, attempted);
        assert.equal(error.place, place);
        assert.match(error.reason, new RegExp(`'${command}'`));
        assert.match(error.advice ?? "", /ACL SETUSER/);
        assert.equal(
          error.message,
          `Cannot ${attempted} at ${place}: ${error.reason}; ${error.advice}`,
        );
        return true;
      });
    }
  });
}

Deno.test("An error says in one sentence why the server does not serve, and what to do", async () => {
  await using server = await TestServer.start();
  await server.run("CONFIG", "SET", "min-replicas-to-write", "1");
  await using outbox = new Outbox(server.args, { connectionTimeout: 0.1 });
  await assert.rejects(outbox.push("queue", "text"), {
    code: "unavailable",
    message: new RegExp(
      '^Cannot send to "queue" at [^ ]+: the server takes no writes without more replicas \\(NOREPLICAS\\); bring the replicas back, or lower its `min-replicas-to-write`$',
    ),
  });
  for (
    const [reply, sentence] of [
      [
        "MISCONF Errors writing to the AOF file: No space left on device",
        "Cannot send: the server cannot save its data to disk, and takes no writes (MISCONF); make room on its disk and look into its log",
      ],
      [
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "Cannot send: a script keeps the server busy (BUSY); wait, or end the script with SCRIPT KILL",
      ],
      [
        "CLUSTERDOWN Hash slot not served",
        "Cannot send: the cluster is down (CLUSTERDOWN); bring its nodes back; CLUSTER INFO tells which slots are served",
      ],
      [
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "Cannot send: the server is a replica that has lost its master (MASTERDOWN)",
      ],
    ]
  ) {
    const error = new client.SimpleError(reply);
    assert.equal(toRedisError(error, { attempted: "send" }).message, sentence);
  }
});

Deno.test("A path that is too long for a socket says how long it may be", async () => {
  const redisArgs = { unix_socket_path: `/tmp/${"x".repeat(110)}` };
  await assert.rejects(queueStatus(redisArgs), /at most 107 bytes/);
});

Deno.test("An error names the command that an old server does not have, and the version that has it", async () => {
  await using server = await TestServer.start({
    config: ['rename-command BLMOVE ""', 'rename-command RPUSH ""'],
  });
  await using outbox = new Outbox(server.args);
  await assert.rejects(outbox.push("queue", "text"), {
    code: "reply",
    refused: "unknown-command",
    subject: "rpush",
    message:
      /^Cannot send to "queue" at [^ ]+: the server does not have the command RPUSH, or not under its name; use Redis 6\.2 or newer, or Valkey, and look for `rename-command` in its configuration$/,
  });
});

Deno.test("Inbox does not begin where the server lacks a command that it can need, and names all of them", async () => {
  await using server = await TestServer.start({
    config: ["BLMOVE", "DEL", "MEMORY", "ZADD"]
      .map((name) => `rename-command ${name} ""`),
  });
  await assert.rejects(open(server), {
    code: "reply",
    refused: "unknown-command",
    message:
      /^Cannot read "queue": the server does not have the commands DEL, MEMORY, ZADD, BLMOVE, or not under these names; use Redis 6\.2 or newer, or Valkey, and look for `rename-command` in its configuration$/,
  });
});

for (
  const [delivery, names] of [
    [
      "at-least-once",
      ["LPOS", "LREM", "RENAME", "EXPIRE", "PEXPIRE", "HSETNX"],
    ],
    ["at-most-once", ["LPOS", "LREM", "EXPIRE", "SET"]],
  ] as const
) {
  Deno.test(`Inbox takes messages ${delivery} without commands that hardly any queue needs`, async () => {
    await using server = await TestServer.start({
      config: names.map((name) => `rename-command ${name} ""`),
    });
    await using inbox = await open(server, { delivery });
    await server.run("RPUSH", "queue", "text");
    const batch = await nextBatch(inbox);
    assert.deepEqual(texts(batch), ["text"]);
    await batch!.settle();
  });
}

Deno.test("An error names the key that is of another type than a command needs", async () => {
  await using server = await TestServer.start();
  await server.run("SET", "text", "x");
  await using connection = await Connection.connect(server.args);
  await assert.rejects(connection.command(["LLEN", "text"]), {
    code: "wrong-type",
    subject: "text",
    message:
      /^Cannot run LLEN at [^ ]+: the key "text" is of another type than LLEN needs; use another name, or remove it \(WRONGTYPE\)$/,
  });
  await server.run("RPUSH", "platypush/once:lamp", "x");
  await using once = await RedisOnce.open(server.args);
  await assert.rejects(once.run("lamp", () => {}), {
    message: /the key "platypush\/once:lamp" is a list, but has to be a string/,
  });
  await server.run("SET", "platypush/responses/one", "x");
  await using outbox = new Outbox(server.args);
  await assert.rejects(outbox.pushResponse("one", "{}"), {
    message:
      /^Cannot respond .*the key "platypush\/responses\/one" is a string, but has to be a list/,
  });
});
