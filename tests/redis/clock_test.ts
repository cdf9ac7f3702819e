import assert from "node:assert/strict";
import { DeadLetters, Inbox, type InboxOptions } from "../../src/redis/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { until } from "../until.ts";
import { open, queued, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const HOUR = 3_600_000;
const failed = [
  { index: 0, reason: "failed", error: new Error("the handler failed") },
] as const;

/** The time on the server, in milliseconds. */
async function time(server: TestServer): Promise<number> {
  const [seconds, microseconds] = await server.run<string[]>("TIME");
  return Number(seconds) * 1000 + Number(microseconds) / 1000;
}

/** Puts the scores of what pauses where a clock leaves them that goes back. */
async function setBack(server: TestServer): Promise<void> {
  const members = await server.run<string[]>("ZRANGE", RETRY, "0", "-1");
  assert.ok(members.length > 0);
  for (const member of members) {
    await server.run("ZINCRBY", RETRY, String(HOUR), member);
  }
}

const RETRY = "{queue}:retry";

Deno.test("Inbox tries a message again after its pause although the server's clock has gone back", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "one");
  await using inbox = await open(server, { retryPause: 0.5 });
  await (await nextBatch(inbox))!.settle(failed);
  await setBack(server);
  // Others that fail afterwards are due before it.
  await server.run("RPUSH", "queue", "two");
  await (await nextBatch(inbox))!.settle(failed);
  const seen: string[] = [];
  while (seen.length < 2) {
    const batch = await nextBatch(inbox);
    seen.push(...texts(batch));
    await batch!.settle();
  }
  assert.deepEqual(seen.toSorted(), ["one", "two"]);
  assert.equal(await server.run("EXISTS", RETRY), 0);
});

Deno.test("Inbox knows the longest pause of a message that tells none, and leaves what is due in time", async () => {
  await using server = await TestServer.start();
  const now = await time(server);
  const scores = {
    "a:1:1 1.1.0.0 old": now + HOUR,
    "b:1:1@60000 1.1.0.0 further": now + HOUR,
    "c:1:1@60000 1.1.0.0 in time": Math.round(now + 40_000),
  };
  for (const [member, score] of Object.entries(scores)) {
    await server.run("ZADD", RETRY, String(score), member);
  }
  await using inbox = await open(server);
  const scoreOf = async (member: keyof typeof scores): Promise<number> =>
    Number(await server.run("ZSCORE", RETRY, member));
  await until(async () => await scoreOf("a:1:1 1.1.0.0 old") < now + HOUR / 2);
  const within = (score: number, pause: number): boolean =>
    score >= Math.floor(now + pause) && score < now + pause + 20_000;
  assert.ok(within(await scoreOf("a:1:1 1.1.0.0 old"), 300_000));
  assert.ok(within(await scoreOf("b:1:1@60000 1.1.0.0 further"), 60_000));
  const inTime = "c:1:1@60000 1.1.0.0 in time";
  assert.equal(await scoreOf(inTime), scores[inTime]);
  assert.deepEqual(await queued(server), []);
  await inbox.stop(0);
});

Deno.test("Inbox puts back what a dead consumer had in hand although the server's clock has gone back", async () => {
  await using server = await TestServer.start();
  const lay = async (name: string, value: string): Promise<void> => {
    await server.run("HSET", "{queue}:consumers", name, "alive");
    await server.run("HSET", `{queue}:processing:${name}`, "1", "");
    await server.run("RPUSH", `{queue}:processing:${name}:1`, name);
    const lifetime = String(HOUR + 600);
    await server.run("SET", `{queue}:consumer:${name}`, value, "PX", lifetime);
  };
  await lay("dead", "600");
  // It does not say for how long its heartbeat counts.
  await lay("older", "1");
  await using living = await open(server, {
    maxInFlight: 1,
    batchSize: 1,
    heartbeatTimeout: 2 * HEARTBEAT,
  });
  const heartbeats = await server.run<string[]>("KEYS", "{queue}:consumer:c*");
  assert.equal(heartbeats.length, 1);
  await server.run("PEXPIRE", heartbeats[0]!, String(HOUR));
  await using other = await open(server, { paused: true });
  const batch = await nextBatch(living);
  assert.deepEqual(texts(batch), ["dead"]);
  // Who lives goes on beating, and is not taken for dead.
  for (let beat = 0; beat < 4; beat++) {
    const before = await server.run("GET", heartbeats[0]!);
    await until(async () => await server.run("GET", heartbeats[0]!) !== before);
  }
  await batch!.settle();
  assert.equal(living.stats().acknowledged, 1);
  const { reclaimed } = other.stats();
  assert.equal(living.stats().reclaimed + reclaimed, 1);
  assert.equal(await server.run("EXISTS", "{queue}:consumer:older"), 1);
});

/** Lets this host's clock be wrong by so many days. */
function wrongBy(days: number): Disposable {
  const { now } = Date;
  Date.now = () => now() + days * 24 * HOUR;
  return { [Symbol.dispose]: () => void (Date.now = now) };
}

/** The ways in which a message becomes a dead letter, with what one has to be like for it. */
const BURIALS: Record<
  string,
  { text: string; options?: Partial<InboxOptions> }
> = {
  "one of several": { text: "small" },
  "one that is taken at most once": {
    text: "small",
    options: { delivery: "at-most-once" },
  },
  "one that is too large": {
    text: "x".repeat(5000),
    options: { maxSize: 1024, maxDeadLetterBytes: 3000 },
  },
  "a text that is kept apart": {
    text: "x".repeat(5000),
    options: { maxDeadLetterBytes: 3000 },
  },
};

for (const [what, { text, options }] of Object.entries(BURIALS)) {
  for (const days of [-20_000, -40, 40]) {
    Deno.test(`Inbox keeps a dead letter as long as it should, ${what}, although its host's clock is ${days} days ahead`, async () => {
      await using server = await TestServer.start();
      const common = { queue: "queue", logger: new LineLogger(), ...options };
      const bury = async (): Promise<void> => {
        await server.run("RPUSH", "queue", text);
        await using inbox = await Inbox.open(server.args, common);
        const isTooLarge = options?.maxSize !== undefined;
        const batch = isTooLarge ? undefined : await nextBatch(inbox);
        await batch?.settle([
          { index: 0, reason: "malformed", error: new Error("wrong") },
        ]);
        await until(() => inbox.stats().deadLettered > 0);
        await inbox.stop();
      };
      {
        using _clock = wrongBy(days);
        await bury();
      }
      await bury();
      {
        // What this one buries makes room, if something is too old.
        using _clock = wrongBy(days);
        await bury();
      }
      await using dead = new DeadLetters(server.args, {
        queue: "queue",
      });
      const times = await Array.fromAsync(dead.list(), ({ time }) => time);
      assert.equal(times.length, 3);
      const now = await time(server) / 1000;
      for (const time of times) assert.ok(Math.abs(now - time) < 600);
      using _clock = wrongBy(days);
      assert.equal(await dead.purge({ olderThan: 1000 }), 0);
      assert.equal(await dead.purge({ newerThan: 1000 }), 3);
    });
  }
}
