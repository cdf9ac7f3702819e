import assert from "node:assert/strict";
import {
  Connection,
  Inbox,
  Outbox,
  queueStatus,
  type ScheduleOptions,
} from "../../src/redis/mod.ts";
import { deliverDelayed } from "../../src/redis/delayed.ts";
import { LATEST_LOOK } from "../../src/redis/due.ts";
import { QueueKeys } from "../../src/redis/queue_keys.ts";
import { calls } from "../calls.ts";
import { ClusterSetup } from "../cluster.ts";
import { inTime } from "../in_time.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { open, queued, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";
import { mostOf, watchScripts } from "./watch_scripts.ts";

const DELAYED = "{queue}:delayed";
const HOUR = 3_600_000;

/** Sends one message, whose text is its id. */
function send(
  outbox: Outbox,
  id: string,
  options: ScheduleOptions,
  queue = "queue",
): Promise<boolean> {
  return outbox.schedule(queue, [{ id, payload: id }], options);
}

/** Takes messages one after the other. */
async function take(inbox: Inbox, count: number): Promise<string[]> {
  const seen: string[] = [];
  while (seen.length < count) {
    const batch = await nextBatch(inbox);
    seen.push(...texts(batch));
    await batch!.settle();
  }
  return seen;
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`What is delayed comes when it is due, in that order (${delivery})`, async () => {
    await using server = await TestServer.start();
    await using outbox = new Outbox(server.args);
    await using inbox = await open(server, { delivery });
    const start = Date.now();
    assert.ok(await send(outbox, "third", { at: new Date(start + 4000) }));
    assert.ok(await send(outbox, "second", { delay: 0.5 }));
    assert.ok(await send(outbox, "past", { at: new Date(start - HOUR) }));
    assert.ok(await send(outbox, "now", { delay: 0 }));
    const { delayed, length } = await queueStatus(server.args, {
      queue: "queue",
    });
    assert.ok(delayed <= 2 && length <= 2);
    assert.deepEqual(
      await take(inbox, 4),
      ["past", "now", "second", "third"],
    );
    assert.ok(Date.now() - start >= 4000);
    assert.deepEqual(await server.run("EXISTS", DELAYED), 0);
  });
}

Deno.test("What is delayed survives restarts of everyone, and comes to one of several queues", async () => {
  await using server = await TestServer.startLasting();
  {
    await using outbox = new Outbox(server.args);
    await using _inbox = await open(server);
    await send(outbox, "one", { delay: 1 });
  }
  await server.restart();
  await using inbox = await open(server, { queue: ["other", "queue"] });
  assert.deepEqual(await take(inbox, 1), ["one"]);
  await using outbox = new Outbox(server.args);
  await send(outbox, "two", { delay: 0.2 });
  assert.deepEqual(await take(inbox, 1), ["two"]);
});

/** Lets the time until the latest look be over at once, as often as one is set. */
function hurry(): Disposable {
  const { setTimeout } = globalThis;
  globalThis.setTimeout =
    ((act: () => void, milliseconds?: number) =>
      setTimeout(
        act,
        milliseconds === LATEST_LOOK * 1000 ? 100 : milliseconds,
      )) as typeof setTimeout;
  return { [Symbol.dispose]: () => void (globalThis.setTimeout = setTimeout) };
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`What is delayed comes although nobody tells consumers of it (${delivery})`, async () => {
    await using server = await TestServer.start();
    await server.run(
      ...["ACL", "SETUSER", "listener", "on", ">secret", "~*", "+@all"],
      "-client|tracking",
    );
    await using outbox = new Outbox(server.args);
    const args = { ...server.args, username: "listener", password: "secret" };
    // At most once, there is no heartbeat that lets it look.
    using _ = delivery === "at-most-once" ? hurry() : undefined;
    await using untold = await Inbox.open(args, {
      queue: "untold",
      delivery,
      heartbeatTimeout: HEARTBEAT,
      logger: new LineLogger(),
    });
    await send(outbox, "one", { delay: 0.1 }, "untold");
    assert.deepEqual(await take(untold, 1), ["one"]);
  });
}

