import assert from "node:assert/strict";
import { Connection, Inbox, Outbox, startRedis } from "../../src/redis/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort } from "../servers.ts";
import { until } from "../until.ts";
import { handleAll } from "./inboxes.ts";

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
