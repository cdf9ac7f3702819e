import assert from "node:assert/strict";
import process from "node:process";
import { Outbox, RedisError } from "../../src/redis/mod.ts";
import { callsOf } from "../calls.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";

Deno.test("Outbox pushes one message, several, and bytes", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  assert.equal(await outbox.push("queue", "one"), 1);
  assert.equal(await outbox.push("queue", ["two", "three"]), 3);
  assert.equal(await outbox.push("queue", new Uint8Array([52])), 4);
  assert.equal(await outbox.push("queue", []), 0);
  assert.deepEqual(await server.run("LRANGE", "queue", "0", "-1"), [
    "one",
    "two",
    "three",
    "4",
  ]);
});

Deno.test("Outbox keeps the order of what is sent at once", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const numbers = Array.from({ length: 1000 }, (_, index) => String(index));
  await Promise.all(numbers.map((number) => outbox.push("queue", number)));
  assert.deepEqual(await server.run("LRANGE", "queue", "0", "-1"), numbers);
});

Deno.test("Outbox leaves a response that expires", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await outbox.pushResponse("1", "answer");
  const ttl = await server.run<number>("TTL", "platypush/responses/1");
  assert.ok(ttl > 50 && ttl <= 60, String(ttl));
  const response = await outbox.waitForResponse("1", 30);
  assert.equal(new TextDecoder().decode(response), "answer");
});

Deno.test("Outbox waits for a hundred responses on the connection that sends", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args, { logger: new LineLogger() });
  const ids = Array.from({ length: 100 }, (_, index) => `request${index}`);
  const waiting = ids.map((id) => outbox.waitForResponse(id, 30));
  for (const id of ids.toReversed()) await outbox.pushResponse(id, `to ${id}`);
  const responses = await Promise.all(waiting);
  assert.deepEqual(
    responses.map((response) => new TextDecoder().decode(response)),
    ids.map((id) => `to ${id}`),
  );
  const clients = await server.run<string>("CLIENT", "LIST");
  assert.equal(clients.trim().split("\n").length, 2);
  await outbox.close();
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Outbox does not let a request wait for another one's time limit", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const silent = assert.rejects(
    outbox.waitForResponse("silent", 600),
    { name: "RedisError", code: "closed" },
  );
  await until(async () => await callsOf(server, "lrange") > 0);
  const late = outbox.waitForResponse("late", 600);
  await outbox.pushResponse("late", "x");
  await inTime(late, "the response that came late");
  await outbox.close();
  await silent;
});

Deno.test("Outbox rejects when no server can be reached in time", async () => {
  await using outbox = new Outbox({ port: freePort() }, {
    connectionTimeout: 2,
    logger: new LineLogger(),
  });
  await assert.rejects(
    outbox.push("queue", "x"),
    (error: RedisError) => {
      assert.equal(error.code, "connection");
      assert.equal(error.mayHaveRun, false);
      assert.match(
        error.message,
        /^Cannot send to "queue": no connection to Redis in time\. Cannot connect to Redis at 127\.0\.0\.1:\d+: the connection was refused; .*\(ECONNREFUSED\)$/,
      );
      return true;
    },
  );
});

Deno.test("Outbox names each server that could not be reached in time", async () => {
  const [first, second] = [freePort(), freePort()];
  const nodes = [`127.0.0.1:${first}`, `127.0.0.1:${second}`];
  for (
    const args of [
      { cluster: nodes },
      { sentinels: nodes, serviceName: "mymaster" },
    ]
  ) {
    await using outbox = new Outbox(args, {
      connectionTimeout: 1,
      logger: new LineLogger(),
    });
    await assert.rejects(
      outbox.push("queue", "x"),
      (error: RedisError) =>
        error.code === "connection" &&
        nodes.every((node) => error.message.includes(node)),
    );
  }
});

Deno.test("Outbox says where it gets no answer at all", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  await using outbox = new Outbox({ port }, {
    connectionTimeout: 0.2,
    logger: new LineLogger(),
  });
  await assert.rejects(
    outbox.push("queue", "x"),
    new RegExp(
      `in time\\. There is no answer from 127\\.0\\.0\\.1:${port}$`,
    ),
  );
});

Deno.test("Outbox says that the server is out of memory or the key no list", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await server.run("SET", "text", "x");
  await assert.rejects(
    outbox.push("text", "x"),
    (error: RedisError) =>
      error.code === "wrong-type" &&
      /^Cannot send to "text" at \S+: the key "text" is of another type than RPUSH needs/
        .test(error.message),
  );
  await server.run("CONFIG", "SET", "maxmemory", "1");
  await assert.rejects(
    outbox.push("queue", "x"),
    (error: RedisError) =>
      /^Cannot send to "queue" at \S+: the server is out of memory; raise/
        .test(error.message),
  );
});

const isDoubtful = (error: RedisError): boolean =>
  error.mayHaveRun &&
  / The server may or may not have received it, so it was not sent again$/
    .test(error.message);

Deno.test("Outbox does not send again what may have arrived", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  await using outbox = new Outbox({ port: proxy.port }, {
    logger: new LineLogger(),
  });
  await outbox.push("queue", ["one", "two"]);
  const lost = proxy.lose(":4\r\n");
  const sending = assert.rejects(
    outbox.push("queue", ["three", "four"]),
    isDoubtful,
  );
  await inTime(lost, "the answer");
  proxy.cut();
  await sending;
  // The message had arrived, and is there once.
  assert.equal(await outbox.push("queue", "five"), 5);
});

