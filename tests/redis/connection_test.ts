import assert from "node:assert/strict";
import { Connection, RedisError, startRedis } from "../../src/redis/mod.ts";
import { isSupported } from "../../src/redis/server_connection.ts";
import { nextTurn } from "../../src/waiting.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { LoadingServer } from "../loading_server.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";

Deno.test("Connection runs commands over a Unix socket and over TCP", async () => {
  await using unix = await TestServer.start({ socket: true });
  assert.equal(await unix.run("PING"), "PONG");
  await using tcp = await TestServer.start({ port: freePort() });
  assert.equal(await tcp.run("ECHO", "ä"), "ä");
  const bytes = await tcp.redis.command(["ECHO", new Uint8Array([255, 0])], {
    bytes: true,
  });
  assert.deepEqual([...bytes as Uint8Array], [255, 0]);
});

Deno.test("Connection sends many commands at once, whole and in their order", async () => {
  await using server = await TestServer.start();
  const bytes = new Uint8Array(3000).fill(255);
  const texts = ["ä".repeat(700), bytes, "", new Uint8Array(), bytes, "end"];
  // The socket is full again and again, in the middle of what is sent at once.
  const lengths = await Promise.all(
    Array.from(
      { length: 500 },
      () => server.redis.command(["RPUSH", "list", ...texts]),
    ),
  );
  const count = texts.length;
  assert.deepEqual(lengths, lengths.map((_, at) => (at + 1) * count));
  const list = await server.redis.command<Uint8Array[]>(
    ["LRANGE", "list", "0", "-1"],
    { bytes: true },
  );
  const sizes = [1400, 3000, 0, 0, 3000, 3];
  assert.deepEqual(
    list.map((one) => one.length),
    list.map((_, at) => sizes[at % count]),
  );
});

for (const protocol of [2, 3] as const) {
  Deno.test(`Connection sends what a server that stands still had no room for, whole (RESP${protocol})`, async () => {
    await using server = await TestServer.start();
    const args = { ...server.args, protocol };
    await using connection = await Connection.connect(args);
    const payloads = ["ä".repeat(150_000), new Uint8Array(300_000)];
    const sending: Promise<number>[] = [];
    Deno.kill(server.pid, "SIGSTOP");
    for (let count = 0; count < 100; count++) {
      const payload = payloads[count % payloads.length]!;
      sending.push(connection.command(["RPUSH", "list", payload]));
      await nextTurn();
    }
    Deno.kill(server.pid, "SIGCONT");
    assert.deepEqual(
      await inTime(Promise.all(sending), "all are answered"),
      sending.map((_, at) => at + 1),
    );
    const list = await server.redis.command<Uint8Array[]>(
      ["LRANGE", "list", "0", "-1"],
      { bytes: true },
    );
    assert.ok(list.every(({ length }) => length === 300_000));
  });
}

Deno.test("Connection speaks both versions of the protocol, and selects a database", async () => {
  await using server = await TestServer.start();
  await server.run("SET", "key", "0");
  for (const protocol of [2, 3] as const) {
    await using connection = await Connection.connect({
      ...server.args,
      protocol,
      db: 5,
      client_name: "listener",
    });
    assert.match(connection.version, /^\d+\.\d+/);
    assert.equal(await connection.command(["EXISTS", "key"]), 0);
    assert.equal(await connection.command(["CLIENT", "GETNAME"]), "listener");
    const id = await connection.command(["CLIENT", "ID"]);
    assert.equal(connection.id, id);
  }
});

Deno.test("Connection waits for a server that starts later", async () => {
  const port = freePort();
  const logger = new LineLogger();
  const connecting = Connection.connect({ port }, { logger });
  // The second attempt is not worth a warning.
  await logger.line(/^debug: Cannot connect/);
  await using _server = await startRedis({ port });
  await using connection = await connecting;
  assert.equal(await connection.command(["PING"]), "PONG");
  assert.match(logger.lines[0]!, /^warn: Cannot connect to Redis at 127/);
  assert.equal(logger.lines.filter((line) => /^warn/.test(line)).length, 1);
});

