import assert from "node:assert/strict";
import {
  Connection,
  type RedisArgs,
  type RedisError,
} from "../../src/redis/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";

const certificates = new URL("./certificates/", import.meta.url).pathname;
/** Plain to the master, TLS to the sentinels. */
const TLS: RedisArgs = {
  sentinelSsl: true,
  ssl_ca_certs: `${certificates}ca.crt`,
  ssl_certfile: `${certificates}client.crt`,
  ssl_keyfile: `${certificates}client.key`,
};

/** Starts a sentinel that watches what it is told. */
async function startSentinel(
  stack: AsyncDisposableStack,
  master: number,
  args: RedisArgs = {},
  ...lines: string[]
): Promise<number> {
  const port = freePort();
  const directory = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  await Deno.writeTextFile(
    `${directory}/sentinel.conf`,
    [
      ...(args.sentinelSsl ? ["port 0", `tls-port ${port}`] : [`port ${port}`]),
      "bind 127.0.0.1",
      `dir "${directory}"`,
      `sentinel monitor tested 127.0.0.1 ${master} 2`,
      "sentinel down-after-milliseconds tested 500",
      ...lines,
      "",
    ].join("\n"),
  );
  const sentinel = new Deno.Command("redis-server", {
    args: [`${directory}/sentinel.conf`, "--sentinel"],
    stdout: "null",
    stderr: "null",
  }).spawn();
  stack.defer(async () => {
    sentinel.kill("SIGKILL");
    await sentinel.status;
  });
  const ssl = args.sentinelSsl ?? false;
  const { sentinelSsl: _, ...rest } = args;
  await using connection = await Connection.connect({ ...rest, port, ssl }, {
    logger: new LineLogger(),
  });
  await connection.command(["PING"]);
  return port;
}

async function startPair(
  stack: AsyncDisposableStack,
): Promise<[master: number, replica: number]> {
  const config = ["repl-diskless-sync-delay 0"];
  const master = stack.use(
    await TestServer.start({ port: freePort(), config }),
  );
  const replica = stack.use(
    await TestServer.start({ port: freePort(), config }),
  );
  await replica.run("REPLICAOF", "127.0.0.1", `${master.args.port}`);
  await until(async () =>
    /role:slave/.test(await replica.run("INFO", "replication"))
  );
  return [master.args.port!, replica.args.port!];
}

Deno.test("Connection asks the next sentinel where one is wrong", async (t) => {
  await using stack = new AsyncDisposableStack();
  const [master, replica] = await startPair(stack);
  const right = await startSentinel(stack, master);
  const dead = freePort();
  const wrong = {
    "knows a dead master": await startSentinel(stack, dead),
    "knows a replica": await startSentinel(stack, replica),
    "wants a password": await startSentinel(
      stack,
      master,
      { password: "secret" },
      "requirepass secret",
    ),
    "is not there": freePort(),
  };
  await until(async () => {
    const port = wrong["knows a dead master"];
    await using sentinel = await Connection.connect({ port });
    const facts = await sentinel.command<Record<string, string>>(
      ["SENTINEL", "MASTER", "tested"],
    );
    return /s_down/.test(facts.flags!);
  }, "the dead master is noticed");
  for (const [name, port] of Object.entries(wrong)) {
    await t.step(`one that ${name}`, async () => {
      const logger = new LineLogger();
      const sentinels = [`127.0.0.1:${port}`, `127.0.0.1:${right}`];
      await using connection = await Connection.connect(
        { sentinels, serviceName: "tested", socket_connect_timeout: 10 },
        { logger },
      );
      assert.deepEqual(connection.address, { host: "127.0.0.1", port: master });
      assert.deepEqual(logger.lines, []);
    });
  }
  await t.step("one whose dead master still answers us", async () => {
    // As an old master does that only the sentinels cannot reach.
    const old = stack.use(await TestServer.start({ port: freePort() }));
    const sentinels = [wrong["knows a dead master"], right].map((port) =>
      `127.0.0.1:${port}`
    );
    await using connection = await Connection.connect({
      sentinels,
      serviceName: "tested",
      addressMap: [`127.0.0.1:${dead}=127.0.0.1:${old.args.port}`],
    });
    assert.deepEqual(connection.address, { host: "127.0.0.1", port: master });
  });
  await t.step("where all want a password, that is said at once", async () => {
    const sentinels = [`127.0.0.1:${wrong["wants a password"]}`];
    await assert.rejects(
      Connection.connect({ sentinels, serviceName: "tested" }),
      (error: RedisError) => error.code === "auth",
    );
  });
});

Deno.test("Connection speaks TLS to sentinels alone if told so", async () => {
  await using stack = new AsyncDisposableStack();
  const [master] = await startPair(stack);
  const port = await startSentinel(
    stack,
    master,
    TLS,
    `tls-cert-file "${certificates}server.crt"`,
    `tls-key-file "${certificates}server.key"`,
    `tls-ca-cert-file "${certificates}ca.crt"`,
  );
  await using connection = await Connection.connect({
    ...TLS,
    sentinels: [`127.0.0.1:${port}`],
    serviceName: "tested",
  });
  assert.deepEqual(connection.address, { host: "127.0.0.1", port: master });
});
