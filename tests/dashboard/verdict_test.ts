import assert from "node:assert/strict";
import { RedisBackend } from "../../mod.ts";
import { dashboard } from "../../src/dashboard/mod.ts";
import type { RedisArgs } from "../../src/redis/mod.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { ask } from "./ask.ts";

/** What the first page says in one glance, when it has looked and found a fault. */
async function verdict(
  redisArgs: RedisArgs,
  queue: string | string[] = "queue",
): Promise<string> {
  await using backend = new RedisBackend({ redisArgs, queue });
  await using page = dashboard({ backend, bus: false });
  let shown = "";
  await until(async () => {
    const text = await (await ask(page, "/")).text();
    shown = /<section id="verdict"[\s\S]*?<\/section>/.exec(text)![0];
    return shown.includes("verdict-failure");
  }, "the verdict");
  return shown;
}

Deno.test("The page says which kind of fault it is that it cannot read how Redis stands", async () => {
  await using server = await TestServer.start();
  const { args } = server;
  const says = async (redisArgs: RedisArgs, title: string): Promise<string> => {
    const shown = await verdict(redisArgs);
    assert.match(shown, new RegExp(`class="headline">${title}<`));
    return shown;
  };
  await server.run("SET", "{queue}:dead", "a text");
  await says(args, "A key in Redis is of another type");
  await server.run("DEL", "{queue}:dead");
  await server.run("ACL", "SETUSER", "guest", "on", ">guest", "+ping");
  await says(
    { ...args, username: "guest", password: "guest" },
    "This user lacks rights in Redis",
  );
  await says(
    { ...args, username: "guest", password: "wrong" },
    "Redis does not let this user in",
  );
  const shown = await says(
    { host: "127.0.0.1", port: 1 },
    "Redis does not answer",
  );
  assert.match(shown, /Start the server/);
});

Deno.test("A queue that cannot be read hides no other", async () => {
  await using server = await TestServer.start();
  await server.run("SET", "{broken}:dead", "a text");
  await server.run("RPUSH", "sound", "{}", "{}");
  const queues = ["broken", "sound"];
  const shown = await verdict(server.args, queues);
  assert.match(shown, /Something does not work/);
  assert.match(shown, /broken cannot be read: .*\{broken\}:dead/);
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: queues,
  });
  await using page = dashboard({ backend, bus: false });
  // The page is shown before a busy server has answered.
  let text = "";
  await until(async () => {
    text = await (await ask(page, "/queues")).text();
    return text.includes('<h2 class="mono">sound</h2>');
  }, "the queues were read");
  assert.match(text, /<h2 class="mono">broken<\/h2>[\s\S]*role="alert"/);
  assert.match(text, /<h2 class="mono">sound<\/h2>/);
  assert.match(text, /<dt>Waiting<\/dt>\s*<dd>2<\/dd>/);
});
