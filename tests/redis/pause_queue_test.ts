import assert from "node:assert/strict";
import {
  Inbox,
  type InboxOptions,
  Outbox,
  pauseQueue,
  queueStatus,
  type RedisArgs,
  type RedisError,
  resumeQueue,
} from "../../src/redis/mod.ts";
import { calls, callsOf } from "../calls.ts";
import { ClusterSetup } from "../cluster.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { open, queued, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

/** A consumer that notes what it gets, and what it gets in spite of a pause. */
class Taker implements AsyncDisposable {
  readonly seen: string[] = [];
  readonly inSpite: string[] = [];
  isPaused = false;
  readonly #reading: Promise<void>;

  private constructor(readonly inbox: Inbox, readonly logger: LineLogger) {
    this.#reading = this.#read();
  }

  static async open(
    args: RedisArgs,
    options: Partial<InboxOptions> = {},
  ): Promise<Taker> {
    const logger = new LineLogger();
    const inbox = await Inbox.open(args, {
      queue: "queue",
      logger,
      ...options,
    });
    return new Taker(inbox, logger);
  }

  async #read(): Promise<void> {
    for (let batch; (batch = await this.inbox.next());) {
      if (this.isPaused) this.inSpite.push(...texts(batch));
      this.seen.push(...texts(batch));
      await batch.settle();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inbox.stop();
    await this.#reading;
  }
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`A queue is paused for all its consumers (${delivery}), and goes on in order`, async () => {
    await using server = await TestServer.start();
    await using one = await Taker.open(server.args, { delivery });
    await using other = await Taker.open(server.args, { delivery });
    const both = [one, other];
    assert.ok(await pauseQueue(server.args, { queue: "queue", by: "attic" }));
    const [line] = await Promise.all(
      both.map(({ logger }) => logger.line(/was paused/)),
    );
    assert.equal(
      line,
      'warn: "queue" was paused by attic: nothing more is taken from it until it is resumed.',
    );
    for (const taker of both) taker.isPaused = true;
    // A second pause changes nothing, and does not say who has paused it.
    assert.ok(!await pauseQueue(server.args, { queue: "queue", by: "hall" }));
    const { pause } = await queueStatus(server.args, { queue: "queue" });
    assert.equal(pause?.by, "attic");
    assert.ok(Math.abs(pause.since - Date.now() / 1000) < 60);

    await server.run("RPUSH", "queue", "1", "2", "3");
    await using late = await Taker.open(server.args, { delivery });
    await late.logger.line(/was paused/);
    late.isPaused = true;
    assert.deepEqual(await queued(server), ["1", "2", "3"]);
    await late[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    one.isPaused = false;
    assert.ok(await resumeQueue(server.args, { queue: "queue" }));
    assert.ok(!await resumeQueue(server.args, { queue: "queue" }));
    await until(() => one.seen.length === 3);
    assert.deepEqual(one.seen, ["1", "2", "3"]);
    assert.deepEqual(both.flatMap(({ inSpite }) => inSpite), []);
    assert.deepEqual(late.seen, []);
    const after = await queueStatus(server.args, { queue: "queue" });
    assert.equal(after.pause, undefined);
  });
}

Deno.test("What is in hand when a queue is paused is finished, and what was prefetched goes back", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", ..."abcdef");
  const logger = new LineLogger();
  await using inbox = await open(server, { batchSize: 2, logger });
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), ["a", "b"]);
  await pauseQueue(server.args, { queue: "queue" });
  await logger.line(/was paused/);
  await batch!.settle();
  await inbox.pause();
  assert.deepEqual(await queued(server), [..."cdef"]);
  inbox.resume();
  await resumeQueue(server.args, { queue: "queue" });
  const next = await nextBatch(inbox);
  assert.deepEqual(texts(next), ["c", "d"]);
  await next!.settle();
});

Deno.test("Nothing that is pushed after a pause is handed out, though nobody tells consumers of it", async () => {
  await using server = await TestServer.start();
  await server.run(
    ...["ACL", "SETUSER", "listener", "on", ">secret", "~*", "+@all"],
    "-client|tracking",
  );
  const args = { ...server.args, username: "listener", password: "secret" };
  await using taker = await Taker.open(args);
  await using backlog = await Taker.open(args, { batchSize: 2 });
  for (const each of [taker, backlog]) each.isPaused = true;
  await pauseQueue(server.args, { queue: "queue" });
  await server.run("RPUSH", "queue", ..."abcdef");
  for (const { logger } of [taker, backlog]) await logger.line(/was paused/);
  await until(async () => (await queued(server)).length === 6);
  // Two consumers may have moved one each at the same time.
  assert.deepEqual((await queued(server)).toSorted(), [..."abcdef"]);
  for (const each of [taker, backlog]) each.isPaused = false;
  await resumeQueue(server.args, { queue: "queue" });
  await until(() => taker.seen.length + backlog.seen.length === 6);
  assert.deepEqual([...taker.inSpite, ...backlog.inSpite], []);
});