Deno.test("When the server's clock goes back, a delay ends all the same, and what has a time waits for it", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await send(outbox, "delay", { delay: 0.5 });
  await send(outbox, "at", { at: new Date(Date.now() + 2 * HOUR) });
  for (
    const member of await server.run<string[]>("ZRANGE", DELAYED, "0", "-1")
  ) {
    await server.run("ZINCRBY", DELAYED, String(HOUR), member);
  }
  await using inbox = await open(server);
  assert.deepEqual(await take(inbox, 1), ["delay"]);
  assert.equal(await server.run("ZCARD", DELAYED), 1);
});

Deno.test("A look after a message that waits asks the server for three things, and writes nothing", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await send(outbox, "later", { delay: 3600 });
  await using connection = await Connection.connect(server.args);
  const mover = deliverDelayed(new QueueKeys("queue"));
  // From then on the server knows the script.
  await mover.move(connection);
  await server.run("CONFIG", "RESETSTAT");
  assert.equal(await mover.move(connection), LATEST_LOOK);
  const { "config|resetstat": _, ...ran } = await calls(server);
  assert.deepEqual(ran, { evalsha: 1, time: 1, zrange: 2 });
});

/** Lays messages that are due in an hour. */
async function layAstray(
  server: TestServer,
  key: string,
  { first = 0, count, wait }: { first?: number; count: number; wait: number },
): Promise<void> {
  await server.run(
    "EVAL",
    `for i = 1, ${count} do redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[2] + i,
      (ARGV[2] + i) .. ':1@${wait} 1.1.0.0 ' .. (ARGV[2] + i)) end`,
    "1",
    key,
    String(Date.now() + HOUR),
    String(first),
  );
}

for (const key of [DELAYED, "{queue}:retry"]) {
  Deno.test(`However many are astray in ${key} since a clock was set, no script moves more than some of them`, async () => {
    await using server = await TestServer.start();
    // The first one is where it is to be.
    await layAstray(server, key, { count: 1, wait: 2 * HOUR });
    await layAstray(server, key, { first: 1, count: 5000, wait: 1000 });
    const scripts = await watchScripts(server, async () => {
      {
        await using _first = await open(server, { paused: true });
        await until(async () =>
          await server.run<number>("ZCOUNT", key, "0", `${Date.now() + 2000}`) >
            0
        );
      }
      await using inbox = await open(server);
      const seen = await take(inbox, 5000);
      assert.equal(new Set(seen).size, 5000);
    });
    assert.equal(await server.run("ZCARD", key), 1);
    assert.equal(mostOf("ZADD", scripts), 100);
    const push = key === DELAYED ? "RPUSH" : "LPUSH";
    assert.ok(mostOf(push, scripts) <= 200);
  });
}

/**
 * Lays 300 messages of which the last 150 and the first are astray, and none where a
 * look sees it once it has begun.
 */
async function layBetween(server: TestServer): Promise<void> {
  const late = { first: 1000, count: 1, wait: 100 * HOUR };
  await layAstray(server, DELAYED, { count: 1, wait: 60_000 });
  await layAstray(server, DELAYED, { first: 1, count: 149, wait: 2 * HOUR });
  await layAstray(server, DELAYED, { first: 150, count: 150, wait: 60_000 });
  await layAstray(server, DELAYED, late);
  await server.run(
    "ZINCRBY",
    DELAYED,
    String(HOUR),
    "1001:1@360000000 1.1.0.0 1001",
  );
}

/** Counts those that are due further away than in half an hour. */
function countLate(server: TestServer): Promise<number> {
  const soon = String(Date.now() + HOUR / 2);
  return server.run<number>("ZCOUNT", DELAYED, soon, "inf");
}

