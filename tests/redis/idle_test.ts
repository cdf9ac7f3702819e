import assert from "node:assert/strict";
import {
  Connection,
  DeadLetters,
  Outbox,
  type RedisArgs,
} from "../../src/redis/mod.ts";
import { RedisOnce } from "../../src/once/mod.ts";
import { calls, callsOf } from "../calls.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { inTime } from "../in_time.ts";
import { later } from "../later.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { open, texts } from "./inboxes.ts";
import { blocked, nextBatch } from "./next_batch.ts";

/** Tells what each connection that has a name has sent last. */
async function lastCommands(
  server: TestServer,
): Promise<ReadonlyMap<string, string>> {
  const clients = await server.run<string>("CLIENT", "LIST");
  return new Map(
    clients.split("\n").map((line) => [
      / name=(\S*)/.exec(line)?.[1] ?? "",
      / cmd=(\S+)/.exec(line)?.[1] ?? "",
    ]),
  );
}

Deno.test("What only sends asks the server for nothing in between", async () => {
  await using server = await TestServer.start();
  const named = (name: string, interval: number): RedisArgs => ({
    ...server.args,
    client_name: name,
    health_check_interval: interval,
  });
  await using outbox = new Outbox(named("outbox", 1));
  await outbox.push("queue", "text");
  await using dead = new DeadLetters(named("dead", 1), { queue: "queue" });
  await dead.count();
  await using once = await RedisOnce.open(named("once", 1));
  await once.run("id", () => {});
  const before = await lastCommands(server);
  // It is asked later than they would be.
  await using other = await Connection.connect(named("other", 4));
  await other.command(["ECHO", ""]);
  await until(async () => (await lastCommands(server)).get("other") === "ping");
  const after = await lastCommands(server);
  for (const name of ["outbox", "dead", "once"]) {
    assert.notEqual(before.get(name), "ping");
    assert.equal(after.get(name), before.get(name), name);
  }
});

Deno.test("Outbox sends nothing into a connection that has died meanwhile", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  const logger = new LineLogger();
  const args = { port: proxy.port, health_check_interval: 2 };
  await using outbox = new Outbox(args, { logger });
  await outbox.push("queue", "one");
  proxy.strand();
  using _ = later(3);
  const sending = ["two", "three"].map((text) => outbox.push("queue", text));
  assert.deepEqual(await Promise.all(sending), [2, 3]);
  assert.deepEqual(
    await server.run("LRANGE", "queue", "0", "-1"),
    ["one", "two", "three"],
  );
  await logger.line(/^warn: .*has not answered/);
});

Deno.test("Outbox sends nothing into a connection that has died before somebody waits", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  const args = { port: proxy.port, health_check_interval: 2 };
  await using outbox = new Outbox(args, { logger: new LineLogger() });
  await outbox.push("queue", "one");
  proxy.strand();
  using _ = later(3);
  const response = outbox.waitForResponse("42", 20);
  assert.equal(await outbox.push("queue", "two"), 2);
  await outbox.pushResponse("42", "done");
  assert.equal(new TextDecoder().decode(await response), "done");
});

Deno.test("Outbox tries no longer than it may whether the connection has died", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  const args = { port: proxy.port, health_check_interval: 120 };
  await using outbox = new Outbox(args, { logger: new LineLogger() });
  await outbox.push("queue", "one");
  proxy.freeze();
  using _ = later(121);
  await assert.rejects(
    inTime(outbox.push("queue", "two", 0.1), "the error"),
    { name: "RedisError", code: "connection", mayHaveRun: false },
  );
  proxy.thaw();
  assert.equal(await outbox.push("queue", "three"), 2);
});

Deno.test("Outbox notices in time that the way is cut by which a response is to come", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  const args = { port: proxy.port, health_check_interval: 1 };
  await using outbox = new Outbox(args, { logger: new LineLogger() });
  const waiting = outbox.waitForResponse("1", 25);
  await until(async () => await callsOf(server, "lrange") > 0);
  // Its answer comes after that of the look.
  await outbox.push("queue", "text");
  proxy.strand();
  await server.run("RPUSH", "platypush/responses/1", "answer");
  assert.equal(new TextDecoder().decode(await waiting), "answer");
});

Deno.test("Inbox looks ever more rarely whether a full server has a message", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, { heartbeatTimeout: HEARTBEAT });
  // Of each beat, a script is the second half; of each look, EXISTS all.
  const counts = async (): Promise<{ beats: number; looks: number }> => {
    const { evalsha: beats = 0, exists: looks = 0 } = await calls(server);
    return { beats, looks };
  };
  await server.run("CONFIG", "SET", "maxmemory", "1");
  const first = await counts();
  await until(async () => (await counts()).beats >= first.beats + 6);
  const { beats, looks } = await counts();
  assert.ok(
    looks - first.looks <= 3 * (beats - first.beats) + 6,
    `${looks - first.looks} looks`,
  );
  await server.run("CONFIG", "SET", "maxmemory", "0");
  await server.run("RPUSH", "queue", "one");
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), ["one"]);
  await batch!.settle();
});

Deno.test("Inbox asks for nothing on the connection on which it waits while it is paused", async () => {
  await using server = await TestServer.start();
  const named = (name: string, interval: number): RedisArgs => ({
    ...server.args,
    client_name: name,
    health_check_interval: interval,
  });
  await using inbox = await open({ args: named("inbox", 1) });
  await blocked(server);
  await inbox.pause();
  // Which of both the last line is about was connected last, and waits.
  assert.equal((await lastCommands(server)).get("inbox"), "exists");
  await using other = await Connection.connect(named("other", 4));
  await other.command(["ECHO", ""]);
  await until(async () => (await lastCommands(server)).get("other") === "ping");
  assert.equal((await lastCommands(server)).get("inbox"), "exists");
});

Deno.test("Inbox that was paused waits on no connection that has died meanwhile", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  const args = { port: proxy.port, health_check_interval: 2 };
  await using inbox = await open({ args }, { heartbeatTimeout: 60 });
  const waiting = nextBatch(inbox);
  await blocked(server);
  await inbox.pause();
  proxy.strand();
  // That of the connection on which it does not wait.
  await until(() => inbox.stats().reconnects > 0);
  using _ = later(3);
  inbox.resume();
  await server.run("RPUSH", "queue", "one");
  const batch = await inTime(waiting, "the message", 25);
  assert.deepEqual(texts(batch), ["one"]);
  await batch!.settle();
});
