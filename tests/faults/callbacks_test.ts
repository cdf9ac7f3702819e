import assert from "node:assert/strict";
import {
  Bus,
  Connection,
  type Credentials,
  DeadLetters,
  Event,
  type Logger,
  type RedisBackendOptions,
  type Response,
} from "../../mod.ts";
import { Advertiser, Browser } from "../../src/zeroconf/mod.ts";
import { Client } from "../backend/action_client.ts";
import { letter } from "../redis/dead_letters.ts";
import { Listener } from "../listener.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";

/** The ways in which a function that somebody gives may go wrong. */
const WAYS: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new Error("no light bulb");
  },
  "throws a Symbol": () => {
    throw Symbol("no light bulb");
  },
  "throws what is no text": () => {
    throw Object.create(null);
  },
  rejects: () => Promise.reject(new Error("no light bulb")),
  "never answers": () => new Promise(() => {}),
};

/** Everything that is given a function and does not wait for what it returns. */
const PLACES: Readonly<
  Record<string, (fail: () => void, logger: LineLogger) => Promise<void>>
> = {
  "`onLost` of a connection": (onLost, logger) =>
    loseAndFind({ onLost, logger }),
  "`onReconnect` of a connection": (onReconnect, logger) =>
    loseAndFind({ onReconnect, logger }),
  "`onFailure` of a connection": async (onFailure, logger) => {
    const port = freePort();
    const connecting = Connection.connect({ port }, { onFailure, logger });
    await logger.line(/Cannot connect/);
    await using _server = await TestServer.start({ port });
    await using _connection = await connecting;
  },
  "the listener to a channel": (fail, logger) =>
    hearAll(logger, async (connection, server, heard) => {
      await connection.subscribe("news", (payload) => {
        heard(new TextDecoder().decode(payload));
        return fail();
      });
      // They come together.
      await server.run(
        "EVAL",
        "for _, text in ipairs(ARGV) do redis.call('PUBLISH', 'news', text) end",
        ...["0", "one", "two"],
      );
    }),
  "the listener to keys": (fail, logger) =>
    hearAll(logger, async (connection, server, heard) => {
      await connection.trackKeys((key) => {
        heard(key!);
        return fail();
      });
      await connection.command(["MGET", "one", "two"]);
      await server.run("MSET", "one", "1", "two", "2");
    }),
  "`onProgress` of dead letters": async (onProgress, logger) => {
    await using server = await TestServer.start();
    await server.run("RPUSH", "{a}:dead", letter("one"), letter("two"));
    await using dead = new DeadLetters(server.args, { queue: "a", logger });
    assert.equal(await dead.purge("all", { onProgress }), 2);
  },
  "`onChange` of a browser": async (onChange, logger) => {
    const interfaces = ["127.0.0.1"];
    const type = `_${crypto.randomUUID().slice(0, 13)}._tcp`;
    await using advertiser = new Advertiser({ interfaces, logger });
    await using browser = new Browser({ type, interfaces, onChange, logger });
    await browser.start();
    for (const name of ["one", "two"]) {
      await advertiser.register({ name, type, port: 1 });
    }
    await until(() => browser.services.length === 2);
  },
  "`onSkip` of a view": async (onSkip, logger) => {
    await using bus = new Bus({ name: crypto.randomUUID(), logger });
    using watch = bus.watch({ limit: 1, onSkip });
    const event = (): Event => new Event({ args: { type: "custom" } });
    await bus.post([event(), event(), event()]);
    await watch.next();
    const next = watch.next();
    await bus.post(event());
    assert.equal((await next).done, false);
  },
};

/** The same of what is waited for: the work fails, that is told, and the next goes on. */
const WAITED: Readonly<
  Record<string, (fail: () => unknown, logger: LineLogger) => Promise<void>>
