import assert from "node:assert/strict";
import {
  Connection,
  Inbox,
  Outbox,
  type RedisError,
} from "../../src/redis/mod.ts";
import { sleep } from "../../src/waiting.ts";
import { keySlot } from "../../src/redis/key_slot.ts";
import { ClusterSetup } from "../cluster.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { caughtUp } from "../replicas.ts";
import type { TestServer } from "../servers.ts";
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
    connectionTimeout: 90,
  });
  const ids = Array.from({ length: 50 }, (_, index) => `request${index}`);
  const waiting = ids.map((id) => outbox.waitForResponse(id, 90));
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
  await caughtUp(setup.replicaOf(owners[0]!), owners[0]!);
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
    socket_connect_timeout: 10,
  };
  const keys = ["one", "two", "three", "four"];
  const owners = await Promise.all(keys.map((key) => setup.masterOf(key)));
  const at = owners.findIndex((owner) => owner !== configured);
  const key = keys[at]!;
  await using connection = await Connection.connect(args, { key, logger });
  await using outbox = new Outbox(args, { logger, connectionTimeout: 90 });
  await outbox.push(key, "before");
  await configured!.kill();
  const lost = logger.line(/Connecting again/);
  await owners[at]!.run("CLIENT", "KILL", "TYPE", "NORMAL");
  await lost;
  // The cluster may be down for a moment, until its nodes agree.
  await until(async () => {
    await inTime(connection.ready(), "the connection is back");
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

/** The way to a node that takes its time each time that it is connected to. */
class SlowProxy extends TcpProxy {
  protected override async admit(client: Deno.TcpConn): Promise<void> {
    await sleep(1.5);
    await super.admit(client);
  }
}

Deno.test("Outbox leaves more and more time to a node of a cluster that is far away", async () => {
  await using setup = await ClusterSetup.start();
  const node = await setup.masterOf("one");
  const { port } = node.args;
  await using far = new SlowProxy(port!);
  const logger = new LineLogger();
  await using outbox = new Outbox({
    ...setup.args,
    addressMap: [`127.0.0.1:${port}=127.0.0.1:${far.port}`],
  }, { logger, connectionTimeout: 90 });
  await outbox.push("one", "message");
  assert.equal(await node.run("LLEN", "one"), 1);
});

/** Moves a slot between two masters, and stops where it is told. */
class Migration {
  readonly slot: string;
  readonly #from: TestServer;
  readonly #to: TestServer;

  private constructor(
    from: TestServer,
    to: TestServer,
    slot: string,
  ) {
    this.#from = from;
    this.#to = to;
    this.slot = slot;
  }

  static async begin(setup: ClusterSetup, key: string): Promise<Migration> {
    const from = await setup.masterOf(key);
    const to = setup.nodes.slice(0, 3).find((node) => node !== from)!;
    const slot = String(await from.run("CLUSTER", "KEYSLOT", key));
    const [source, target] = await Promise.all(
      [from, to].map((node) => node.run<string>("CLUSTER", "MYID")),
    );
    await to.run("CLUSTER", "SETSLOT", slot, "IMPORTING", source!);
    await from.run("CLUSTER", "SETSLOT", slot, "MIGRATING", target!);
    return new Migration(from, to, slot);
  }

  /** Moves all keys that there are. */
  async moveKeys(): Promise<void> {
    const find = ["CLUSTER", "GETKEYSINSLOT", this.slot, "100"];
    const keys = await this.#from.run<string[]>(...find);
    if (keys.length === 0) return;
    const port = String(this.#to.args.port);
    await this.#from.run(
      ...["MIGRATE", "127.0.0.1", port, "", "0", "5000", "KEYS", ...keys],
    );
  }

  /** Counts how often the new master has refused a command. */
  async refused(command: string): Promise<number> {
    const info = await this.#to.run<string>("INFO", "commandstats");
    const counts = new RegExp(`cmdstat_${command}:.*rejected_calls=(\\d+)`);
    return Number(counts.exec(info)?.[1] ?? 0);
  }

  /** Counts the lists that consumers have announced at the new master. */
  async announced(): Promise<number> {
    let count = 0;
    for (const key of await this.#to.run<string[]>("KEYS", "*:processing:*")) {
      const [, length] = await Promise.all([
        this.#to.run("ASKING"),
        this.#to.run<number>("HLEN", key),
      ]);
      count += length;
    }
    return count;
  }

  async end(): Promise<void> {
    await this.moveKeys();
    const id = await this.#to.run<string>("CLUSTER", "MYID");
    for (const node of [this.#to, this.#from]) {
      await node.run("CLUSTER", "SETSLOT", this.slot, "NODE", id);
    }
  }
}

Deno.test("Sending and asking go on while a slot is half moved, and consuming goes on after it", async () => {
  await using setup = await ClusterSetup.start();
  const logger = new LineLogger();
  await using outbox = new Outbox(setup.args, {
    logger,
    connectionTimeout: 90,
  });
  await using inbox = await Inbox.open(setup.args, { queue: "one", logger });
  const handled: string[] = [];
  const reading = handleAll(inbox, { add: (text) => handled.push(text) });
  const sent: string[] = [];
  const send = async (text: string): Promise<void> => {
    await outbox.push("one", text);
    sent.push(text);
  };
  const isHandled = (): boolean => sent.every((text) => handled.includes(text));
  await send("before");
  await until(isHandled);

  const migration = await Migration.begin(setup, "one");
  for (let number = 0; number < 50; number++) await send(`begun ${number}`);
  await migration.moveKeys();
  for (let number = 0; number < 50; number++) await send(`moved ${number}`);
  // A response has one key, as what is sent.
  const id = Array.from({ length: 200_000 }, (_, at) => `id${at}`).find((id) =>
    keySlot(`platypush/responses/${id}`) === Number(migration.slot)
  )!;
  const response = outbox.waitForResponse(id, 90);
  await outbox.pushResponse(id, "answer");
  assert.equal(new TextDecoder().decode(await response), "answer");
  // Now nothing is lost, and nobody connects again and again.
  await logger.line(/warn: .*\(TRYAGAIN\)/);
  assert.equal(inbox.stats().reconnects, 0, logger.lines.join("\n"));
  // No list stays announced to which nothing could be moved.
  await until(async () => await migration.refused("blmove") > 5);
  const announced = await migration.announced();
  assert.ok(announced <= 3, `${announced} lists are announced`);

  await migration.end();
  await until(isHandled, "all is handled");
  await send("after");
  await until(isHandled);
  await inbox.stop();
  await inTime(reading, "the last batch is settled");
  assert.equal(new Set(handled).size, handled.length);
  // It passes by itself: the looks and the waits tell when it begins, after 5 s and
  // after 20 s, and the connection tells of its end.
  const problems = logger.lines.filter((line) => /^(warn|error)/.test(line));
  const told = problems.join("\n");
  assert.ok(problems.every((line) => line.startsWith("warn: ")), told);
  assert.ok(problems.length <= 7, told);
});