Deno.test("Connection waits until the server has loaded its data", async () => {
  await using server = await LoadingServer.start();
  const { port } = server;
  const loggers = [new LineLogger(), new LineLogger()] as const;
  const connecting = Promise.all(
    ([2, 3] as const).map((protocol, index) =>
      Connection.connect({ port, protocol }, { logger: loggers[index]! })
    ),
  );
  for (const logger of loggers) await logger.line(/LOADING\)\. Trying again/);
  await server.finish();
  for (const connection of await connecting) {
    await using _closed = connection;
    assert.equal(await connection.command(["DBSIZE"]), server.keys);
  }
  for (const { lines } of loggers) {
    const warnings = lines.filter((line) => /^warn: .*LOADING/.test(line));
    assert.equal(warnings.length, 1, warnings.join("\n"));
  }
});

Deno.test("Connection waits as long as it is told, also beyond what a timer takes", async () => {
  await using server = await TestServer.start();
  for (const time of [3e6, 1e12]) {
    const args = {
      ...server.args,
      socket_connect_timeout: time,
      socket_timeout: time,
      health_check_interval: time,
    };
    const connecting = Connection.connect(args);
    await using connection = await inTime(connecting, "a connection");
    assert.equal(await connection.command(["PING"]), "PONG");
  }
});

Deno.test("Connection gives up when it is told to, in the middle of connecting", async () => {
  const abort = new AbortController();
  const logger = new LineLogger();
  const connecting = Connection.connect({ port: freePort() }, {
    signal: abort.signal,
    logger,
  });
  await logger.line(/Trying again/);
  abort.abort();
  await assert.rejects(
    connecting,
    (error: RedisError) => error.code === "closed",
  );
});

Deno.test("Connection gives up on a server that accepts but never answers", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const logger = new LineLogger();
  const abort = new AbortController();
  const connecting = Connection.connect(
    { port, socket_connect_timeout: 0.1 },
    { signal: abort.signal, logger },
  );
  const peer = await listener.accept();
  const second = await listener.accept();
  abort.abort();
  await assert.rejects(connecting);
  assert.match(logger.lines[0]!, /no answer within 0.1 s/);
  peer.close();
  second.close();
  listener.close();
});

for (
  const [what, begin] of [
    ["is greeted", () => Promise.resolve()],
    ["listens", (one: Connection) => one.subscribe("news", () => {})],
    ["tracks keys", (one: Connection) => one.trackKeys(() => {})],
  ] as const
) {
  Deno.test(`Connection that ${what} gives up on a server that stops just there`, async () => {
    await using server = await TestServer.start();
    const isGreeted = what === "is greeted";
    let greetings = 0;
    let stop = (): void => {};
    const logger = new LineLogger();
    const args = { ...server.args, socket_connect_timeout: 0.5 };
    const connection = await Connection.connect(args, {
      logger,
      greet: async (send) => {
        greetings++;
        stop();
        if (isGreeted) await send(["PING"]);
      },
    });
    await begin(connection);
    stop = () => Deno.kill(server.pid, "SIGSTOP");
    connection.renew();
    try {
      await inTime(logger.line(/no answer within 0.5 s/), "the end of waiting");
      // Another attempt follows, and connecting itself is not answered then.
      await until(() => logger.lines.length > 1);
    } finally {
      Deno.kill(server.pid, "SIGCONT");
    }
    stop = () => {};
    await inTime(connection.ready(), "the server that goes on");
    assert.ok(greetings > 2);
    await connection.close();
  });

  Deno.test(`Connection that ${what} is closed at once when the server stops just there`, async () => {
    await using server = await TestServer.start();
    const isStopped = Promise.withResolvers<void>();
    let stop = (): void => {};
    const args = { ...server.args, socket_connect_timeout: 3600 };
    const connection = await Connection.connect(args, {
      logger: new LineLogger(),
      greet: async (send) => {
        stop();
        if (what === "is greeted") await send(["PING"]);
      },
    });
    await begin(connection);
    stop = () => {
      Deno.kill(server.pid, "SIGSTOP");
      isStopped.resolve();
    };
    connection.renew();
    try {
      await inTime(isStopped.promise, "the server stands still");
      await inTime(connection.close(), "the end");
    } finally {
      Deno.kill(server.pid, "SIGCONT");
    }
  });
}

