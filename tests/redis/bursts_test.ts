import assert from "node:assert/strict";
import type { Inbox, InboxOptions } from "../../src/redis/mod.ts";
import { callsOf } from "../calls.ts";
import { LateProxy } from "../late_proxy.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import type { LoopbackServer } from "../loopback_server.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { numbers, open, queued, texts } from "./inboxes.ts";
import { blocked, nextBatch } from "./next_batch.ts";

const HELD = "{queue}:processing:*:*";

/** A heartbeat that is rare: it looks for what was lost, too, and is not to be what helps. */
const RARE = { heartbeatTimeout: 10 };

/** A message that has an id and a time of its own. */
function complete(name: string): string {
  return JSON.stringify({ id: name, _timestamp: 1 });
}

/** Lets three messages come at once, until that many are asked for. */
async function expectThree(
  server: TestServer,
  inbox: Inbox,
  queue = "queue",
): Promise<void> {
  // What is there from the start is taken by a script.
  await server.run("RPUSH", queue, complete("w"));
  await take(inbox, 1);
  for (let batches = 0; batches !== 1;) {
    await server.run("RPUSH", queue, ...["x", "y", "z"].map(complete));
    batches = (await take(inbox, 3)).length;
  }
}

/** Settles so many messages; gives them in the batches that they came in. */
async function take(inbox: Inbox, count: number): Promise<string[][]> {
  const batches: string[][] = [];
  while (batches.flat().length < count) {
    const batch = await nextBatch(inbox);
    batches.push(texts(batch));
    await batch!.settle();
  }
  return batches;
}

/** Opens an inbox whose connections go through a proxy. */
function openThrough(
  { port }: LoopbackServer,
  options?: Partial<InboxOptions>,
): Promise<Inbox> {
  return open({ args: { port } }, options);
}

Deno.test("Who has waited for nothing asks for one message again, however many came before", async () => {
  await using server = await TestServer.start({ port: freePort() });
  // Without the right to end a wait, each is short.
  const rules = ["on", ">x", "~*", "+@all", "-client|unblock"];
  await server.run("ACL", "SETUSER", "user", ...rules);
  const args = { ...server.args, username: "user", password: "x" };
  await using inbox = await open({ args }, RARE);
  await expectThree(server, inbox);
  const waits = async (count: number): Promise<void> => {
    const begin = await callsOf(server, "blmove");
    await until(async () => await callsOf(server, "blmove") >= begin + count);
  };
  const waiting = nextBatch(inbox);
  await waits(2);
  const before = await callsOf(server, "lmove");
  await waits(2);
  assert.equal(await callsOf(server, "lmove"), before);
  await server.run("RPUSH", "queue", complete("end"));
  await (await waiting)!.settle();
});

for (const queue of ["queue", ["other", "queue"]]) {
  const name = typeof queue === "string" ? "one queue" : "several queues";
  Deno.test(`Messages that come together are taken together, in their order (${name})`, async () => {
    await using server = await TestServer.start();
    await using inbox = await open(server, { queue });
    await expectThree(server, inbox);
    const scripts = await callsOf(server, "evalsha");
    const asked = await callsOf(server, "exists");
    const goal = numbers(30).map(complete);
    const seen: string[] = [];
    for (let at = 0; at < goal.length; at += 3) {
      await server.run("RPUSH", "queue", ...goal.slice(at, at + 3));
      while (seen.length < at + 3) {
        const batch = await nextBatch(inbox);
        const lists = await server.run<string[]>("KEYS", HELD);
        assert.equal(lists.length, 1);
        seen.push(...texts(batch));
        await batch!.settle();
      }
    }
    assert.deepEqual(seen, goal);
    assert.equal(await callsOf(server, "evalsha"), scripts);
    assert.ok(await callsOf(server, "exists") - asked < goal.length);
    await until(async () =>
      (await server.run<string[]>("KEYS", HELD)).length === 0
    );
  });
}

