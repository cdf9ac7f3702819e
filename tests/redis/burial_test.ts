import assert from "node:assert/strict";
import {
  Connection,
  type Inbox,
  type InboxOptions,
  type RedisArgs,
  RedisError,
} from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { buryMany, DEAD, open as openDead } from "./dead_letters.ts";
import { numbers, open } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";
import { mostOf, watchScripts } from "./watch_scripts.ts";

const error = new Error("cannot handle it");

/** Says how a server refuses a burial, and how it does so no more. */
const REFUSALS: Record<
  string,
  { begin: string[]; end: string[]; report: RegExp }
> = {
  "is out of memory": {
    begin: ["CONFIG", "SET", "maxmemory", "1"],
    end: ["CONFIG", "SET", "maxmemory", "0"],
    report:
      /^warn: Cannot bury what could not be handled of "queue".*memory.* Trying again\.$/,
  },
  "has lost a right": {
    begin: ["ACL", "SETUSER", "listener", "-rpush"],
    end: ["ACL", "SETUSER", "listener", "+rpush"],
    report: /^error: Cannot bury .*ACL SETUSER.* Trying again\.$/,
  },
  "has something else at the key": {
    begin: ["SET", DEAD, "no list"],
    end: ["DEL", DEAD],
    report: /^error: Cannot bury .*the key "\{queue\}:dead" is a string/,
  },
};

async function createUser(server: TestServer): Promise<RedisArgs> {
  await server.run(
    "ACL",
    "SETUSER",
    "listener",
    "on",
    ">s",
    "~*",
    "&*",
    "+@all",
  );
  return { ...server.args, username: "listener", password: "s" };
}

async function openOnce(
  server: TestServer,
  logger: LineLogger,
  options: Partial<InboxOptions> = {},
): Promise<Inbox> {
  const args = await createUser(server);
  return await open({ args } as TestServer, {
    delivery: "at-most-once",
    batchSize: 1,
    logger,
    ...options,
  });
}

/** Lets as many messages fail, one after the other. */
async function fail(
  server: TestServer,
  inbox: Inbox,
  messages: readonly string[],
): Promise<void> {
  for (const message of messages) {
    await server.run("RPUSH", "queue", message);
    const batch = await nextBatch(inbox);
    await inTime(
      batch!.settle([{ index: 0, reason: "failed", error }]),
      "it is settled although the server refuses",
    );
  }
}

async function buried(server: TestServer): Promise<string[]> {
  await using dead = openDead(server);
  return await Array.fromAsync(
    dead.list(),
    ({ payload }) => new TextDecoder().decode(payload),
  );
}

for (const [how, { begin, end, report }] of Object.entries(REFUSALS)) {
  Deno.test(`What failed is kept while the server ${how}, and buried afterwards, when it is taken at most once`, async () => {
    await using server = await TestServer.start();
    const logger = new LineLogger();
    await using inbox = await openOnce(server, logger);
    await fail(server, inbox, ["before"]);
    // What waits is there before the server refuses, and one by one.
    await server.run("RPUSH", "queue", "a", "b", "c");
    const batches = [];
    while (batches.length < 3) batches.push(await nextBatch(inbox));
    await server.run(...begin);
    for (const batch of batches) {
      await batch!.settle([{ index: 0, reason: "failed", error }]);
    }
    await logger.line(report);
    assert.equal(inbox.stats().deadLettered, 1);
    await server.run(...end);
    await logger.line(/^info: Buried 3 messages of "queue" that had to wait/);
    const expected = how === "has something else at the key"
      ? ["a", "b", "c"]
      : ["before", "a", "b", "c"];
    assert.deepEqual(await buried(server), expected);
    assert.equal(inbox.stats().deadLettered, 4);
    assert.equal(inbox.stats().deadLettersLost, 0);
    await inbox.stop();
    assert.ok(!logger.lines.some((line) => /Lost/.test(line)));
  });
}

