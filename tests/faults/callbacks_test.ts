import assert from "node:assert/strict";
import { Bus, Connection, Event, type Logger } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";

/** The ways in which a function that somebody gives may go wrong. */
const WAYS: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new Error("no light bulb");
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
      await logger.line(/^error: .* has failed: .*no light bulb/);
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