Deno.test("Messages that were taken together go back in their order, with their ids, when their consumer dies", async () => {
  await using server = await TestServer.start();
  const dying = await open(server);
  await expectThree(server, dying);
  await blocked(server);
  await server.run("RPUSH", "queue", ..."abc");
  const batch = await nextBatch(dying);
  assert.deepEqual(texts(batch), [..."abc"]);
  await dying.pause();
  await server.run("RPUSH", "queue", "d");
  // Nothing is left of it but what it had in hand.
  const beats = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", ...beats);
  await using inbox = await open(server, { paused: true });
  await until(() => inbox.stats().reclaimed === 3);
  assert.deepEqual(await queued(server), [..."abcd"]);
  inbox.resume();
  const again = await nextBatch(inbox);
  assert.deepEqual(texts(again), [..."abcd"]);
  assert.deepEqual(again!.deliveries, [1, 1, 1, 0]);
  const { prefix } = batch!.identities;
  const { known } = again!.identities;
  const ids = [0, 1, 2].map((index) => known[index]?.id);
  assert.deepEqual(
    ids,
    ["0", "1", "2"].map((end) => prefix + end.padStart(10, "0")),
  );
  await again!.settle();
  await dying.stop(0);
});

Deno.test("Nothing is lost when the connection breaks among messages that come together", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  await using inbox = await openThrough(proxy, RARE);
  await expectThree(server, inbox);
  await blocked(server);
  const [first, second, third] = [..."abc"].map(complete);
  // Only the first of the three answers arrives.
  const begun = proxy.forge(first!, (answer) => {
    assert.ok(answer.includes(second!));
    return answer.slice(0, answer.indexOf(first!) + first!.length + 2);
  });
  await server.run("RPUSH", "queue", first!, second!, third!);
  await begun;
  proxy.cut();
  const seen = (await take(inbox, 3)).flat();
  assert.deepEqual(seen, [first, second, third]);
  await until(() => inbox.stats().inFlight === 0);
  assert.equal(inbox.stats().redelivered, 0);
});

/** Answers the move of a message with an error, although it was moved. */
function hide(proxy: TcpProxy, message: string): Promise<void> {
  return proxy.forge(
    message,
    (answer) => answer.replace(`$${message.length}\r\n${message}`, "-ERR"),
  );
}

Deno.test("A message is found whose move was answered with an error that says nothing", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  await using inbox = await openThrough(proxy);
  await blocked(server);
  const message = complete("a");
  const forged = hide(proxy, message);
  await server.run("RPUSH", "queue", message);
  await inTime(forged, "an answer is forged");
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), [message]);
  await batch!.settle();
});

Deno.test("A message is found whose move was answered with an error, among others that came", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  await using inbox = await openThrough(proxy);
  await expectThree(server, inbox);
  await blocked(server);
  const sent = [..."abc"].map(complete);
  const forged = hide(proxy, sent[0]!);
  await server.run("RPUSH", "queue", ...sent);
  await inTime(forged, "an answer is forged");
  const seen = (await take(inbox, 3)).flat();
  assert.deepEqual(seen, sent);
});

Deno.test("Nothing is lost or stays behind when a server only refuses to tell what it knows", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new TcpProxy(port);
  const logger = new LineLogger();
  await using inbox = await openThrough(proxy, { ...RARE, logger });
  const messages = [..."abcdef"].map(complete);
  for (const message of messages) {
    await blocked(server);
    // A cluster says so while a slot moves to another node.
    const forged = proxy.forge(message, (answer) => {
      assert.match(answer, /:1\r\n$/);
      return answer.replace(/:1\r\n$/, "-TRYAGAIN Multiple keys request\r\n");
    });
    await server.run("RPUSH", "queue", message);
    await inTime(forged, "an answer is forged");
    const batch = await nextBatch(inbox);
    assert.deepEqual(texts(batch), [message]);
    await batch!.settle();
  }
  const announced = async (): Promise<string[]> => {
    const [key] = await server.run<string[]>("KEYS", "*:processing:*");
    return await server.run<string[]>("HKEYS", key!);
  };
  // Of the lists that stay, one is waited on, and the others are used again.
  await until(async () => (await announced()).length < messages.length / 2);
  assert.match(logger.lines.join("\n"), /TRYAGAIN/);
  assert.equal(await server.run("LLEN", "queue"), 0);
});