Deno.test("All that is astray is moved, although somebody looks twice at the same time", async () => {
  await using server = await TestServer.start();
  await using connection = await Connection.connect(server.args);
  const mover = deliverDelayed(new QueueKeys("queue"));
  // From then on the server knows the script.
  assert.equal(await mover.move(connection), Infinity);
  await layBetween(server);
  const move = (): Promise<number> => mover.move(connection);
  while ((await Promise.all([move(), move()])).includes(0));
  assert.equal(await countLate(server), 150);
});

Deno.test("All that is astray is moved, although others take what is due meanwhile", async () => {
  await using server = await TestServer.start();
  await layBetween(server);
  await using connection = await Connection.connect(server.args);
  const mover = deliverDelayed(new QueueKeys("queue"));
  assert.equal(await mover.move(connection), 0);
  assert.equal(await server.run("ZREMRANGEBYRANK", DELAYED, "0", "79"), 80);
  while (await mover.move(connection) === 0);
  assert.equal(await countLate(server), 150 - 79);
});

Deno.test("A delay between what has a time begins anew where the server's clock goes back, too", async () => {
  await using server = await TestServer.start();
  await layAstray(server, DELAYED, { count: 1, wait: 100 * HOUR });
  await layAstray(server, DELAYED, { first: 1, count: 1, wait: 1000 });
  await layAstray(server, DELAYED, { first: 2, count: 1, wait: 100 * HOUR });
  const mover = deliverDelayed(new QueueKeys("queue"));
  await mover.move(server.redis);
  assert.equal(await countLate(server), 3);
  // As if the clock had been an hour ahead at that look.
  const setBack = {
    script: (script, keys, args, options) => {
      const time = String(Number(args!.at(-1)) + HOUR);
      return server.redis.script(script, keys, args!.with(-1, time), options);
    },
  } as Pick<Connection, "script">;
  await mover.move(setBack as Connection);
  assert.equal(await countLate(server), 2);
});

for (
  const { key, ours } of [
    { key: DELAYED, ours: (text: string) => `${text}:1@1000 ${text}` },
    { key: "{queue}:retry", ours: (text: string) => `1:1 1.1.0.0 ${text}` },
  ]
) {
  Deno.test(`What somebody has laid into ${key} by hand comes as it is, and takes nothing with it`, async () => {
    await using server = await TestServer.start();
    const byHand = '{"type": "event", "args": {"type": "x@1 y"}}';
    const members = [ours("a"), byHand, ours("b"), "word", ours("c")];
    for (const [score, member] of members.entries()) {
      await server.run("ZADD", key, String(1000 + score), member);
    }
    await using inbox = await open(server);
    assert.deepEqual(await take(inbox, 5), ["a", byHand, "b", "word", "c"]);
    assert.equal(await server.run("EXISTS", key, "{queue}:deliveries"), 0);
  });
}

Deno.test("No script moves more bytes of what is due than a few large messages have", async () => {
  await using server = await TestServer.start();
  for (let number = 0; number < 8; number++) {
    const member = `${number}:1@1 ${number}${"x".repeat(2 ** 17)}`;
    await server.run("ZADD", DELAYED, "1", member);
  }
  const scripts = await watchScripts(server, async () => {
    await using inbox = await open(server);
    assert.equal(new Set(await take(inbox, 8)).size, 8);
  });
  assert.equal(mostOf("RPUSH", scripts), 2);
});

Deno.test("What is delayed can be cancelled by its id until it is due", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const strange = 'a b:c@1000 *["\n';
  for (const id of ["one", "on", strange]) {
    await send(outbox, id, { delay: 3600 });
  }
  assert.ok(await outbox.cancel("queue", strange));
  assert.ok(await outbox.cancel("queue", "on"));
  assert.ok(!await outbox.cancel("queue", "on"));
  assert.equal(await server.run("ZCARD", DELAYED), 1);
  assert.ok(await outbox.cancel("queue", "one"));
  assert.equal(await server.run("EXISTS", DELAYED), 0);
});