Deno.test("Who is not told whether a queue goes on asks for nothing else", async () => {
  await using server = await TestServer.start();
  await server.run("ACL", "SETUSER", "default", "-client|tracking");
  // No beat asks for more.
  const options = { heartbeatTimeout: 3600 };
  await using taker = await Taker.open(server.args, options);
  await pauseQueue(server.args, { queue: "queue" });
  await server.run("RPUSH", "queue", "a");
  await taker.logger.line(/was paused/);
  await until(async () => (await queued(server)).length === 1);
  const { get = 0, zrange } = await calls(server);
  await until(async () => await callsOf(server, "get") >= get + 2);
  assert.equal(await callsOf(server, "zrange"), zrange);
  await resumeQueue(server.args, { queue: "queue" });
  await until(() => taker.seen.length === 1);
});

Deno.test("A pause concerns one queue of several, and survives restarts of everyone", async () => {
  await using server = await TestServer.startLasting();
  const options = { queue: ["queue", "other"] };
  await using taker = await Taker.open(server.args, options);
  await pauseQueue(server.args, { queue: "queue" });
  await taker.logger.line(/"queue" was paused/);
  await server.run("RPUSH", "queue", "paused");
  await server.run("RPUSH", "other", "1");
  await until(() => taker.seen.length === 1);
  await server.restart();
  await using second = await Taker.open(server.args, options);
  await server.run("RPUSH", "other", "2", "3");
  await until(() => taker.seen.length + second.seen.length === 3);
  assert.deepEqual(await queued(server), ["paused"]);
  await resumeQueue(server.args, { queue: "queue" });
  await until(() => taker.seen.length + second.seen.length === 4);
  assert.deepEqual(
    [...taker.seen, ...second.seen].toSorted(),
    ["1", "2", "3", "paused"],
  );
});

Deno.test("A pause that ends while a consumer is cut off is over when it is back", async () => {
  await using server = await TestServer.start();
  await using taker = await Taker.open(server.args);
  await pauseQueue(server.args, { queue: "queue" });
  await taker.logger.line(/was paused/);
  await server.run("RPUSH", "queue", "one");
  await server.run("MULTI");
  await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await server.run("DEL", "{queue}:paused");
  await server.run("EXEC");
  await until(() => taker.seen.length === 1);
});

Deno.test("Queues are paused in a cluster", async () => {
  await using setup = await ClusterSetup.start();
  const queues = ["one", "{jobs}:high", "{jobs}"];
  await using outbox = new Outbox(setup.args);
  await using taker = await Taker.open(setup.args, { queue: queues });
  for (const queue of queues) {
    await pauseQueue(setup.args, { queue });
    await taker.logger.line(new RegExp(`"${queue}" was paused`));
  }
  taker.isPaused = true;
  for (const queue of queues) await outbox.push(queue, queue);
  taker.isPaused = false;
  for (const queue of queues) {
    assert.ok(await resumeQueue(setup.args, { queue }));
  }
  await until(() => taker.seen.length === 3);
  assert.deepEqual(taker.inSpite, []);
});

Deno.test("Who may not pause a queue is told so, and who may not see it goes on", async () => {
  await using server = await TestServer.start();
  await server.run(
    ...["ACL", "SETUSER", "listener", "on", ">secret", "~queue", "+@all"],
    ...["~{queue}:[^p]*", "~{queue}:pr*"],
  );
  const args = { ...server.args, username: "listener", password: "secret" };
  await assert.rejects(
    pauseQueue(args, { queue: "queue" }),
    (error: RedisError) => error.code === "permission",
  );
  const options = { queue: "queue", delivery: "at-most-once" } as const;
  await using taker = await Taker.open(args, options);
  await server.run("RPUSH", "queue", "one");
  await until(() => taker.seen.length === 1);
});

Deno.test("Who may pause a queue is told that it was paused before, though not by whom", async () => {
  await using server = await TestServer.start();
  const rules = ["on", ">secret", "~*", "+@connection", "+set"];
  await server.run("ACL", "SETUSER", "pauser", ...rules);
  const args = { ...server.args, username: "pauser", password: "secret" };
  assert.equal(await pauseQueue(args, { queue: "queue", by: "me" }), true);
  assert.equal(await pauseQueue(args, { queue: "queue", by: "me" }), false);
});

Deno.test("A queue whose pause is no text is paused by somebody", async () => {
  await using server = await TestServer.start();
  await server.run("SET", "{queue}:paused", "by hand");
  await using taker = await Taker.open(server.args);
  await taker.logger.line(/was paused by somebody/);
  await server.run("RPUSH", "queue", "one");
  await server.run("DEL", "{queue}:paused");
  await until(() => taker.seen.length === 1);
});

Deno.test("pauseQueue does not take a key of another type for a pause", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "{queue}:paused", "x");
  await assert.rejects(pauseQueue(server.args, { queue: "queue", by: "me" }), {
    name: "RedisError",
    code: "wrong-type",
    message: /the key "{queue}:paused" is of another type than GET needs/,
  });
});
