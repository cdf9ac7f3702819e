import assert from "node:assert/strict";
import { Connection, RedisError } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";

const decoder = new TextDecoder();

for (const protocol of [2, 3] as const) {
  Deno.test(`Connection listens to a channel again after each loss (RESP${protocol})`, async () => {
    const port = freePort();
    await using server = await TestServer.start({ port });
    const heard: string[] = [];
    let [lost, found] = [0, 0];
    await using connection = await Connection.connect(
      // Pings would end a connection that subscribes, were they not understood.
      {
        host: "127.0.0.1",
        port,
        protocol,
        health_check_interval: 0.2,
        socket_timeout: 60,
      },
      { onLost: () => lost++, onReconnect: () => found++ },
    );
    await connection.subscribe(
      "news",
      (payload) => heard.push(decoder.decode(payload)),
    );
    await server.run("PUBLISH", "news", "one");
    await until(() => heard.length === 1);
    const { id } = connection;
    for (let kills = 1; kills <= 3; kills++) {
      await server.run("CLIENT", "KILL", "TYPE", "pubsub");
      await until(() => found === kills);
      await connection.ready();
      await server.run("PUBLISH", "news", `after ${kills}`);
      await until(() => heard.length === kills + 1);
    }
    assert.deepEqual(heard, ["one", "after 1", "after 2", "after 3"]);
    assert.equal(lost, 3);
    // Long enough for some pings: it is not lost by them.
    await until(async () => {
      const clients = await server.run<string>(
        "CLIENT",
        "LIST",
        "TYPE",
        "pubsub",
      );
      return / idle=[12] /.test(clients) || / age=[1-9]/.test(clients);
    });
    assert.equal(lost, 3);
    assert.notEqual(connection.id, id);
  });
}

for (
  const [what, begin] of [
    ["listens", (one: Connection) => one.subscribe("news", () => {})],
    ["tracks keys", (one: Connection) => one.trackKeys(() => {})],
  ] as const
) {
  Deno.test(`A connection that ${what} reports a loss while it does so again as a loss`, async () => {
    await using server = await TestServer.start();
    const logger = new LineLogger();
    const failures: Error[] = [];
    let greetings = 0;
    await using connection = await Connection.connect(server.args, {
      logger,
      onFailure: (error) => failures.push(error),
      greet: async (send) => {
        if (++greetings !== 2) return;
        // The server answers, and ends the connection after that.
        const id = String(await send(["CLIENT", "ID"]));
        await send(["CLIENT", "KILL", "ID", id, "SKIPME", "no"]);
      },
    });
    await begin(connection);
    connection.renew();
    await inTime(connection.ready(), "the third connection");
    assert.equal(greetings, 3);
    assert.deepEqual(
      failures.map((error) => error instanceof RedisError && error.code),
      ["connection"],
    );
    assert.deepEqual(
      logger.lines.filter((line) => line.startsWith("error:")),
      [],
    );
  });
}

Deno.test("Connection says why it may not listen to a channel", async () => {
  await using server = await TestServer.start();
  await server.run(
    ...["ACL", "SETUSER", "deaf", "on", "nopass", "~*", "+@all"],
    "resetchannels",
  );
  await using connection = await Connection.connect({
    ...server.args,
    username: "deaf",
    password: "any",
  });
  await assert.rejects(
    inTime(connection.subscribe("news", () => {}), "the refusal"),
    (error: RedisError) =>
      error.code === "permission" &&
      /^Cannot listen to "news" at /.test(error.message),
  );
});

for (const protocol of [2, 3] as const) {
  Deno.test(`Connection tells a listener nothing more once it closes (RESP${protocol})`, async () => {
    await using server = await TestServer.start();
    await using connection = await Connection.connect(
      { ...server.args, protocol },
      { logger: new LineLogger() },
    );
    const heard: string[] = [];
    const closed = Promise.withResolvers<void>();
    await connection.subscribe("news", (payload) => {
      heard.push(new TextDecoder().decode(payload));
      void connection.close().then(closed.resolve);
    });
    // Both come together.
    await server.run(
      ...["EVAL", "for i = 1, 2 do redis.call('PUBLISH', 'news', i) end", "0"],
    );
    await closed.promise;
    assert.deepEqual(heard, ["1"]);
  });
}
