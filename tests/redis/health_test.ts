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
import { blocked, nextBatch } from "./next_batch.ts";

/** Much more time than a connection gets that is to notice something soon. */
const PATIENT: RedisArgs = { health_check_interval: 120 };

/**
 * Silences the way to a server, and waits until a connection is given up: before
 * one that is patient, which tells that it was in time however busy the machine is.
 *
 * @param before Done with the one that is tested while the way is open.
 * @returns After how many seconds that was, on a busy machine later.
 */
async function silentAfter(
  args: RedisArgs,
  act: (connection: Connection) => Promise<unknown>,
  before = (connection: Connection): Promise<unknown> =>
    connection.command(["PING"]),
): Promise<number> {
  const port = freePort();
  await using _server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  const lost: string[] = [];
  const connect = (name: string, args: RedisArgs): Promise<Connection> =>
    Connection.connect({ ...args, port: proxy.port }, {
      logger: new LineLogger(),
      onLost: () => lost.push(name),
    });
  await using connection = await connect("tested", args);
  await using patient = await connect("patient", PATIENT);
  await before(connection);
  proxy.freeze();
  const start = performance.now();
  const acting = [connection, patient].map((one) =>
    act(one).catch((error: RedisError) => error)
  );
  await until(() => lost.length > 0);
  const seconds = (performance.now() - start) / 1000;
  assert.deepEqual(lost, ["tested"]);
  proxy.thaw();
  await Promise.all(acting);
  await connection.ready();
  assert.equal(await connection.command(["PING"]), "PONG");
  return seconds;
}

Deno.test("Connection notices in time that an idle connection is dead", async () => {
  await silentAfter({ health_check_interval: 1 }, () => Promise.resolve());
});

Deno.test("Connection notices in time that it is dead after a command that could block for long", async () => {
  await silentAfter(
    { health_check_interval: 1 },
    () => Promise.resolve(),
    async (connection) => {
      await connection.command(["RPUSH", "list", "text"]);
      await connection.command(["BLPOP", "list", "600"], { block: 600 });
    },
  );
});

Deno.test("Connection notices in time that no answer comes", async () => {
  await silentAfter(
    { health_check_interval: 1 },
    (connection) => connection.command(["PING"]),
  );
});

Deno.test("Connection gives a command that blocks the time it asked for", async () => {
  const seconds = await silentAfter(
    { health_check_interval: 0.4 },
    (connection) =>
      connection.command(["BLPOP", "nothing", "0.5"], { block: 0.5 }),
  );
  assert.ok(seconds > 0.6, String(seconds));
});

Deno.test("Connection takes socket_timeout for the time to answer", async () => {
  await silentAfter(
    { health_check_interval: 0, socket_timeout: 0.2 },
    (connection) => connection.command(["PING"]),
  );
});

Deno.test("Connection asks an idle server for nothing where health_check_interval is 0", async () => {
  await using server = await TestServer.start();
  await using connection = await Connection.connect({
    ...server.args,
    client_name: "tested",
    health_check_interval: 0,
    socket_timeout: 2,
  });
  await connection.command(["ECHO", ""]);
  await using other = await Connection.connect({
    ...server.args,
    client_name: "other",
    health_check_interval: 6,
  });
  await using observer = await Connection.connect(server.args);
  const lastCommand = async (name: string): Promise<string> => {
    const clients = String(await observer.command(["CLIENT", "LIST"]));
    const client = clients.split("\n").find((line) =>
      line.includes(` name=${name} `)
    );
    return / cmd=(\S+)/.exec(client ?? "")?.[1] ?? "";
  };
  await other.command(["ECHO", ""]);
  await until(async () => await lastCommand("other") === "ping");
  assert.equal(await lastCommand("tested"), "echo");
});

Deno.test("Connection that is used now and then wakes the process for nothing else", async () => {
  await using server = await TestServer.start();
  await using connection = await Connection.connect({
    ...server.args,
    health_check_interval: 6,
  });
  const { setTimeout } = globalThis;
  let rings = 0;
  const counting = (ring: () => void, delay?: number) =>
    setTimeout(() => {
      rings++;
      ring();
    }, delay);
  Object.assign(globalThis, { setTimeout: counting });
  try {
    for (let count = 0; count < 10; count++) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      await connection.command(["PING"]);
    }
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assert.equal(rings, 0);
});

Deno.test("Connection stays while a command blocks on a healthy server", async () => {
  await using server = await TestServer.start();
  await using connection = await Connection.connect({
    ...server.args,
    socket_timeout: 3,
  });
  const reply = await connection.command(["BLPOP", "nothing", "5"], {
    block: 5,
  });
  assert.equal(reply, null);
  assert.equal(connection.reconnects, 0);
});

for (const seconds of [1.05, 1.3, 2]) {
  Deno.test(`Connection stays when this process itself stood still for ${seconds} of the times that an answer may take`, async () => {
    await using server = await TestServer.start();
    await using connection = await Connection.connect({
      ...server.args,
      socket_timeout: 1,
    });
    // This one is on its way before the process is kept busy, and the other is not.
    const reply = connection.command(["BLPOP", "nothing", "0.1"], {
      block: 0.1,
    });
    await new Promise((resolve) => setImmediate(resolve));
    const other = connection.command(["PING"]);
    const end = performance.now() + (0.1 + seconds) * 1000;
    while (performance.now() < end);
    assert.deepEqual(await Promise.all([reply, other]), [null, "PONG"]);
    assert.equal(connection.reconnects, 0);
  });
}

Deno.test("Connection does not keep the process alive if told so", async () => {
  await using server = await TestServer.start({ port: freePort() });
  for (const port of [server.args.port!, freePort()]) {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        new URL("./daemon_connection.ts", import.meta.url).pathname,
        String(port),
      ],
      stderr: "inherit",
    }).output();
    assert.ok(success);
  }
});

function openThrough({ port }: TcpProxy, logger: LineLogger): Promise<Inbox> {
  const args = { port, health_check_interval: 2 };
  return Inbox.open(args, { queue: "queue", logger });
}

Deno.test("Inbox loses nothing when its connections are silently cut", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  const logger = new LineLogger();
  await using inbox = await openThrough(proxy, logger);
  const waiting = nextBatch(inbox);
  await blocked(server);
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
  const logger = new LineLogger();
  await using inbox = await openThrough(proxy, logger);
  const waiting = nextBatch(inbox);
  await blocked(server);
  proxy.strand();
  // By itself the wait would end, and be missed, after more than half a minute.
  await until(() => inbox.stats().reconnects >= 2, "both are given up", 20);
  // For the server the one at the old end still waits, and was the first.
  await server.run("RPUSH", "queue", "one");
  const batch = await inTime(waiting, "the message comes");
  assert.equal(new TextDecoder().decode(batch!.payloads[0]), "one");
  await batch!.settle();
});
