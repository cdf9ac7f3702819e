import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { Flow } from "./flow.ts";

/** The most that is handed out or on its way at a time. */
const IN_FLIGHT = 1700;

Deno.test("Nothing is lost when all connections are killed 50 times", async () => {
  await using server = await TestServer.start();
  await using flow = new Flow();
  const { inbox, stop } = await flow.consume(server.args);
  const producing = flow.produce(server.args, 10_000, 1);
  for (let kill = 1; kill <= 50; kill++) {
    await flow.until(kill * 150);
    await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  }
  await producing;
  await flow.complete();
  await stop();
  flow.verify(50 * 10);
  assert.ok(inbox.stats().reconnects >= 50, String(inbox.stats().reconnects));
});

Deno.test("Nothing is lost when the network is silently cut", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  await using flow = new Flow();
  const { stop } = await flow.consume({
    port: proxy.port,
    health_check_interval: 2,
    socket_connect_timeout: 1,
  });
  const producing = flow.produce(server.args, 5000, 2);
  await flow.until(1000);
  proxy.freeze();
  flow.logger.lines.length = 0;
  await flow.logger.line(/the server has not answered/);
  // Attempts to connect again are given up, too.
  await flow.logger.line(/no answer within/);
  proxy.thaw();
  await producing;
  await flow.complete();
  await stop();
  flow.verify(IN_FLIGHT);
});

Deno.test("A batch whose answer was lost is handed out all the same", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  await using flow = new Flow();
  const { inbox, stop } = await flow.consume({ port: proxy.port });
  const held = async (): Promise<string[]> =>
    await server.run("KEYS", "{queue}:processing:*:*");
  // It waits in an empty queue.
  let lost = proxy.lose("1234");
  await server.run("RPUSH", "queue", "1234");
  await inTime(lost, "the answer to BLMOVE is lost");
  proxy.cut();
  await flow.until(1);
  await until(() => inbox.stats().acknowledged === 1);
  // It asks for what is there.
  await inbox.pause();
  lost = proxy.lose("2345");
  await server.run("RPUSH", "queue", "1111", "2345");
  inbox.resume();
  await inTime(lost, "the answer to the script is lost");
  assert.equal((await held()).length, 1);
  proxy.cut();
  await flow.until(3);
  assert.deepEqual([...flow.handled], [[1234, 1], [1111, 1], [2345, 1]]);
  await stop();
  assert.deepEqual(await held(), []);
  assert.equal(inbox.stats().reclaimed, 0);
});