Deno.test("Connection says what is wrong with the credentials, and shows no secret", async () => {
  await using server = await TestServer.start({
    config: [
      "requirepass hunter2",
      "user listener on >hunter3 ~allowed* +@all",
    ],
    redisArgs: { password: "hunter2" },
  });
  const wrong = [
    { password: null },
    { password: "hunter4" },
    { username: "listener", password: "hunter4" },
    { username: "nobody", password: "hunter4" },
  ];
  for (const protocol of [2, 3] as const) {
    for (const credentials of wrong) {
      await assert.rejects(
        Connection.connect({ ...server.args, ...credentials, protocol }),
        (error: RedisError) => {
          assert.equal(error.code, "auth", error.message);
          assert.match(error.message, /`password`/);
          assert.doesNotMatch(Deno.inspect(error), /hunter/);
          return true;
        },
      );
    }
  }
  await using listener = await Connection.connect({
    ...server.args,
    username: "listener",
    password: "hunter3",
  });
  await assert.rejects(
    listener.command(["RPUSH", "forbidden", "x"]),
    (error: RedisError) => error.code === "permission",
  );
});

Deno.test("Connection says that a password is not needed", async () => {
  await using server = await TestServer.start();
  await assert.rejects(
    Connection.connect({ ...server.args, password: "hunter2", protocol: 2 }),
    (error: RedisError) =>
      error.code === "auth" && !error.message.includes("hunter2"),
  );
});

Deno.test("Connection comes back after it was lost", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  let reconnects = 0;
  await using connection = await Connection.connect(server.args, {
    logger,
    onReconnect: () => reconnects++,
  });
  const blocked = assert.rejects(
    connection.command(["BLPOP", "nothing", "0"], { block: 60 }),
    (error: RedisError) => error.code === "connection" && error.mayHaveRun,
  );
  await server.run("CLIENT", "KILL", "ID", String(connection.id));
  await blocked;
  await connection.ready();
  assert.equal(await connection.command(["PING"]), "PONG");
  assert.equal(reconnects, 1);
  assert.equal(connection.reconnects, 1);
  assert.match(logger.lines[0]!, /^warn: .*Connecting again/);
});

Deno.test("Connection can be closed while it connects again", async () => {
  const server = await TestServer.start();
  const connection = await Connection.connect(server.args);
  const blocked = assert.rejects(connection.command(["BLPOP", "nothing", "0"]));
  await server[Symbol.asyncDispose]();
  await blocked;
  const ready = assert.rejects(
    connection.ready(),
    (error: RedisError) => error.code === "closed",
  );
  await connection.close();
  await ready;
  await assert.rejects(
    connection.command(["PING"]),
    (error: RedisError) => error.code === "closed",
  );
});

Deno.test("Connection leaves nothing behind that is closed in the moment in which it is connected", async () => {
  await using server = await TestServer.start();
  for (let steps = 0; steps < 20; steps++) {
    const isClosed = Promise.withResolvers<void>();
    let greetings = 0;
    const connection = await Connection.connect(server.args, {
      logger: new LineLogger(),
      greet: async (send) => {
        await send(["PING"]);
        if (greetings++ > 0) void closeAfterSteps();
      },
    });
    const closeAfterSteps = async (): Promise<void> => {
      for (let step = 0; step < steps; step++) await Promise.resolve();
      isClosed.resolve(connection.close());
    };
    connection.renew();
    await inTime(isClosed.promise, "the end");
    assert.ok(!connection.isConnected, `closed ${steps} steps later`);
  }
  await until(async () =>
    /connected_clients:1\r/.test(await server.run("INFO", "clients"))
  );
});