Deno.test("What was cancelled is told also where the server gives up in the middle", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  await using outbox = new Outbox({ port: proxy.port });
  await layAstray(server, DELAYED, { count: 3000, wait: HOUR });
  await outbox.cancel("queue", "none");
  const loading = "-LOADING Redis is loading the dataset in memory\r\n";
  for (const id of ["1", "500", "1000", "1500", "2000", "2500"]) {
    // What the server says after it has removed the message.
    void proxy.forge(":1\r\n", (answer) => {
      void proxy.forge("*2\r\n", () => loading);
      return answer;
    });
    assert.equal(await outbox.cancel("queue", id), true);
  }
  assert.equal(await server.run("ZCARD", DELAYED), 2994);
});

Deno.test("However many are delayed, the server looks through some at a time for one that is cancelled", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  await layAstray(server, DELAYED, { count: 3000, wait: HOUR });
  await send(outbox, "*", { delay: 3600 });
  const scripts = await watchScripts(server, async () => {
    assert.ok(await outbox.cancel("queue", "2500"));
    assert.ok(await outbox.cancel("queue", "*"));
    assert.ok(!await outbox.cancel("queue", "5000"));
  });
  assert.equal(scripts.length, 0);
  assert.equal(await server.run("ZCARD", DELAYED), 2999);
});

Deno.test("Of messages with a key, one is sent in its time, also with a delay", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const door = { deduplicate: "door", deduplicateFor: 0.5 };
  assert.ok(await send(outbox, "1", door));
  assert.ok(!await send(outbox, "2", door));
  assert.ok(await send(outbox, "3", { ...door, deduplicate: "window" }));
  assert.ok(await send(outbox, "4", door, "other"));
  assert.deepEqual(await queued(server), ["1", "3"]);
  await until(() => send(outbox, "5", door));
  const late = { ...door, deduplicate: "late", delay: 3600 };
  assert.ok(await send(outbox, "6", late));
  assert.ok(!await send(outbox, "7", late));
  const left = await server.run<number>("PTTL", "{queue}:duplicates:late");
  assert.ok(left > HOUR - 60_000 && left <= HOUR + 500, String(left));
  assert.deepEqual(await queued(server), ["1", "3", "5"]);
  // The clock was further when it was sent: it would keep others out for longer.
  await server.run(
    "SET",
    "{queue}:duplicates:late",
    `${Date.now() + HOUR}@500`,
  );
  assert.ok(await send(outbox, "8", { ...late, delay: 0 }));
});

Deno.test("Many send at once with one key, and one of them is heard", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const sent = await Promise.all(
    Array.from(
      { length: 100 },
      (_, n) => send(outbox, `${n}`, { deduplicate: "door" }),
    ),
  );
  assert.equal(sent.filter(Boolean).length, 1);
  assert.equal((await queued(server)).length, 1);
});

