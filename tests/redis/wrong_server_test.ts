import assert from "node:assert/strict";
import { Connection, Inbox, Outbox } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { LoopbackServer } from "../loopback_server.ts";
import { caughtUp, ReplicaPair } from "../replicas.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { handleAll } from "./inboxes.ts";
import { blocked } from "./next_batch.ts";

/** Makes the replica the master; the old master stays as its replica. */
async function swap({ master, replica }: ReplicaPair): Promise<void> {
  await caughtUp(replica, master);
  await replica.run("REPLICAOF", "NO", "ONE");
  await master.run("REPLICAOF", "127.0.0.1", String(replica.args.port));
}

Deno.test("Consuming and sending follow a failover behind one address", async () => {
  await using pair = await ReplicaPair.start();
  const logger = new LineLogger();
  const args = { port: pair.proxy.port };
  await using inbox = await Inbox.open(args, { queue: "queue", logger });
  await using outbox = new Outbox(args, { logger, connectionTimeout: 90 });
  const handled = new Set<string>();
  const reading = handleAll(inbox, handled);
  await outbox.push("queue", "before");
  await until(() => inbox.stats().acknowledged === 1);
  await swap(pair);
  const sending = outbox.push("queue", "after");
  await logger.line(/warn: .*(only serves reads|UNBLOCKED)/);
  await logger.line(/it is a replica, and no master/);
  // For a while the address still leads to the old master.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  pair.proxy.target = pair.replica.args.port!;
  await inTime(sending, "the message is sent");
  await until(() => handled.has("after"));
  await logger.line(/info: Connected/);
  await inbox.stop();
  await inTime(reading, "the last batch is settled");
  // All three connections together say once that they left, and once that they are back.
  const [begin, end, ...more] = logger.lines.filter((line) =>
    !/^debug/.test(line)
  );
  assert.match(begin!, /^warn: .*(only serves reads|UNBLOCKED)/);
  assert.match(end!, /^info: Connected to Redis at /);
  assert.deepEqual(more, []);
});

Deno.test("Connection reads from a replica, and waits for a master when it is to write", async () => {
  await using pair = await ReplicaPair.start();
  const logger = new LineLogger();
  const port = pair.replica.args.port!;
  await using connection = await Connection.connect({ port }, { logger });
  assert.equal(await connection.command(["GET", "key"]), null);
  assert.deepEqual(logger.lines, []);
  await assert.rejects(connection.command(["SET", "key", "value"]), {
    code: "readonly",
    mayHaveRun: false,
  });
  await logger.line(/it is a replica, and no master/);
  await pair.replica.run("REPLICAOF", "NO", "ONE");
  await inTime(connection.ready(), "the connection is back");
  assert.equal(await connection.command(["SET", "key", "value"]), "OK");
});

Deno.test("Connection waits until the server has room for one more client", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await server.run("CONFIG", "SET", "maxclients", "1");
  const logger = new LineLogger();
  const connecting = Connection.connect({ port: server.args.port! }, {
    logger,
  });
  await Promise.race([
    logger.line(/warn: .*as many clients as it takes/),
    connecting.then(() => assert.fail("it has more clients than it takes")),
  ]);
  await server.run("CONFIG", "SET", "maxclients", "10");
  await using connection = await inTime(connecting, "the connection");
  assert.equal(await connection.command(["PING"]), "PONG");
});

/** Turns everybody away, as Redis does. */
class Bouncer extends LoopbackServer {
  readonly #words: Uint8Array;

  constructor(words: string) {
    super();
    this.#words = new TextEncoder().encode(`-${words}\r\n`);
  }

  protected override async serve(client: Deno.TcpConn): Promise<void> {
    await client.write(this.#words).catch(() => {});
    await client.closeWrite().catch(() => {});
    // Closed with something unread, it would be reset, and the words lost.
    await client.readable.pipeTo(new WritableStream()).catch(() => {});
  }
}

Deno.test("Connection says that a server without a password serves its own host only", async () => {
  await using server = new Bouncer(
    "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface.",
  );
  await assert.rejects(Connection.connect({ port: server.port }), {
    code: "auth",
    message:
      /it is in protected mode, .*; give it a password \(`requirepass`\)/,
  });
});

Deno.test("Connection says why it is turned away, also before it has asked for anything", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await server.run("CONFIG", "SET", "maxclients", "1");
  // Whether the first command or the refusal is faster is chance.
  for (let round = 0; round < 30; round++) {
    const ending = new AbortController();
    const failed = Promise.withResolvers<Error>();
    const connecting = Connection.connect({ port: server.args.port! }, {
      logger: new LineLogger(),
      signal: ending.signal,
      onFailure: failed.resolve,
    });
    const { message } = await inTime(failed.promise, "the refusal");
    ending.abort();
    await assert.rejects(connecting);
    assert.match(message, /as many clients as it takes|broke .* off/);
  }
});

Deno.test("Connection does without HELLO where it is switched off", async () => {
  await using server = await TestServer.start({
    port: freePort(),
    redisArgs: { protocol: 2 },
    config: ['rename-command HELLO ""'],
  });
  const { port } = server.args;
  await using connection = await Connection.connect({ port: port! });
  assert.match(connection.version, /^\d+\./);
  await using outbox = new Outbox({ port: port! });
  await outbox.push("queue", "one");
  await using inbox = await Inbox.open({ port: port! }, { queue: "queue" });
  const batch = await inbox.next();
  assert.equal(batch?.payloads.length, 1);
  await batch!.settle();
  // The wait for the next one is ended by the number of its connection.
  const waiting = inbox.next();
  await blocked(server);
  // By itself it would end after half a minute.
  await inTime(inbox.stop(60), "the wait is ended", 20);
  assert.equal(await waiting, undefined);
});
