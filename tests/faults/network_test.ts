import assert from "node:assert/strict";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { delay, Flow } from "./flow.ts";

/** The most that is handed out or on its way at a time. */
const IN_FLIGHT = 1700;

Deno.test("Nothing is lost when all connections are killed 50 times", async () => {
  await using server = await TestServer.start();
  const flow = new Flow();
  const { inbox, ended } = await flow.consume(server.args);
  const producing = flow.produce(server.args, 10_000, 1);
  for (let kill = 1; kill <= 50; kill++) {
    await flow.until(kill * 150);
    await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  }
  await producing;
  await flow.complete();
  await inbox.stop();
  await ended;
  flow.verify(50 * 10);
  assert.ok(inbox.stats().reconnects >= 50, String(inbox.stats().reconnects));
});

Deno.test("Nothing is lost when the network is silently cut for 10 s", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  const flow = new Flow();
  const { inbox, ended } = await flow.consume({
    port: proxy.port,
    health_check_interval: 2,
  });
  const producing = flow.produce(server.args, 5000, 2);
  await flow.until(1000);
  proxy.freeze();
  const frozen = performance.now();
  flow.logger.lines.length = 0;
  while (flow.logger.lines.length === 0) await delay(10);
  assert.ok(performance.now() - frozen < 3000);
  await delay(10_000 - (performance.now() - frozen));
  proxy.thaw();
  await producing;
  await flow.complete();
  await inbox.stop();
  await ended;
  flow.verify(IN_FLIGHT);
});
