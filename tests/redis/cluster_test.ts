import assert from "node:assert/strict";
import {
  Connection,
  Inbox,
  Outbox,
  type RedisError,
} from "../../src/redis/mod.ts";
import { ClusterSetup } from "../cluster.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { handleAll } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

Deno.test("Connections, queues and responses work in a cluster and survive a master", async () => {
  await using setup = await ClusterSetup.start();
  const logger = new LineLogger();
  const queues = ["one", "two", "three", "four"];
  const owners = await Promise.all(queues.map((key) => setup.masterOf(key)));
  assert.ok(new Set(owners).size > 1);

  await using inbox = await Inbox.open(setup.args, { queue: queues, logger });
  await using outbox = new Outbox(setup.args, {
    logger,
    connectionTimeout: 30,
  });
  const ids = Array.from({ length: 50 }, (_, index) => `request${index}`);
  const waiting = ids.map((id) => outbox.waitForResponse(id, 10));
  await Promise.all(ids.map((id) => outbox.pushResponse(id, `to ${id}`)));
  const responses = await Promise.all(waiting);
  assert.deepEqual(
    responses.map((bytes) => new TextDecoder().decode(bytes)),
    ids.map((id) => `to ${id}`),
  );

  const handled = new Set<string>();
  const reading = handleAll(inbox, handled);
  const sent: string[] = [];
  let doubtful = 0;
  const send = async (queue: string, text: string): Promise<void> => {
    await outbox.push(queue, text).then(
      () => sent.push(text),
      () => doubtful++,
    );
  };
  const sendAll = async (label: string): Promise<void> => {
    for (let number = 0; number < 200; number++) {
      for (const queue of queues) {
        await send(queue, `${label} ${queue} ${number}`);
      }
    }
  };
  await sendAll("before");
  assert.equal(await owners[0]!.run("WAIT", "1", "5000"), 1);
  await owners[0]!.kill();
  await sendAll("after");
  await until(() => sent.every((text) => handled.has(text)));
  assert.ok(sent.length + doubtful === 1600 && doubtful <= 2, `${doubtful}`);
  await using connection = await Connection.connect(setup.args, {
    key: queues[0]!,
  });
  assert.notDeepEqual(connection.address, {
    host: "127.0.0.1",
    port: owners[0]!.args.port,
  });
  await inbox.stop();
  await inTime(reading, "the last batch is settled");
});

Deno.test("Connections follow a key whose node hands over without closing them", async () => {
  await using setup = await ClusterSetup.start();
  const logger = new LineLogger();
  await using connection = await Connection.connect(setup.args, {
    key: "one",
    logger,
  });
  await using inbox = await Inbox.open(setup.args, { queue: "one", logger });
  const waiting = nextBatch(inbox);
  const master = await setup.masterOf("one");
  const replica = setup.nodes[setup.nodes.indexOf(master) + 3]!;
  await replica.run("CLUSTER", "FAILOVER");
  await until(
    async () => (await master.run<string[]>("ROLE"))[0] === "slave",
    "the replica takes over",
  );
  await assert.rejects(
    connection.command(["SET", "{one}:other", "value"]),
    (error: RedisError) => error.code === "moved" && !error.mayHaveRun,
  );
  await inTime(connection.ready(), "the connection is back");
  assert.deepEqual(connection.address, {
    host: "127.0.0.1",
    port: replica.args.port,
  });
  await connection.command(["RPUSH", "one", "message"]);
  const batch = await waiting;
  assert.equal(new TextDecoder().decode(batch!.payloads[0]), "message");
  await batch!.settle();
});

Deno.test("Connections find a cluster again whose only configured node is gone", async () => {
  await using setup = await ClusterSetup.start();
  const [configured] = setup.nodes;
  const logger = new LineLogger();
  const args = {
    cluster: [`127.0.0.1:${configured!.args.port}`],
    socket_connect_timeout: 1,
  };
  const keys = ["one", "two", "three", "four"];
  const owners = await Promise.all(keys.map((key) => setup.masterOf(key)));
  const at = owners.findIndex((owner) => owner !== configured);
  const key = keys[at]!;
  await using connection = await Connection.connect(args, { key, logger });
  await using outbox = new Outbox(args, { logger, connectionTimeout: 30 });
  await outbox.push(key, "before");
  await configured!.kill();
  const lost = logger.line(/Connecting again/);
  await owners[at]!.run("CLIENT", "KILL", "TYPE", "NORMAL");
  await lost;
  // The cluster may be down for a moment, until its nodes agree.
  await until(async () => {
    await inTime(connection.ready(), "the connection is back", 30);
    const get = connection.command(["GET", `{${key}}:other`]);
    return await get.then((value) => value === null, () => false);
  });
  await outbox.push(key, "after");
  await using another = await Connection.connect(args, { key, logger });
  assert.equal(await another.command(["LLEN", key]), 2);
});

Deno.test("Connections take mapped addresses in place of what nodes name", async () => {
  await using setup = await ClusterSetup.start();
  await using stack = new AsyncDisposableStack();
  const proxies = setup.nodes.map(({ args }) =>
    stack.use(new TcpProxy(args.port!))
  );
  const addressMap = setup.nodes.map(({ args }, at) =>
    `127.0.0.1:${args.port}=localhost:${proxies[at]!.port}`
  );
  const args = { cluster: [`localhost:${proxies[0]!.port}`], addressMap };
  await using outbox = new Outbox(args);
  for (const key of ["one", "two", "three", "four"]) {
    await outbox.push(key, "message");
    await using connection = await Connection.connect(args, { key });
    const { address } = connection;
    assert.ok("host" in address && address.host === "localhost");
    assert.equal(await connection.command(["LLEN", key]), 1);
  }
});
