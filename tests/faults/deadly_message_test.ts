import assert from "node:assert/strict";
import { Inbox } from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const decoder = new TextDecoder();
const COUNT = 300;
const event = (n: unknown): string =>
  JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom.Number", n },
  });

Deno.test("A message that kills its consumer each time becomes a dead letter, and no other", async () => {
  await using server = await TestServer.start();
  const events = Array.from({ length: COUNT }, (_, n) => event(n));
  // In the middle of the second batch.
  events.splice(150, 0, event("deadly"));
  await server.run("RPUSH", "queue", ...events);
  const letters = async (): Promise<string[]> =>
    await server.run("LRANGE", "{queue}:dead", "0", "-1");
  let deaths = 0;
  while (deaths < 6) {
    await using program = new Program([
      "tests/faults/deadly_backend.ts",
      JSON.stringify(server.args),
    ]);
    const end = program.end().then(({ code }) => {
      assert.equal(code, 9);
      return "dead" as const;
    });
    const survival = until(async () => (await letters()).length > 0)
      .then(() => "alive" as const);
    if (await Promise.race([end, survival]) === "alive") {
      await until(async () => await server.run("EXISTS", "queue") === 0);
      await until(async () =>
        new Set(await server.run<string[]>("LRANGE", "handled", "0", "-1"))
          .size === COUNT
      );
      break;
    }
    survival.catch(() => {});
    deaths++;
  }
  // Twice with others in hand, and twice alone.
  assert.equal(deaths, 4);
  const [letter, ...others] = await letters();
  assert.deepEqual(others, []);
  const { reason, deliveries, error, message } = JSON.parse(letter!);
  assert.equal(reason, "crashed");
  assert.equal(deliveries, 4);
  assert.match(
    error,
    /died 2 times while it had this message, and nothing else/,
  );
  assert.equal(message, event("deadly"));
});

/** A consumer that has everything in the queue in hand when it dies. */
class Mortal implements AsyncDisposable {
  #server: TestServer;
  #inbox: Inbox;

  private constructor(server: TestServer, inbox: Inbox) {
    this.#server = server;
    this.#inbox = inbox;
  }

  static async start(server: TestServer): Promise<Mortal> {
    const inbox = await Inbox.open(server.args, {
      queue: "queue",
      heartbeatTimeout: 600,
      logger: new LineLogger(),
    });
    await inTime(inbox.next(), "a batch");
    await inbox.pause();
    return new Mortal(server, inbox);
  }

  /** Leaves nothing of it but what it had in hand. */
  async die(): Promise<void> {
    const heartbeats = await this.#server.run<string[]>(
      "KEYS",
      "{queue}:consumer:*",
    );
    for (const key of heartbeats) {
      const seconds = await this.#server.run<number>("TTL", key);
      if (seconds > 60) await this.#server.run("DEL", key);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inbox.stop(0);
  }
}

Deno.test("Messages that several consumers died with are handed out one by one", async () => {
  await using server = await TestServer.start();
  const sent = ["one", "two", "three", "four"];
  await server.run("RPUSH", "queue", ...sent);
  await using first = await Mortal.start(server);
  await first.die();
  await using second = await Mortal.start(server);
  await second.die();
  await using inbox = await Inbox.open(server.args, { queue: "queue" });
  for (const [index, text] of sent.entries()) {
    const batch = await inTime(inbox.next(), "a batch");
    assert.deepEqual(batch!.payloads.map((it) => decoder.decode(it)), [text]);
    assert.deepEqual(batch!.deliveries, [2]);
    assert.equal(await server.run("LLEN", "queue"), 3 - index);
    await batch!.settle();
  }
  // From then on in batches again.
  await server.run("RPUSH", "queue", ...sent);
  const batches = [await inTime(inbox.next(), "a batch")];
  await batches[0]!.settle();
  while (batches.at(-1)!.payloads.length === 1 && batches.length < 3) {
    batches.push(await inTime(inbox.next(), "a batch"));
    await batches.at(-1)!.settle();
  }
  assert.ok(batches.at(-1)!.payloads.length > 1);
});

Deno.test("What consumers died with waits until nothing else is in hand", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "deadly");
  await using first = await Mortal.start(server);
  await first.die();
  await using second = await Mortal.start(server);
  await server.run("RPUSH", "queue", "harmless");
  await using inbox = await Inbox.open(server.args, {
    queue: "queue",
    heartbeatTimeout: HEARTBEAT,
    logger: new LineLogger(),
  });
  const harmless = await inTime(inbox.next(), "a batch");
  const next = inTime(inbox.next(), "the deadly message");
  await second.die();
  await until(async () =>
    inbox.stats().reclaimed === 1 && await server.run("LLEN", "queue") === 1
  );
  assert.equal(inbox.stats().inFlight, 1);
  await harmless!.settle();
  const deadly = await next;
  assert.equal(decoder.decode(deadly!.payloads[0]), "deadly");
  await deadly!.settle();
});

Deno.test("A message is not blamed for a consumer that leaves in an orderly way", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "one");
  const logger = new LineLogger();
  for (let deliveries = 0; deliveries < 6; deliveries++) {
    await using inbox = await Inbox.open(server.args, {
      queue: "queue",
      logger,
    });
    const batch = await inTime(inbox.next(), "the message");
    assert.deepEqual(batch!.deliveries, [deliveries]);
    await inbox.stop(0);
  }
  assert.equal(await server.run("LLEN", "queue"), 1);
});
