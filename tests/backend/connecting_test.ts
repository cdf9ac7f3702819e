import assert from "node:assert/strict";
import { RedisBackend, type RedisError, startRedis } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";
import { Listener, privateBus, QUEUE } from "../listener.ts";
import { LoadingServer } from "../loading_server.ts";
import { freePort, TestServer } from "../servers.ts";

const SECRET = "tr0ub4dor&3";
const event = (n: number): string =>
  JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom.Count", n },
  });

function assertSilent(logger: LineLogger, ...errors: unknown[]): void {
  const said = [...logger.lines, ...errors.map((error) => Deno.inspect(error))];
  for (const text of said) {
    assert.ok(!text.includes(SECRET), text);
    assert.ok(!text.includes(encodeURIComponent(SECRET)), text);
  }
}

async function failure(promise: Promise<unknown>): Promise<RedisError> {
  return await promise.then(
    () => assert.fail("It did not reject"),
    (error) => error,
  );
}

Deno.test("RedisBackend rejects a wrong password, and does not show it", async () => {
  await using server = await TestServer.start({
    config: ["requirepass right"],
    redisArgs: { password: "right" },
  });
  for (
    const redisArgs of [
      { ...server.args, password: SECRET },
      {
        url: server.url.replace("//", `//:${encodeURIComponent(SECRET)}@`),
      },
    ]
  ) {
    await using listener = new Listener(server, { redisArgs });
    const error = await failure(listener.start());
    assert.equal(error.code, "auth");
    assert.match(error.message, /password; check `username` and `password`/);
    assert.equal(listener.backend.isAlive(), false);
    assertSilent(listener.logger, error);
  }
});

Deno.test("RedisBackend rejects a missing password", async () => {
  await using server = await TestServer.start({
    config: ["requirepass right"],
    redisArgs: { password: "right" },
  });
  await using listener = new Listener(server, {
    redisArgs: { url: server.url },
  });
  const error = await failure(listener.start());
  assert.match(error.message, /the server wants a password; set `password`/);
});

Deno.test("RedisBackend rejects a user without the permission", async () => {
  await using server = await TestServer.start();
  await server.run("ACL", "SETUSER", "guest", "on", `>${SECRET}`, "+ping");
  await using listener = new Listener(server, {
    redisArgs: { ...server.args, username: "guest", password: SECRET },
  });
  const error = await failure(listener.start());
  assert.equal(error.code, "permission");
  assert.match(
    error.message,
    /NOPERM.*evalsha.*; ACL SETUSER guest \+evalsha$/,
  );
  assertSilent(listener.logger, error);
});

Deno.test("RedisBackend rejects arguments for Redis that do not exist", async () => {
  const redisArgs = { hots: "127.0.0.1", password: SECRET } as object;
  await using backend = new RedisBackend({ redisArgs });
  const error = await failure(backend.start());
  assert.ok(error instanceof TypeError);
  assert.match(error.message, /no option `hots`; the nearest one is `host`/);
  assert.ok(!error.message.includes(SECRET));
});

Deno.test("RedisBackend rejects a queue that is no list", async () => {
  await using server = await TestServer.start();
  await server.run("SET", QUEUE, "text");
  await using listener = new Listener(server);
  const error = await failure(listener.start());
  assert.equal(error.code, "wrong-type");
  assert.match(error.message, /the key exists, but is no list/);
});

Deno.test("RedisBackend waits for a server that comes up later", async () => {
  await using server = await TestServer.start();
  const port = freePort();
  await using listener = new Listener(server, { redisArgs: { port } });
  const starting = listener.start();
  await listener.logger.line(/warn: .*refused.* Trying again/i);
  await using _late = await startRedis({ port });
  await starting;
  await listener.backend.sendEvent({ args: { type: "custom.Late" } });
  await listener.messages(1);
});

Deno.test("RedisBackend goes on asking for a name that does not resolve, until it is stopped", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    redisArgs: { host: "no-such-host.invalid", password: SECRET },
  });
  const starting = listener.start();
  await listener.logger.line(/warn: .*no-such-host.invalid.* Trying again/);
  await listener.logger.line(/debug: .*no-such-host.invalid.* Trying again/);
  await Promise.all([
    assert.rejects(starting, { name: "AbortError" }),
    listener.backend.stop(),
  ]);
  assertSilent(listener.logger);
});

Deno.test("RedisBackend gives up starting when the signal is aborted, and is stopped", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    redisArgs: { host: "no-such-host.invalid" },
  });
  const { backend } = listener;
  const abort = new AbortController();
  const starting = backend.start({ signal: abort.signal });
  await listener.logger.line(/warn: .*no-such-host.invalid.* Trying again/);
  const reason = new Error("it takes too long");
  abort.abort(reason);
  await assert.rejects(starting, reason);
  assert.deepEqual([backend.shouldStop(), backend.isAlive()], [true, false]);

  await using another = new Listener(server);
  await assert.rejects(another.backend.start({ signal: abort.signal }), reason);
  const later = new AbortController();
  await another.backend.start({ signal: later.signal });
  later.abort();
  assert.equal(another.backend.isAlive(), true);
});

Deno.test("RedisBackend waits for a server that is still loading", async () => {
  await using server = await LoadingServer.start();
  const { port } = server;
  const logger = new LineLogger();
  await using bus = privateBus();
  await using backend = new RedisBackend({ redisArgs: { port }, bus, logger });
  const starting = backend.start();
  await logger.line(/\(LOADING\)/);
  await server.finish();
  await starting;
  assert.equal(backend.isAlive(), true);
  await backend.stop();
});

Deno.test("RedisBackend keeps trying after the password was changed, says so once, and does not show it", async () => {
  await using server = await TestServer.start({
    config: [`requirepass ${SECRET}`],
    redisArgs: { password: SECRET },
  });
  await using listener = new Listener(server);
  await listener.start();
  await server.run("CONFIG", "SET", "requirepass", "another");
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  const refused = /: .*the server refused the user's name or password; check/;
  await listener.logger.line(new RegExp(`error${refused.source}`));
  // The next attempts are not worth another line.
  await listener.logger.line(new RegExp(`debug${refused.source}`));
  await server.run("CONFIG", "SET", "requirepass", SECRET);
  await server.run("RPUSH", QUEUE, event(1));
  await listener.messages(1);
  const errors = listener.logger.lines.filter((line) => /^error/.test(line));
  // The two connections that consume say it together.
  assert.equal(errors.length, 1, errors.join("\n"));
  assertSilent(listener.logger);
});