Deno.test("Who stops while the server refuses makes a last attempt, and says what is lost", async () => {
  for (const isRefused of [false, true]) {
    await using server = await TestServer.start();
    const logger = new LineLogger();
    await using inbox = await openOnce(server, logger);
    await server.run("SET", DEAD, "no list");
    await fail(server, inbox, ["a", "b"]);
    if (!isRefused) await server.run("DEL", DEAD);
    await inbox.stop();
    const lost = logger.lines.filter((line) =>
      /^error: .*Lost 2 messages of "queue", which could not be handled/
        .test(line)
    );
    assert.equal(lost.length, isRefused ? 1 : 0, logger.lines.join("\n"));
    assert.equal(inbox.stats().deadLettersLost, isRefused ? 2 : 0);
    if (!isRefused) assert.deepEqual(await buried(server), ["a", "b"]);
  }
});

Deno.test("What cannot be buried keeps to the limits of dead letters, and the oldest is lost", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await openOnce(server, logger, { maxDeadLetters: 5 });
  await server.run("SET", DEAD, "no list");
  await fail(server, inbox, numbers(8));
  await logger.line(/^error: More wait .*Lost 1 message of "queue"/);
  assert.equal(inbox.stats().deadLettersLost, 3);
  await server.run("DEL", DEAD);
  await until(async () => (await buried(server)).length === 5);
  assert.deepEqual(await buried(server), numbers(5, 3));
  await inbox.stop();
});

Deno.test("A large text that cannot be buried pushes out no other, and leaves nothing on the server", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await openOnce(server, logger, {
    maxDeadLetterBytes: 10_000,
  });
  await server.run("SET", DEAD, "no list");
  const large = ["x", "y", "z"].map((letter) => letter.repeat(20_000));
  await fail(server, inbox, ["a", large[0]!, "b", large[1]!, large[2]!, "c"]);
  await logger.line(/^error: More wait .*Lost 1 message of "queue"/);
  // The newest of the large ones is kept; of the others, reason and size.
  assert.equal(inbox.stats().deadLettersLost, 2);
  await until(async () =>
    (await server.run<string[]>("KEYS", "*")).join() === DEAD
  );
  await server.run("DEL", DEAD);
  await logger.line(/^info: Buried 6 messages of "queue"/);
  assert.deepEqual(await buried(server), ["a", "", "b", "", "", "c"]);
  await using dead = openDead(server);
  assert.equal(await dead.requeue("all"), 4);
  await inbox.stop();
});

/** Lets the connection break once, after the server has done what a script says. */
function loseAnswer(part: string): Disposable {
  const { script } = Connection.prototype;
  let isLost = false;
  Connection.prototype.script = async function (
    this: Connection,
    ...args
  ): Promise<unknown> {
    const reply = await script.apply(this, args);
    if (isLost || !args[0].lua.includes(part)) return reply;
    isLost = true;
    throw new RedisError("The answer is lost", "connection", {
      mayHaveRun: true,
    });
  } as typeof script;
  return {
    [Symbol.dispose]: () => void (Connection.prototype.script = script),
  };
}

Deno.test("A burial whose answer is lost is not done twice", async () => {
  await using server = await TestServer.start();
  await using inbox = await openOnce(server, new LineLogger());
  using _ = loseAnswer("where they may be there already");
  await fail(server, inbox, ["a", "b"]);
  await until(() => inbox.stats().deadLettered === 2);
  assert.deepEqual(await buried(server), ["a", "b"]);
  assert.equal(await server.run("LLEN", DEAD), 2);
  await inbox.stop();
});

Deno.test("What may be buried already is looked for at once, the newest first", async () => {
  await using server = await TestServer.start();
  await using inbox = await openOnce(server, new LineLogger(), {
    batchSize: 100,
  });
  await buryMany(server, 2000);
  using _ = loseAnswer("where they may be there already");
  const messages = numbers(100);
  await server.run("RPUSH", "queue", ...messages);
  const scripts = await watchScripts(server, async () => {
    for (let left = 100; left > 0;) {
      const batch = await nextBatch(inbox);
      left -= batch!.payloads.length;
      await batch!.settle(
        batch!.payloads.map((_, index) => ({ index, reason: "failed", error })),
      );
    }
    await until(() => inbox.stats().deadLettered === 100);
  });
  assert.deepEqual((await buried(server)).slice(2000), messages);
  const looks = mostOf("LRANGE", scripts);
  assert.ok(looks < 50, `${looks} looks at the list`);
  await inbox.stop();
});