Deno.test("Connection is closed, or stays open, when it is given up in the moment in which it is connected", async () => {
  await using server = await TestServer.start();
  for (let steps = 0; steps < 20; steps++) {
    const giving = new AbortController();
    const giveUpAfterSteps = async (): Promise<void> => {
      for (let step = 0; step < steps; step++) await Promise.resolve();
      giving.abort();
    };
    const connecting = Connection.connect(server.args, {
      logger: new LineLogger(),
      signal: giving.signal,
      greet: async (send) => {
        await send(["PING"]);
        void giveUpAfterSteps();
      },
    });
    const connection = await connecting.catch((error: RedisError) => {
      assert.equal(error.code, "closed");
    });
    assert.ok(!connection?.isClosed, `given up ${steps} steps later`);
    await connection?.close();
  }
  await until(async () =>
    /connected_clients:1\r/.test(await server.run("INFO", "clients"))
  );
});

Deno.test("Connection rejects what waits when it is closed", async () => {
  await using server = await TestServer.start();
  const connection = await Connection.connect(server.args);
  const blocked = assert.rejects(
    connection.command(["BLPOP", "nothing", "0"]),
    (error: RedisError) => error.code === "closed",
  );
  await connection.close();
  await blocked;
});

Deno.test("Connection tells kinds of errors apart", async () => {
  await using server = await TestServer.start();
  await server.run("SET", "text", "x");
  const codeOf = (...words: string[]): Promise<unknown> =>
    server.run(...words).catch((error: RedisError) => error.code);
  assert.equal(await codeOf("LPOP", "text"), "wrong-type");
  assert.equal(await codeOf("EVALSHA", "0".repeat(40), "0"), "no-script");
  assert.equal(await codeOf("NONSENSE"), "reply");
  await server.run("CONFIG", "SET", "maxmemory", "1");
  assert.equal(await codeOf("SET", "key", "x"), "memory");
  await server.run("CONFIG", "SET", "maxmemory", "0");
  await server.run("REPLICAOF", "127.0.0.1", "1");
  assert.equal(await codeOf("SET", "key", "x"), "readonly");
});

Deno.test("Connection loads none of the client's hundreds of files for commands", async () => {
  const redis = new URL("../../src/redis/mod.ts", import.meta.url);
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--quiet",
      "--config",
      new URL("../../deno.json", import.meta.url).pathname,
      `import { createRequire } from "node:module";
await import("${redis}");
console.log(JSON.stringify(Object.keys(createRequire("${redis}").cache)));`,
    ],
  }).output();
  assert.ok(success);
  const files: string[] = JSON.parse(new TextDecoder().decode(stdout));
  const ofClient = files.filter((file) => file.includes("@redis/client"));
  assert.ok(ofClient.some((file) => file.endsWith("commands-queue.js")));
  assert.deepEqual(
    ofClient.filter((file) => file.includes("/lib/commands/")),
    [],
  );
});

Deno.test("isSupported draws the line at Redis 6.2", () => {
  for (const version of ["6.2.0", "7.0.15", "8.1.0", "10.0.1", ""]) {
    assert.ok(isSupported(version), version);
  }
  for (const version of ["6.0.16", "5.0.7", "2.8.4"]) {
    assert.ok(!isSupported(version), version);
  }
});

Deno.test("Connection refuses what is no command, which no server would answer", async () => {
  await using server = await TestServer.start();
  await using connection = await Connection.connect(server.args);
  for (const args of [[], null, undefined, 5, "PING"]) {
    await assert.rejects(connection.command(args as never), {
      name: "TypeError",
      message: /^Cannot run a command: expected a list/,
    });
  }
  assert.equal(await connection.command(["PING"]), "PONG");
});
