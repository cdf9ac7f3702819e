import assert from "node:assert/strict";
import { Inbox } from "../../src/redis/mod.ts";
import { sleep } from "../../src/waiting.ts";
import { LineLogger } from "../line_logger.ts";
import { Proxy } from "../proxy.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { nextBatch } from "./next_batch.ts";

/** So many that they look one part after the other. */
const QUEUES = Array.from({ length: 250 }, (_, at) => `queue${at}`);
const LAST = QUEUES.at(-1)!;
/** Much shorter than all these looks take on the far link, in seconds. */
const HEARTBEAT_TIMEOUT = 2;

/** A TCP proxy on loopback to a server that is far away. */
class FarProxy extends Proxy {
  /** How long what is sent to the server is on its way, in seconds. */
  latency = 0;

  protected override async carry(
    bytes: Uint8Array,
    isToServer: boolean,
  ): Promise<Uint8Array> {
    if (isToServer) await sleep(this.latency);
    return bytes;
  }
}

async function open(proxy: FarProxy): Promise<Inbox> {
  return await Inbox.open({ port: proxy.port }, {
    queue: QUEUES,
    heartbeatTimeout: HEARTBEAT_TIMEOUT,
    logger: new LineLogger(),
  });
}

/** The key that beats for all queues. */
async function heartbeatKey(server: TestServer): Promise<string> {
  const [name] = await server.run<string[]>("HKEYS", `{${LAST}}:consumers`);
  const pointer = await server.run<string>(
    "GET",
    `{${LAST}}:consumer:${name}`,
  );
  return pointer.slice(1);
}

Deno.test("Inbox beats on while many queues look at a server that is far away", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new FarProxy(port);
  await using inbox = await open(proxy);
  const key = await heartbeatKey(server);
  const beats = async (): Promise<number> => {
    const [, value] = (await server.run<string>("GET", key)).split(" ");
    return parseInt(value!.slice(8));
  };
  // The looks of the start are over.
  const first = await beats();
  await until(async () => await beats() > first + 2);
  // What the last look finds.
  await server.run("HSET", `{${LAST}}:consumers`, "gone.1", "alive");
  await server.run("HSET", `{${LAST}}:processing:gone.1`, "1", "?");
  await server.run("RPUSH", `{${LAST}}:processing:gone.1:1`, "one");
  proxy.latency = 0.3;
  const before = await beats();
  proxy.cut();
  await until(() => inbox.stats().reclaimed > 0);
  const count = await beats() - before;
  assert.ok(count > 2, `${count} beats`);
  proxy.latency = 0;
});

Deno.test("A queue of many whose session is over takes nothing in it, although another one has made the heartbeat anew", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new FarProxy(port);
  await using inbox = await open(proxy);
  const key = await heartbeatKey(server);
  const [lost] = await server.run<string[]>("HKEYS", `{${LAST}}:consumers`);
  proxy.latency = 0.3;
  // What others do who take it for dead.
  const now = String(Math.floor(Date.now() / 1000));
  await server.run("HSET", `{${LAST}}:consumers`, lost!, now);
  await server.run("DEL", key);
  await until(async () => await server.run("EXISTS", key) === 1);
  const message = JSON.stringify({ id: "one", _timestamp: 1 });
  await server.run("RPUSH", LAST, message);
  const batch = await nextBatch(inbox);
  const [list] = await server.run<string[]>(
    "KEYS",
    `{${LAST}}:processing:*:*`,
  );
  assert.ok(!list!.includes(lost!), list);
  await batch!.settle();
  proxy.latency = 0;
});
