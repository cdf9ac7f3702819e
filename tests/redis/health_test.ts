import assert from "node:assert/strict";
import {
  Connection,
  Inbox,
  type RedisArgs,
  type RedisError,
} from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { nextBatch } from "./next_batch.ts";

const logger = new LineLogger();
/** Well below the defaults, and above what a busy machine adds, in seconds. */
const SOON = 4;

async function silentAfter(
  args: RedisArgs,
  act: (connection: Connection) => Promise<unknown>,
): Promise<number> {
  const port = freePort();
  await using _server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  const lost = Promise.withResolvers<void>();
  await using connection = await Connection.connect(
    { ...args, port: proxy.port },
    {
      logger: { ...logger, warn: () => lost.resolve() },
    },
  );
  await connection.command(["PING"]);
  proxy.freeze();
  const start = performance.now();
  const acting = act(connection).catch((error: RedisError) => error);
  await lost.promise;
  const seconds = (performance.now() - start) / 1000;
  proxy.thaw();
  await acting;
  await connection.ready();
  assert.equal(await connection.command(["PING"]), "PONG");
  return seconds;
}

Deno.test("Connection notices in time that an idle connection is dead", async () => {
  const seconds = await silentAfter(
    { health_check_interval: 1 },
    () => Promise.resolve(),
  );
  assert.ok(seconds < SOON, String(seconds));
});

Deno.test("Connection notices in time that no answer comes", async () => {
  const seconds = await silentAfter(
    { health_check_interval: 1 },
    (connection) => connection.command(["PING"]),
  );
  assert.ok(seconds < SOON, String(seconds));
});

Deno.test("Connection gives a command that blocks the time it asked for", async () => {
  const seconds = await silentAfter(
    { health_check_interval: 0.4 },
    (connection) =>
      connection.command(["BLPOP", "nothing", "0.5"], { block: 0.5 }),
  );
  assert.ok(seconds > 0.6 && seconds < SOON, String(seconds));
});

Deno.test("Connection takes socket_timeout for the time to answer", async () => {
  const seconds = await silentAfter(
    { health_check_interval: 0, socket_timeout: 0.2 },
    (connection) => connection.command(["PING"]),
  );
  assert.ok(seconds < SOON, String(seconds));
});

Deno.test("Connection stays while a command blocks on a healthy server", async () => {
  await using server = await TestServer.start();
  await using connection = await Connection.connect({
    ...server.args,
    health_check_interval: 0.2,
  });
  const reply = await connection.command(["BLPOP", "nothing", "1"], {
    block: 1,
  });
  assert.equal(reply, null);
  assert.equal(connection.reconnects, 0);
});

Deno.test("Connection stays when this process itself stood still", async () => {
  await using server = await TestServer.start();
  await using connection = await Connection.connect({
    ...server.args,
    health_check_interval: 0.4,
  });
  const reply = connection.command(["BLPOP", "nothing", "0.1"], { block: 0.1 });
  // The command is on its way before the process is kept busy.
  await new Promise((resolve) => setImmediate(resolve));
  const end = performance.now() + 1000;
  while (performance.now() < end);
  assert.equal(await reply, null);
  assert.equal(connection.reconnects, 0);
});

Deno.test("Connection does not keep the process alive if told so", async () => {
  await using server = await TestServer.start({ port: freePort() });
  const ways = [
    [server.args.port!, "daemon"],
    [freePort(), "daemon"],
    [freePort(), "unref"],
  ];
  for (const way of ways) {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        new URL("./daemon_connection.ts", import.meta.url).pathname,
        ...way.map(String),
      ],
      stderr: "inherit",
    }).output();
    assert.ok(success);
  }
});

Deno.test("Inbox loses nothing when its connections are silently cut", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  const args = { port: proxy.port, health_check_interval: 0.5 };
  const logger = new LineLogger();
  await using inbox = await Inbox.open(args, { queue: "queue", logger });
  const waiting = nextBatch(inbox);
  await until(async () =>
    /blocked_clients:1/.test(await server.run("INFO", "clients"))
  );
  proxy.freeze();
  await server.run("RPUSH", "queue", "one");
  await logger.line(/warn: .* has not answered for .* Connecting again/);
  proxy.cut();
  proxy.thaw();
  const batch = await waiting;
  assert.equal(new TextDecoder().decode(batch!.payloads[0]), "one");
  await batch!.settle();
});

Deno.test("Inbox waits no longer on a connection whose way was cut with the other's", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  const args = { port: proxy.port, health_check_interval: 2 };
  const logger = new LineLogger();
  await using inbox = await Inbox.open(args, { queue: "queue", logger });
  const waiting = nextBatch(inbox);
  await until(async () =>
    /blocked_clients:1/.test(await server.run("INFO", "clients"))
  );
  proxy.strand();
  await until(() => inbox.stats().reconnects >= 2);
  // For the server the one at the old end still waits, and was the first.
  await server.run("RPUSH", "queue", "one");
  const batch = await inTime(waiting, "the message comes", 15);
  assert.equal(new TextDecoder().decode(batch!.payloads[0]), "one");
  await batch!.settle();
});