Deno.test("What a lost connection moves late is not removed with what was found before", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await using proxy = new LateProxy(port);
  await using inbox = await openThrough(proxy);
  await expectThree(server, inbox);
  await blocked(server);
  const late = proxy.split();
  await server.run("RPUSH", "queue", ...["x", "y", "z"].map(complete));
  // Their acknowledgement travels with the next burst.
  const taken = take(inbox, 3);
  const burst = await late;
  await blocked(server);
  await server.run("RPUSH", "queue", complete("a"));
  await until(async () => await server.run("LLEN", "queue") === 0);
  burst.lose();
  await taken;
  const batch = await nextBatch(inbox);
  assert.deepEqual(texts(batch), [complete("a")]);
  await inbox.pause();
  const rest = ["b", "c"].map(complete);
  await server.run("RPUSH", "queue", ...rest);
  await burst.arrive();
  assert.equal(await server.run("LLEN", "queue"), 0);
  await batch!.settle();
  inbox.resume();
  const seen = (await take(inbox, 2)).flat();
  assert.deepEqual(seen, rest);
  await until(() => inbox.stats().inFlight === 0);
  assert.equal(await server.run("LLEN", "queue"), 0);
  await until(async () =>
    (await server.run<string[]>("KEYS", HELD)).length === 0
  );
});

Deno.test("Nothing is lost when the server refuses a move among messages that come together", async () => {
  await using server = await TestServer.start();
  await server.run(
    ...["ACL", "SETUSER", "user", "on", ">x", "~*", "&*", "+@all"],
  );
  const args = { ...server.args, username: "user", password: "x" };
  await using inbox = await open({ args }, RARE);
  await expectThree(server, inbox);
  await blocked(server);
  await server.run("ACL", "SETUSER", "user", "-lmove");
  const goal = [..."abcdef"].map(complete);
  const seen: string[] = [];
  for (const half of [goal.slice(0, 3), goal.slice(3)]) {
    await server.run("RPUSH", "queue", ...half);
    seen.push(...(await take(inbox, 3)).flat());
  }
  assert.deepEqual(seen, goal);
});

for (const queue of ["queue", ["other", "queue"]]) {
  const name = typeof queue === "string" ? "one queue" : "several queues";
  Deno.test(`A message that is too large keeps none of those back that come with it (${name})`, async () => {
    await using server = await TestServer.start();
    await using inbox = await open(server, { queue, maxSize: 2 ** 20 });
    await expectThree(server, inbox);
    await server.run("RPUSH", "queue", "a", "x".repeat(2 ** 22), "b");
    const seen = (await take(inbox, 2)).flat();
    assert.deepEqual(seen.toSorted(), ["a", "b"]);
    await until(() => inbox.stats().deadLettered === 1);
    assert.equal(await server.run("LLEN", "queue"), 0);
  });
}

Deno.test("No more messages come together than may be in hand", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, { maxInFlight: 1 });
  for (let round = 0; round < 5; round++) {
    await blocked(server);
    await server.run("RPUSH", "queue", ...["a", "b"].map(complete));
    assert.equal((await take(inbox, 2)).length, 2);
  }
});

Deno.test("A connection that is cut again and again costs no more commands each time", async () => {
  await using server = await TestServer.start();
  await using inbox = await open(server, RARE);
  // To each of these lists something may come yet.
  const announced = async (): Promise<number> => {
    const [key] = await server.run<string[]>("KEYS", "*:processing:*");
    return key === undefined ? 0 : await server.run<number>("HLEN", key);
  };
  const cut = async (): Promise<void> => {
    await blocked(server);
    const { reconnects } = inbox.stats();
    await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await until(() => inbox.stats().reconnects > reconnects);
  };
  while (await announced() < 12) await cut();
  const before = await callsOf(server, "llen");
  const looks = await callsOf(server, "hgetall");
  await cut();
  // A look reads twice who consumes the queue, and then looks into lists.
  await until(async () => await callsOf(server, "hgetall") > looks + 4);
  const after = await callsOf(server, "llen");
  assert.ok(after - before < 10, `${after - before} looks into empty lists`);
});
