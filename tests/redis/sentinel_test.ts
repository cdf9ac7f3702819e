import assert from "node:assert/strict";
import {
  Connection,
  Inbox,
  Outbox,
  type RedisError,
} from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { caughtUp } from "../replicas.ts";
import { SentinelSetup } from "../sentinels.ts";
import { freePort } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { handleAll } from "./inboxes.ts";

Deno.test("Connection and queues follow a failover by Sentinel", async () => {
  await using setup = await SentinelSetup.start();
  const { master, replica } = setup;
  const logger = new LineLogger();
  await using connection = await Connection.connect(setup.args, { logger });
  assert.deepEqual(connection.address, {
    host: "127.0.0.1",
    port: master.args.port,
  });
  await using inbox = await Inbox.open(setup.args, { queue: "queue", logger });
  await using outbox = new Outbox(setup.args, {
    logger,
    connectionTimeout: 90,
  });
  const handled = new Set<string>();
  const reading = handleAll(inbox, handled);
  const sent: string[] = [];
  const doubtful: string[] = [];
  const send = async (text: string): Promise<void> => {
    await outbox.push("queue", text).then(
      () => sent.push(text),
      () => doubtful.push(text),
    );
  };
  for (let number = 0; number < 500; number++) await send(`before ${number}`);
  // Redis replicates in the background: what the replica does not have yet is
  // lost with the master, whatever a client does.
  await caughtUp(replica, master);
  await master.kill();
  for (let number = 0; number < 500; number++) await send(`after ${number}`);
  await inTime(connection.ready(), "the connection is back");
  assert.deepEqual(connection.address, {
    host: "127.0.0.1",
    port: replica.args.port,
  });
  await until(() => sent.every((text) => handled.has(text)));
  assert.ok(sent.length >= 998, String(sent.length));
  assert.ok(doubtful.length <= 2, String(doubtful));
  await inbox.stop();
  await inTime(reading, "the last batch is settled");
});

Deno.test("Connection leaves a master that became a replica without closing it", async () => {
  await using setup = await SentinelSetup.start();
  const logger = new LineLogger();
  await using connection = await Connection.connect(setup.args, { logger });
  await setup.swap();
  await assert.rejects(
    connection.command(["SET", "key", "value"]),
    (error: RedisError) => error.code === "readonly" && !error.mayHaveRun,
  );
  await inTime(connection.ready(), "the connection is back");
  assert.deepEqual(connection.address, {
    host: "127.0.0.1",
    port: setup.replica.args.port,
  });
  assert.equal(await connection.command(["SET", "key", "value"]), "OK");
});

Deno.test("Connection goes on asking while no sentinel knows the master", async () => {
  const logger = new LineLogger();
  const abort = new AbortController();
  const connecting = Connection.connect({
    sentinels: [`127.0.0.1:${freePort()}`, `127.0.0.1:${freePort()}`],
    serviceName: "tested",
  }, { logger, signal: abort.signal });
  const ended = assert.rejects(
    connecting,
    (error: RedisError) => error.code === "closed",
  );
  for (const level of ["warn", "debug"]) {
    await logger.line(
      new RegExp(`${level}: .*no sentinel knows a master named "tested"`),
    );
  }
  abort.abort();
  await ended;
});

Deno.test("Connection takes the mapped address in place of what sentinels name", async () => {
  await using setup = await SentinelSetup.start();
  const port = setup.master.args.port!;
  await using proxy = new TcpProxy(port);
  const addressMap = [`127.0.0.1:${port}=localhost:${proxy.port}`];
  await using connection = await Connection.connect({
    ...setup.args,
    addressMap,
  });
  const { address } = connection;
  assert.deepEqual(address, { host: "localhost", port: proxy.port });
  assert.equal(await connection.command(["SET", "key", "value"]), "OK");
});