Deno.test("Outbox does not respond again where the response may have arrived", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  await using outbox = new Outbox({ port: proxy.port }, {
    logger: new LineLogger(),
  });
  await outbox.push("queue", "one");
  const lost = proxy.lose(":1\r\n");
  const sending = assert.rejects(outbox.pushResponse("1", "x"), isDoubtful);
  await inTime(lost, "the answer");
  proxy.cut();
  await sending;
  assert.equal(await server.run("LLEN", "platypush/responses/1"), 1);
});

Deno.test("Outbox sends again what has certainly not arrived", async () => {
  const port = freePort();
  const logger = new LineLogger();
  await using outbox = new Outbox({ port }, { logger });
  const early = outbox.push("queue", "one");
  await logger.line(/refused/);
  await using server = await TestServer.start({ port });
  assert.equal(await early, 1);
  await server.run("CONFIG", "SET", "min-replicas-to-write", "1");
  const refused = outbox.push("queue", "two");
  await until(async () =>
    /errorstat_NOREPLICAS/.test(await server.run("INFO", "errorstats"))
  );
  await server.run("CONFIG", "SET", "min-replicas-to-write", "0");
  assert.equal(await refused, 2);
});

Deno.test("Outbox finds a response whose way to it was cut", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  await using outbox = new Outbox({ port: proxy.port }, {
    logger: new LineLogger(),
  });
  const waiting = outbox.waitForResponse("1", 60);
  const lost = proxy.lose("answer");
  await server.run("RPUSH", "platypush/responses/1", "answer");
  await inTime(lost, "the answer");
  proxy.cut();
  assert.equal(new TextDecoder().decode(await waiting), "answer");
  await outbox.close();
  assert.equal(await server.run("EXISTS", "platypush/responses/1"), 0);
});

Deno.test("Outbox says when there was no response because Redis was not there", async () => {
  const port = freePort();
  await using outbox = new Outbox({ port }, { logger: new LineLogger() });
  await assert.rejects(outbox.waitForResponse("1", 1.2), {
    name: "TimeoutError",
    message: new RegExp(
      `^No response to request 1 within 1\\.2 s\\. .*127\\.0\\.0\\.1:${port}`,
    ),
  });
});

Deno.test("Outbox waits for a response without end if told so", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const waiting = outbox.waitForResponse("1", Infinity);
  await outbox.pushResponse("1", "x");
  assert.equal(new TextDecoder().decode(await waiting), "x");
});

Deno.test("Outbox says that what was on its way when it was closed may have arrived", async () => {
  await using server = await TestServer.start();
  const outbox = new Outbox(server.args);
  await outbox.pushResponse("1", "x");
  await server.run("CLIENT", "PAUSE", "10000", "WRITE");
  const sending = assert.rejects(
    outbox.push("queue", "one"),
    (error: RedisError) => error.code === "closed" && isDoubtful(error),
  );
  await until(async () => /cmd=rpush/.test(await server.run("CLIENT", "LIST")));
  await outbox.close();
  await sending;
  await server.run("CLIENT", "UNPAUSE");
});

Deno.test("Outbox can be closed at any time", async () => {
  await using server = await TestServer.start();
  const outbox = new Outbox(server.args);
  const waiting = assert.rejects(
    outbox.waitForResponse("1", 60),
    (error: RedisError) => error.code === "closed",
  );
  const sending = outbox.push("queue", "x").catch(() => {});
  await outbox.close();
  await waiting;
  await sending;
  await assert.rejects(outbox.push("queue", "x"), /closed/);
  await assert.rejects(outbox.waitForResponse("1", 1), /closed/);
});

Deno.test("Outbox refuses a queue that is no name, and what is no message, all or none", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  for (const queue of ["", null, undefined, 5, Symbol("queue"), {}]) {
    await assert.rejects(outbox.push(queue as string, "message"), {
      name: "TypeError",
      message:
        /^Cannot send to Redis: `queue` (is missing, expected|has to be) a name/,
    });
  }
  for (const payloads of [null, undefined, 5, {}, ["message", 5]]) {
    await assert.rejects(outbox.push("queue", payloads as string), {
      name: "TypeError",
      message:
        /^Cannot send to Redis: `payloads` (is missing, expected|has to be) a text or/,
    });
  }
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Outbox refuses times that are none", async () => {
  for (const time of [NaN, -1]) {
    assert.throws(
      () => new Outbox({}, { connectionTimeout: time }),
      { name: "RangeError", message: /`connectionTimeout` is (NaN|-1)/ },
    );
    await using outbox = new Outbox({});
    await assert.rejects(
      outbox.waitForResponse("1", time),
      { name: "RangeError", message: /`timeout` is (NaN|-1)/ },
    );
  }
});

Deno.test("Outbox waits for ever for a server, if it is told to", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args, {
    connectionTimeout: Infinity,
  });
  // A timer that is set to more than it can be set to is over at once.
  const warnings: Error[] = [];
  const note = (warning: Error): unknown => warnings.push(warning);
  process.on("warning", note);
  assert.equal(await outbox.push("queue", "x"), 1);
  process.off("warning", note);
  assert.deepEqual(warnings, []);
});

Deno.test("Outbox waits no longer than it is told, for the server and for its answer", async () => {
  const logger = new LineLogger();
  await using nowhere = new Outbox({ port: freePort() }, {
    connectionTimeout: 60,
    logger,
  });
  await assert.rejects(
    inTime(nowhere.push("queue", "x", 0.1), "the error"),
    (error: RedisError) => error.code === "connection" && !error.mayHaveRun,
  );
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  await using outbox = new Outbox({ port: proxy.port, socket_timeout: 60 }, {
    logger,
  });
  await outbox.push("queue", "one");
  proxy.freeze();
  await assert.rejects(
    inTime(outbox.push("queue", "two", 0.1), "the error"),
    (error: RedisError) =>
      error.mayHaveRun && /no answer within 0\.1 s/.test(error.message),
  );
  proxy.thaw();
});
