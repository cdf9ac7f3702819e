import assert from "node:assert/strict";
import {
  Connection,
  Inbox,
  Outbox,
  RedisError,
  startRedis,
} from "../../src/redis/mod.ts";
import { Trouble } from "../../src/redis/trouble.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { handleAll, numbers, open, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

/** The lines that people see. */
function seen(logger: LineLogger): string[] {
  return logger.lines.filter((line) => !/^debug/.test(line));
}

Deno.test("All connections say together that the server is gone, and that it is back", async () => {
  const port = freePort();
  const logger = new LineLogger();
  const server = await startRedis({ port });
  await using inbox = await Inbox.open({ port }, {
    queue: ["one", "two"],
    logger,
  });
  await using outbox = new Outbox({ port }, { logger, connectionTimeout: 30 });
  const handled = new Set<string>();
  const reading = handleAll(inbox, handled);
  await outbox.push("one", "before");
  await until(() => handled.has("before"));
  await server.stop();
  await logger.line(/warn: .*Connecting again/);
  await using _again = await startRedis({ port });
  await outbox.push("two", "after");
  await until(() => handled.has("after"));
  await logger.line(/info: Connected to Redis/);
  const lines = seen(logger).filter((line) => !/no consumer of/.test(line));
  assert.deepEqual(
    lines.map((line) => line.replace(/ at .*/, "")),
    ["warn: Cannot stay connected to Redis", "info: Connected to Redis"],
    lines.join("\n"),
  );
  await inbox.stop();
  await reading;
});

Deno.test("A connection that is cut again and again is told as rarely when it is back as when it is lost", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await Inbox.open(server.args, { queue: "queue", logger });
  for (let round = 0; round < 10; round++) {
    const { reconnects } = inbox.stats();
    await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await until(() => inbox.stats().reconnects > reconnects);
  }
  await logger.line(/^info: Connected to Redis/);
  const lines = logger.lines.map((line) => line.replace(/ at .*/, ""));
  const count = (text: string) => lines.filter((line) => line === text).length;
  const lost = count("warn: Cannot stay connected to Redis");
  const back = count("info: Connected to Redis");
  assert.ok(lost > 0 && back > 0 && back <= lost, logger.lines.join("\n"));
});

Deno.test("Connection reminds of trouble that lasts, ever more rarely", async () => {
  const logger = new LineLogger();
  const port = freePort();
  const abort = new AbortController();
  const { signal } = abort;
  const connecting = [1, 2].map(() =>
    Connection.connect({ port }, { logger, signal })
  );
  await until(() => seen(logger).length === 2);
  abort.abort();
  for (const attempt of connecting) await assert.rejects(attempt);
  for (const line of seen(logger)) {
    assert.match(line, /^warn: .*the connection was refused.*Trying again\.$/);
  }
  assert.ok(logger.lines.length > 6, logger.lines.join("\n"));
});

Deno.test("Inbox says that the server is full, ever more rarely, and that it has memory again", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { logger });
  const handled = new Set<string>();
  const failed = new Set<string>();
  const reading = (async () => {
    for (let batch; (batch = await inbox.next());) {
      const failures = [];
      for (const [index, text] of texts(batch).entries()) {
        // Each of them is to be put aside, and to come again.
        if (failed.has(text)) {
          handled.add(text);
        } else {
          failed.add(text);
          const error = new Error("not at the first time");
          failures.push({ index, reason: "failed" as const, error });
        }
      }
      await batch.settle(failures);
    }
  })();
  await server.run("RPUSH", "queue", ...numbers(100));
  await until(() => handled.size === 100);
  await server.run("RPUSH", "queue", ...numbers(100, 100));
  await server.run("CONFIG", "SET", "maxmemory", "16mb");
  const filling = async (): Promise<void> => {
    for (;;) await server.run("RPUSH", "others", "x".repeat(2 ** 20));
  };
  await assert.rejects(filling(), /out of memory|OOM/);
  // What little there is left comes and goes with the buffers of connections.
  await server.run("CONFIG", "SET", "maxmemory", "12mb");
  const told =
    /^warn: Cannot write all that consuming needs at .*: the server is out of memory; raise its `maxmemory` or remove what is no longer needed\..* Trying again\.$/;
  await until(() => seen(logger).filter((line) => told.test(line)).length > 1);
  const quiet = logger.lines.filter((line) =>
    /^debug: Cannot write all/.test(line)
  );
  assert.ok(quiet.length > 0, logger.lines.join("\n"));
  assert.ok(!seen(logger).some((line) => /memory again/.test(line)));
  await server.run("DEL", "others");
  await logger.line(/^info: Redis at .* has memory again\.$/);
  await until(() => handled.size === 200);
  assert.deepEqual(
    seen(logger).filter((line) => !/out of memory|memory again/.test(line)),
    [],
  );
  await inbox.stop();
  await reading;
  assert.equal(inbox.stats().deadLettered, 0);
});

Deno.test("Inbox names the queue whose failed messages cannot come back, ever more rarely", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await open(server, { logger, retryPause: 1 });
  await server.run("RPUSH", "queue", "bad");
  const batch = await nextBatch(inbox);
  const error = new Error("not now");
  await batch!.settle([{ index: 0, reason: "failed", error }]);
  await server.run("RENAME", "{queue}:retry", "aside");
  await server.run("SET", "{queue}:retry", "a text");
  const told = /^(\w+): Cannot read "queue" at .*"{queue}:retry" is a string/;
  const found = (): string[] =>
    logger.lines.flatMap((line) => told.exec(line)?.[1] ?? []);
  await until(() => found().length >= 4);
  assert.equal(found()[0], "error");
  assert.ok(found().includes("debug"), logger.lines.join("\n"));
  await server.run("RENAME", "aside", "{queue}:retry");
  assert.deepEqual(texts(await nextBatch(inbox)), ["bad"]);
  await inbox.stop(0);
});

Deno.test("Connections that are lost one after the other, each when the one before is back, are told of once", () => {
  const logger = new LineLogger();
  const trouble = Trouble.with("PLACE", logger);
  for (
    const reason of ["It is silent", "Another one was lost", "It is reset"]
  ) {
    const connection = {};
    trouble.onLoss(connection, new RedisError(reason, "connection"));
    trouble.onSuccess(connection, "PLACE");
  }
  assert.deepEqual(seen(logger), [
    "warn: It is silent. Connecting again.",
    "info: Connected to Redis at PLACE.",
  ]);
});

Deno.test("A server that lets everybody connect and then says nothing is told of ever more rarely", () => {
  /** The time from connecting until a silent server is given up, and until the next connection is up. */
  const [silence, pause] = [5100, 100];
  const logger = new LineLogger();
  const trouble = Trouble.with("PLACE", logger);
  const connection = {};
  const error = new RedisError("It is silent", "connection");
  const { now } = performance;
  let time = 0;
  performance.now = () => time;
  try {
    for (let loss = 0; loss < 20; loss++) {
      trouble.onLoss(connection, error);
      time += pause;
      trouble.onSuccess(connection, "PLACE");
      time += silence;
    }
  } finally {
    performance.now = now;
  }
  const warnings = logger.lines.filter((line) => line.startsWith("warn: "));
  assert.equal(warnings.length, 4, warnings.join("\n"));
});
