import assert from "node:assert/strict";
import { Outbox, type RedisError } from "../../src/redis/mod.ts";
import { freePort, TestServer } from "../servers.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { until } from "../until.ts";
import { delay, Flow } from "./flow.ts";

const AOF = ["appendonly yes", "appendfsync always"];
/** The most that is handed out or on its way at a time. */
const IN_FLIGHT = 1700;

Deno.test("Nothing is lost when the server is killed 10 times", async () => {
  await using server = await TestServer.startLasting();
  await using flow = new Flow();
  const { stop } = await flow.consume(server.args);
  const producing = flow.produce(server.args, 10_000, 2);
  for (let kill = 1; kill <= 10; kill++) {
    await flow.until(kill * 900);
    await server.restart();
  }
  await producing;
  await flow.complete();
  await stop();
  flow.verify(10 * IN_FLIGHT);
  assert.ok(flow.doubtful.size <= 200, String(flow.doubtful.size));
});

Deno.test("Nothing is lost when the server is stopped for a while", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using flow = new Flow();
  const args = {
    ...server.args,
    health_check_interval: 2,
    socket_connect_timeout: 1,
  };
  const { stop } = await flow.consume(args);
  const producing = flow.produce(args, 5000, 1);
  await flow.until(1000);
  flow.logger.lines.length = 0;
  Deno.kill(server.pid, "SIGSTOP");
  // Connections are given up, and attempts to connect again, too.
  await flow.logger.line(/the server has not answered/);
  await flow.logger.line(/no answer within/);
  Deno.kill(server.pid, "SIGCONT");
  await producing;
  await flow.complete();
  await stop();
  flow.verify(IN_FLIGHT);
});

Deno.test("Consuming goes on while the server is out of memory, and sending says so", async () => {
  await using server = await TestServer.start();
  await using flow = new Flow();
  await flow.produce(server.args, 5000);
  await server.run("CONFIG", "SET", "maxmemory", "1");
  const { stop } = await flow.consume(server.args);
  await using outbox = new Outbox(server.args);
  await assert.rejects(
    outbox.push("queue", "0"),
    (error: RedisError) =>
      error.code === "memory" && !error.mayHaveRun &&
      /out of memory; raise its `maxmemory`/.test(error.message),
  );
  await flow.complete();
  // For longer than a heartbeat lasts.
  await delay(1500 * HEARTBEAT);
  await server.run("CONFIG", "SET", "maxmemory", "0");
  await flow.produce(server.args, 6000);
  await flow.complete();
  await stop();
  flow.verify(0);
});

Deno.test("Consuming goes on after the server was read-only", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using master = await TestServer.start({ port: freePort() });
  await using flow = new Flow();
  const { stop } = await flow.consume(server.args);
  await flow.produce(server.args, 1000);
  await flow.complete();
  // It never gets as far as copying the other one's data over its own.
  await server.run("CONFIG", "SET", "masterauth", "wrong");
  await master.run("CONFIG", "SET", "requirepass", "right");
  await server.run("REPLICAOF", "127.0.0.1", String(master.args.port));
  await using outbox = new Outbox(server.args);
  await assert.rejects(
    outbox.push("queue", "0"),
    (error: RedisError) => error.code === "readonly" && !error.mayHaveRun,
  );
  // For longer than a heartbeat lasts.
  await delay(1500 * HEARTBEAT);
  await server.run("REPLICAOF", "NO", "ONE");
  await flow.produce(server.args, 2000);
  await flow.complete();
  await stop();
  flow.verify(0);
});

Deno.test("Consuming goes on after the server has loaded its data", async () => {
  const directory = await Deno.makeTempDir();
  const options = { port: freePort(), directory, config: AOF };
  await using flow = new Flow();
  try {
    {
      await using server = await TestServer.start(options);
      const commands = Array.from(
        { length: 2000 },
        (_, index) => server.run("SET", `key${index}`, "x".repeat(1000)),
      );
      await Promise.all(commands);
      await flow.produce(server.args, 2000);
      await server.run("CONFIG", "SET", "aof-use-rdb-preamble", "yes");
      await server.run("BGREWRITEAOF");
      await until(async () =>
        !/aof_rewrite_in_progress:1/.test(await server.run("INFO"))
      );
    }
    const consuming = flow.consume({ port: options.port });
    await using _server = await TestServer.start({
      ...options,
      config: [
        ...AOF,
        "key-load-delay 500",
        "loading-process-events-interval-bytes 1024",
      ],
    });
    const { stop } = await consuming;
    await flow.complete();
    await stop();
    flow.verify(0);
    assert.ok(flow.logger.lines.some((line) => /LOADING/.test(line)));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
