import assert from "node:assert/strict";
import { Inbox, Outbox } from "../../src/redis/mod.ts";
import { QueueKeys } from "../../src/redis/queue_keys.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { Proxy } from "../proxy.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { nextBatch } from "./next_batch.ts";

// What goes on after the end leaves a timer behind, which fails the test. Of many
// queues, the quiet ones have not needed yet what may begin so late.
const QUEUES = ["busy", "first", "quiet"];

/** Opens an inbox for all of them, and waits until it has looked for the first time. */
async function open(server: TestServer, port: number): Promise<Inbox> {
  await server.run("CONFIG", "RESETSTAT");
  const inbox = await Inbox.open({ port }, {
    queue: QUEUES,
    logger: new LineLogger(),
  });
  // The last of the first look are the names of all keys.
  await until(async () => /cmdstat_scan/.test(await server.run("INFO", "all")));
  return inbox;
}

Deno.test("Inbox begins to watch no queue when it stops already", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using outbox = new Outbox(server.args);
  await using inbox = await open(server, port);
  await server.run("RPUSH", "busy", "one");
  const batch = await nextBatch(inbox);
  const stopping = inbox.stop();
  // The server tells the inbox of it, before it answers anything later.
  const messages = [{ id: "1", payload: "late" }];
  await outbox.schedule("quiet", messages, { delay: 60 });
  await batch!.settle();
  await stopping;
});

/** A TCP proxy that holds back the command with which an inbox looks into a queue. */
class HoldingProxy extends Proxy {
  readonly held = Promise.withResolvers<void>();
  readonly released = Promise.withResolvers<void>();

  protected override async carry(
    bytes: Uint8Array,
    isToServer: boolean,
  ): Promise<Uint8Array> {
    const isLook = new TextDecoder().decode(bytes).includes("local isAsked");
    if (isToServer && isLook) {
      this.held.resolve();
      await this.released.promise;
    }
    return bytes;
  }
}

Deno.test("Inbox takes note of no named subscriber when it stops already", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new HoldingProxy(port);
  const { retry, subscribers } = new QueueKeys("quiet");
  // There is something to look for.
  await server.run("ZADD", retry, String(Date.now() + 3_600_000), "0 - one");
  await using inbox = await Inbox.open({ port: proxy.port }, {
    queue: QUEUES,
    logger: new LineLogger(),
  });
  await inTime(proxy.held.promise, "the inbox looks into a queue");
  await server.run("HSET", subscribers, "lamp", String(Date.now()));
  const stopping = inbox.stop();
  proxy.released.resolve();
  await stopping;
});

Deno.test("Inbox looks for no failed message when it has stopped before the server knows of it", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  await using inbox = await open(server, proxy.port);
  await server.run("RPUSH", "quiet", "one");
  const batch = await nextBatch(inbox);
  proxy.freeze();
  const error = new Error("no light bulb");
  const settling = batch!.settle([{ index: 0, reason: "failed", error }]);
  const stopping = inbox.stop(0);
  proxy.thaw();
  await settling;
  await stopping;
  const { retry } = new QueueKeys("quiet");
  assert.equal(await server.run("ZCARD", retry), 1);
});
