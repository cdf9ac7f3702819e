import assert from "node:assert/strict";
import { Event, RedisBackend } from "../../mod.ts";
import { dashboard } from "../../src/dashboard/mod.ts";
import { Passed } from "../../src/dashboard/passed.ts";
import { calls, callsOf } from "../calls.ts";
import { inTime } from "../in_time.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { buryMany, DEAD } from "../redis/dead_letters.ts";
import { ask } from "./ask.ts";

/** The number of connections to a server, the test's own not counted. */
Deno.test("Redis is asked once a second while somebody looks, and never otherwise", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({ redisArgs: server.args });
  await using page = dashboard({ backend, bus: false });
  assert.equal(await server.clients(), 0);

  const response = await ask(page, "/live?page=queues");
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  const reader = response.body!.pipeThrough(new TextDecoderStream())
    .getReader();
  let text = "";
  while (!text.includes('id="queues"')) {
    const { value } = await inTime(reader.read(), "the queues");
    text += value;
  }
  assert.ok(await server.clients() > 0);
  await reader.cancel();
  await until(
    async () => await server.clients() === 0,
    "no connection is left",
  );
});

Deno.test("A look at a queue asks for nothing that is known or cannot be there", async () => {
  const LOOKS = 4;
  await using server = await TestServer.start();
  await using backend = new RedisBackend({ redisArgs: server.args });
  await using page = dashboard({ backend, bus: false });
  const { body } = await ask(page, "/live?page=queues");
  const looked = () => callsOf(server, "eval");
  await until(async () => await looked() > 0);
  let own = 0;
  const before = await calls(server);
  await until(async () => {
    own++;
    return await looked() >= before.eval! + LOOKS;
  });
  const after = await calls(server);
  // Each look at the counts is one, too.
  const asked = after.info! - before.info! - own - 1;
  assert.ok(asked <= 2, `The server was asked for itself ${asked} times`);
  // There is no dead letter.
  assert.equal(after["memory|usage"], undefined);
  await body!.cancel();
});

Deno.test("A browser can load what a page is made of before Redis is asked", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({ redisArgs: server.args });
  await using page = dashboard({ backend, bus: false });
  const { body } = await ask(page, "/");
  const chunks = await Array.fromAsync(
    body!.pipeThrough(new TextDecoderStream()),
  );
  assert.match(chunks[0]!, /rel="stylesheet"/);
  assert.doesNotMatch(chunks[0]!, /<main/);
  assert.match(chunks.slice(1).join(""), /<main/);
});

Deno.test("One look is enough for all pages", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({ redisArgs: server.args });
  await using page = dashboard({ backend, bus: false });
  const responses = await Promise.all(
    Array.from({ length: 5 }, () => ask(page, "/live?page=queues")),
  );
  const readers = responses.map(({ body }) => body!.getReader());
  await Promise.all(
    readers.map((reader) => inTime(reader.read(), "the first event")),
  );
  await until(async () => await server.clients() > 0, "it looks");
  assert.equal(await server.clients(), 1);
  for (const reader of readers) await reader.cancel();
});

Deno.test("What is chosen among the dead letters stays while they cannot be read", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "queue",
  });
  await using page = dashboard({ backend, bus: false });
  const { body } = await ask(page, "/live?page=dead");
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const hear = async (words: string): Promise<void> => {
    const start = text.length;
    while (!text.includes(words, start)) {
      text += (await inTime(reader.read(), words)).value;
    }
  };
  await hear('id="dead-list"');
  await server.run("SET", "{queue}:dead", "of another type");
  await hear("status-failure");
  await server.run("DEL", "{queue}:dead");
  await hear("status-ok");
  // The list was sent once, and no error in its place.
  assert.equal(text.split('id="dead-list"').length, 2, text);
  await reader.cancel();
});

/** An event with a number. */
const event = (n: number): Event =>
  new Event({ target: "hall", origin: "hall", args: { type: "custom.N", n } });

Deno.test("What has passed is kept within its limits, the newest first", () => {
  const limits = {
    messages: 3,
    characters: 10_000,
    seconds: 60,
    perSecond: 1000,
    charactersPerSecond: 2 ** 20,
  };
  const passed = new Passed(limits);
  for (let n = 0; n < 5; n++) passed.add(event(n));
  const numbers = (): unknown[] =>
    passed.newest().map(({ json }) => JSON.parse(json).args.n);
  assert.deepEqual(numbers(), [4, 3, 2]);
  const long = new Passed({ ...limits, characters: 400 });
  for (let n = 0; n < 5; n++) long.add(event(n));
  const kept = long.newest().reduce((sum, { json }) => sum + json.length, 0);
  assert.ok(kept > 0 && kept <= 400, `${kept}`);
});

Deno.test("Of a flood a part is kept, and everything is counted", () => {
  const passed = new Passed();
  for (let n = 0; n < 10_000; n++) passed.add(event(n));
  passed.miss(5000);
  const kept = passed.newest().length;
  // The second may have changed meanwhile.
  assert.ok(kept >= 100 && kept <= 1000, `${kept}`);
  assert.equal(passed.skipped, 15_000 - kept);
});

Deno.test("Of more dead letters than are looked at, it says that the oldest are shown", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 10_001);
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "queue",
  });
  await using page = dashboard({ backend, bus: false });
  const text = await (await ask(page, "/dead")).text();
  assert.match(text, /10,000 dead letters, the oldest; there are more/);
  await server.run("RPOP", DEAD);
  const fewer = await (await ask(page, "/dead")).text();
  assert.match(fewer, /10,000 dead letters</);
});