Deno.test("Times that make no sense are refused, and nothing is sent", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const bad = (options: object): Promise<boolean> =>
    send(outbox, "x", options as ScheduleOptions);
  await assert.rejects(bad({ delay: -1 }), /`delay` is -1, expected a number/);
  await assert.rejects(bad({ delay: 1e9 }), /31536000, a year/);
  await assert.rejects(bad({ at: new Date(NaN) }), TypeError);
  await assert.rejects(bad({ at: "tomorrow" }), TypeError);
  await assert.rejects(
    bad({ at: new Date(Date.now() + 1e12) }),
    /Cannot send to "queue": it would be due in more than 31536000 s, a year/,
  );
  await assert.rejects(
    bad({ delay: 1, at: new Date() }),
    /`delay` and `at` say both when it is due/,
  );
  await assert.rejects(bad({ deduplicate: "" }), TypeError);
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("Who sends later needs what the guide says", async () => {
  await using server = await TestServer.start();
  const guide = await Deno.readTextFile(
    new URL("../../docs/redis.md", import.meta.url),
  );
  const [, more] = /^`(\+eval \+evalsha [^`]*)`/m.exec(guide)!;
  await server.run(
    ...["ACL", "SETUSER", "sender", "on", ">secret", "~queue", "~{queue}:*"],
    ...["+hello", "+ping", "+rpush", ...more!.split(" ")],
  );
  const args = { ...server.args, username: "sender", password: "secret" };
  await using outbox = new Outbox(args);
  await using inbox = await open(server);
  await send(outbox, "x", { delay: 0.1, deduplicate: "door" });
  assert.deepEqual(await take(inbox, 1), ["x"]);
});

Deno.test("Nothing is kept of a message that cannot be sent", async () => {
  await using server = await TestServer.start();
  await server.run(
    ...["ACL", "SETUSER", "sender", "on", ">secret", "~*", "+@all"],
    ...["-rpush", "-zadd"],
  );
  const args = { ...server.args, username: "sender", password: "secret" };
  await using outbox = new Outbox(args);
  for (const options of [{ delay: 1 }, {}]) {
    await assert.rejects(
      send(outbox, "x", { ...options, deduplicate: "door" }),
      { code: "permission", refused: "command" },
    );
  }
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("What is delayed lies in the set or the queue, whatever is refused", async () => {
  await using server = await TestServer.start();
  for (const refused of ["rpush", "zrem", "zremrangebyrank", "zadd", "hdel"]) {
    await server.run("FLUSHALL");
    await using outbox = new Outbox(server.args);
    await send(outbox, "x", { delay: 0.01 });
    await server.run(
      ...[
        "ACL",
        "SETUSER",
        "listener",
        "reset",
        "on",
        ">secret",
        "~*",
        "+@all",
      ],
    );
    const args = { ...server.args, username: "listener", password: "secret" };
    await server.run("ACL", "SETUSER", "listener", `-${refused}`);
    await until(async () =>
      await server.run("ZCOUNT", DELAYED, "0", `${Date.now()}`) === 1
    );
    await using connection = await Connection.connect(args);
    const delayed = deliverDelayed(new QueueKeys("queue"));
    await delayed.move(connection).catch(() => {});
    const places = [
      ...await queued(server),
      ...await server.run<string[]>("ZRANGE", DELAYED, "0", "-1"),
    ];
    assert.equal(places.length, 1, `${refused}: ${places}`);
    assert.match(places[0]!, /x$/);
  }
});

Deno.test("What is delayed comes in a cluster", async () => {
  await using setup = await ClusterSetup.start();
  await using outbox = new Outbox(setup.args);
  const queues = ["one", "{jobs}:high"];
  await using inbox = await Inbox.open(setup.args, {
    queue: queues,
    logger: new LineLogger(),
  });
  for (const queue of queues) {
    const options = { delay: 0.2, deduplicate: "once" };
    assert.ok(await send(outbox, queue, options, queue));
    assert.ok(!await send(outbox, queue, options, queue));
  }
  const seen = await inTime(take(inbox, 2), "both come");
  assert.deepEqual(seen.toSorted(), queues.toSorted());
});

Deno.test("What is delayed comes although the server has refused when it was due", async () => {
  await using server = await TestServer.start();
  await using outbox = new Outbox(server.args);
  const logger = new LineLogger();
  // Nobody looks by the clock.
  await using inbox = await open(server, { logger, heartbeatTimeout: 3600 });
  await send(outbox, "one", { delay: 2 });
  await server.run("CONFIG", "SET", "min-replicas-to-write", "1");
  await logger.line(/NOREPLICAS/);
  await server.run("CONFIG", "SET", "min-replicas-to-write", "0");
  assert.deepEqual(await take(inbox, 1), ["one"]);
});