> = {
  "A handler": async (fail, logger) => {
    await using bus = new Bus({ name: crypto.randomUUID(), logger });
    let calls = 0;
    bus.registerHandler(Event, () => calls++ === 0 ? fail() : undefined);
    const event = (): Event => new Event({ args: { type: "custom" } });
    const { handled } = await bus.post([event(), event()]);
    assert.deepEqual((await handled).map(({ index }) => index), [0]);
  },
  "An action": async (fail) => {
    const [failed, good] = await askTwice({}, fail);
    assert.match(String(failed!.errors[0]), /no light bulb/);
    assert.equal(good!.output, 1);
  },
  "A check of the token": async (fail) => {
    let calls = 0;
    const token = (): boolean => calls++ > 0 || fail() as boolean;
    const [failed, good] = await askTwice({ token });
    assert.deepEqual(failed!.errors, [
      "Refused: the token could not be checked",
    ]);
    assert.equal(good!.output, 1);
  },
  "`credential_provider`": async (fail, logger) => {
    await using server = await TestServer.start({ port: freePort() });
    let calls = 0;
    const credential_provider = (): Credentials =>
      calls++ === 0 ? fail() as Credentials : {};
    const args = { port: server.args.port!, credential_provider };
    await using connection = await Connection.connect(args, { logger });
    assert.equal(await connection.command(["PING"]), "PONG");
    await logger.line(/^warn: .*`credential_provider` has failed/);
  },
  "`greet` of a connection": async (fail, logger) => {
    await using server = await TestServer.start();
    const greet = async (): Promise<void> => void await fail();
    const connecting = Connection.connect(server.args, { greet, logger });
    await assert.rejects(connecting, /no light bulb/);
  },
};

/** Asks a backend twice to execute an action that fails once, if at all. */
async function askTwice(
  options: RedisBackendOptions,
  fail: () => unknown = () => 1,
): Promise<Response[]> {
  await using server = await TestServer.start();
  await using listener = new Listener(server, options);
  await using client = new Client(server);
  let calls = 0;
  listener.backend.registerAction("a", () => calls++ === 0 ? fail() : 1);
  await listener.backend.start();
  return [
    await client.ask("a", {}, { token: "x" }),
    await client.ask("a", {}, { token: "x" }),
  ];
}

/** Hears two things, while a command is on its way that is answered later. */
async function hearAll(
  logger: Logger,
  listen: (
    connection: Connection,
    server: TestServer,
    heard: (text: string) => void,
  ) => Promise<void>,
): Promise<void> {
  await using server = await TestServer.start();
  await using connection = await Connection.connect(server.args, { logger });
  const { id } = connection;
  const heard: string[] = [];
  await listen(connection, server, (text) => void heard.push(text));
  const options = { block: 90 };
  const waiting = connection.command(["BLPOP", "queue", "90"], options);
  await until(() => heard.length === 2);
  await server.run("RPUSH", "queue", "three");
  assert.deepEqual(await waiting, ["queue", "three"]);
  assert.deepEqual(heard, ["one", "two"]);
  assert.equal(connection.id, id);
}

/** Loses a connection, and uses it when it was found again. */
async function loseAndFind(
  options: { onLost?: () => void; onReconnect?: () => void; logger: Logger },
): Promise<void> {
  await using server = await TestServer.start();
  await using connection = await Connection.connect(server.args, options);
  const { id } = connection;
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await until(() => connection.isConnected && connection.id !== id);
  assert.equal(await connection.command(["PING"]), "PONG");
}

for (const [place, use] of Object.entries(PLACES)) {
  for (const [way, fail] of Object.entries(WAYS)) {
    Deno.test(`All goes on when ${place} ${way}, and it is said`, async () => {
      const logger = new LineLogger();
      await use(fail as () => void, logger);
      if (way === "never answers") return;
      await logger.line(
        /^error: .* has failed: .*(no light bulb|cannot be shown as text)/,
      );
    });
  }
}

for (const [place, use] of Object.entries(WAITED)) {
  for (const way of ["throws", "rejects"]) {
    Deno.test(`${place} that ${way} fails alone, and it is said`, async () => {
      await use(WAYS[way]!, new LineLogger());
    });
  }
}

for (const [way, fail] of Object.entries(WAYS)) {
  Deno.test(`All goes on when a logger ${way}`, async () => {
    const log = fail as () => void;
    const logger = { debug: log, info: log, warn: log, error: log };
    await loseAndFind({ logger });
    await PLACES["`onLost` of a connection"]!(
      fail as () => void,
      Object.assign(new LineLogger(), logger),
    );
  });
}
