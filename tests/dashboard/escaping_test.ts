import assert from "node:assert/strict";
import { DeadLetters, Event, Inbox, RedisBackend, Request } from "../../mod.ts";
import { dashboard } from "../../src/dashboard/mod.ts";
import { inTime } from "../in_time.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { ask } from "./ask.ts";

const EVIL = `<img src=x onerror="alert(1)">'"\`&</textarea><script>x</script>`;
const QUEUE = `evil"><b>`;

Deno.test("Every text from the network is shown as a text", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: QUEUE,
    deviceId: EVIL,
  });
  await using page = dashboard({ backend });
  const seen = Promise.withResolvers<void>();
  backend.bus.registerHandler(Event, () => seen.resolve());
  await server.run("RPUSH", QUEUE, EVIL);
  await backend.start();
  backend.registerAction(EVIL.replaceAll(/[^\w]/g, "") || "x", () => EVIL, {
    description: EVIL,
  });
  await backend.sendEvent({
    args: { type: EVIL, [EVIL]: EVIL, room: EVIL },
    origin: EVIL,
  });
  await inTime(seen.promise, "the event");
  await using dead = new DeadLetters(server.args, { queue: QUEUE });
  await until(async () => await dead.count() === 1, "the dead letter");

  const query = `?filter=${encodeURIComponent("alert")}&q=alert&reason=&error=`;
  for (
    const path of [
      "/",
      "/messages",
      `/messages${query}`,
      `/messages?filter=${encodeURIComponent(`{"${EVIL}`)}`,
      "/messages/list",
      "/queues",
      "/dead",
      `/dead${query}`,
      `/dead?q=${encodeURIComponent(EVIL)}&error=${encodeURIComponent(EVIL)}`,
      "/peers",
      "/actions",
      "/actions/list",
      "/settings",
      `/${encodeURIComponent(EVIL)}`,
    ]
  ) {
    const text = await (await ask(page, path)).text();
    assert.ok(text.length > 50, path);
    assert.ok(!text.includes("<img"), path);
    assert.ok(!text.includes("<script>x"), path);
    assert.ok(!text.includes("</textarea><script"), path);
    assert.ok(!text.includes("<b>"), path);
  }
  const messages = await (await ask(page, "/messages")).text();
  assert.ok(
    messages.includes("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;"),
  );
});

Deno.test("Answers to forms are JSON, and no page that a text could be in", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({ redisArgs: server.args });
  await using page = dashboard({ backend, bus: false });
  const response = await ask(page, "/actions/event", {
    form: { target: "hall", type: EVIL, args: "{}" },
  });
  assert.match(response.headers.get("content-type")!, /^application\/json/);
  const refused = await ask(page, "/dead/edit", {
    form: { id: EVIL, text: EVIL },
  });
  assert.equal(refused.status, 400);
  assert.match(refused.headers.get("content-type")!, /^application\/json/);
});

Deno.test("No token and no password is in any page", async () => {
  const password = "s3cret-password";
  await using server = await TestServer.start();
  await server.run("CONFIG", "SET", "requirepass", password);
  const backend = new RedisBackend({
    redisArgs: { ...server.args, password },
    queue: "jobs",
    deviceId: "hall",
  });
  await using _backend = backend;
  await using page = dashboard({ backend, token: "the page's own password" });
  const login = await ask(page, "/login", {
    form: { token: "the page's own password" },
  });
  const cookie = login.headers.get("set-cookie")!.split(";")[0]!;
  const seen = Promise.withResolvers<void>();
  backend.bus.registerHandler(Request, () => seen.resolve());
  await backend.start();
  await backend.sendRequest(
    { action: "light.on", token: "t0ken-of-request" },
    { responseTimeout: 0 },
  );
  await inTime(seen.promise, "the request");
  for (
    const path of [
      "/",
      "/messages",
      "/messages/list",
      "/queues",
      "/dead",
      "/actions",
      "/settings",
    ]
  ) {
    const text = await (await ask(page, path, { headers: { cookie } })).text();
    for (
      const secret of [
        password,
        "t0ken-of-request",
        "page's own",
        "page&#39;s own",
      ]
    ) {
      assert.ok(!text.includes(secret), `${path} has ${secret}`);
    }
  }
  const messages = await ask(page, "/messages", { headers: { cookie } });
  assert.match(await messages.text(), /light\.on/);
});

// A dead letter of a request has its token, as it arrived.
Deno.test("A dead letter's token is neither shown nor lost", async () => {
  await using server = await TestServer.start();
  const request = {
    type: "request",
    target: "attic",
    action: "light.on",
    token: "t0ken",
    args: { message: '{"token": "t0ken\\"within"}' },
  };
  await server.run("RPUSH", "jobs", JSON.stringify(request));
  await using inbox = await Inbox.open(server.args, { queue: "jobs" });
  const batch = await inbox.next();
  await batch!.settle([{
    index: 0,
    reason: "foreign",
    error: new Error("for attic"),
  }]);
  await inbox.stop(0);
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "jobs",
  });
  await using page = dashboard({ backend, bus: false, undoTime: 0 });
  const text = await (await ask(page, "/dead")).text();
  assert.ok(!text.includes("t0ken"));
  const shown = /<textarea[^>]*>([^<]*)<\/textarea>/.exec(text)![1]!
    .replaceAll("&quot;", '"');
  assert.equal(JSON.parse(shown).token, "***");
  assert.equal(JSON.parse(shown).args.message, '{"token": "***"}');
  const id = /name="id"\s+value="([^"]+)"/.exec(text)![1]!;
  const edited = JSON.stringify({ ...JSON.parse(shown), target: "hall" });
  await ask(page, "/dead/edit", { form: { id, text: edited } });
  await until(
    async () => await server.run<number>("LLEN", "jobs") === 1,
    "requeued",
  );
  const [sent] = await server.run<string[]>("LRANGE", "jobs", "0", "-1");
  assert.equal(JSON.parse(sent!).token, "t0ken");
  assert.deepEqual(JSON.parse(sent!).args, request.args);
  assert.equal(JSON.parse(sent!).target, "hall");
});

Deno.test("A dead letter that is edited on two dashboards is requeued once", async () => {
  await using server = await TestServer.start();
  const messages = Array.from(
    { length: 10 },
    (_, n) =>
      JSON.stringify({ type: "event", args: { type: "custom.Count", n } }),
  );
  await server.run("RPUSH", "jobs", ...messages);
  await using inbox = await Inbox.open(server.args, {
    queue: "jobs",
    batchSize: 10,
  });
  const batch = await inbox.next();
  const error = new Error("no");
  await batch!.settle(
    messages.map((_, index) => ({ index, reason: "foreign" as const, error })),
  );
  await inbox.stop(0);
  const options = { redisArgs: server.args, queue: "jobs" };
  await using one = new RedisBackend(options);
  await using other = new RedisBackend(options);
  const pages = [one, other].map((backend) =>
    dashboard({ backend, bus: false, undoTime: 0 })
  );
  try {
    const letters = await Array.fromAsync(one.deadLetters().list());
    assert.equal(letters.length, messages.length);
    await Promise.all(
      letters.flatMap(({ id }, n) =>
        pages.map((page) =>
          ask(page, "/dead/edit", {
            form: { id, text: messages[n]!.replace("Count", "Edited") },
          })
        )
      ),
    );
    await until(
      async () => await one.deadLetters().count() === 0,
      "all are requeued",
    );
  } finally {
    // What has begun is done first.
    for (const page of pages) await page[Symbol.asyncDispose]();
  }
  const queued = await server.run<string[]>("LRANGE", "jobs", "0", "-1");
  assert.deepEqual(
    queued.toSorted(),
    messages.map((text) => text.replace("Count", "Edited")),
  );
});

Deno.test("A dead letter whose text is kept apart is not shown as an empty message", async () => {
  await using server = await TestServer.start();
  const envelope = (id: string): string =>
    JSON.stringify({
      id,
      queue: "jobs",
      reason: "too-large",
      error: "too large",
      time: Date.now() / 1000,
      deliveries: 0,
      size: 3 * 2 ** 20,
    });
  await server.run("RPUSH", "{jobs}:dead", envelope("gone"), envelope("kept"));
  await server.run("RPUSH", "{jobs}:dead:text:kept", "a large text");
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "jobs",
  });
  await using page = dashboard({ backend, bus: false, undoTime: 0 });
  const text = await (await ask(page, "/dead")).text();
  assert.ok(!text.includes("<textarea"));
  assert.match(text, /<dd>3 MiB<\/dd>/);
  assert.match(text, /<code>\{jobs\}:dead:text:kept<\/code>/);
  assert.match(text, /only the size is left/);
  assert.match(text, /name="only" value="kept">Requeue</);
  assert.ok(!text.includes('value="gone">Requeue<'));
  await ask(page, "/dead/requeue", { form: { only: "kept" } });
  await until(
    async () => await server.run<number>("LLEN", "jobs") === 1,
    "requeued",
  );
  assert.deepEqual(await server.run("LRANGE", "jobs", "0", "-1"), [
    "a large text",
  ]);
});

Deno.test("Of a dead letter that is large a page shows the beginning, and does not let it be edited", async () => {
  await using server = await TestServer.start();
  const put = (id: string, size: number): Promise<unknown> =>
    server.run(
      "RPUSH",
      "{jobs}:dead",
      JSON.stringify({
        id,
        queue: "jobs",
        reason: "handler",
        error: "no room",
        time: Date.now() / 1000,
        deliveries: 1,
        size,
        message: "x".repeat(size),
      }),
    );
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "jobs",
  });
  await using page = dashboard({ backend, bus: false, undoTime: 0 });
  await put("small", 2 ** 18);
  const whole = await (await ask(page, "/dead")).text();
  assert.ok(whole.includes("x".repeat(2 ** 18)));
  assert.match(whole, /Requeue as edited/);
  await server.run("DEL", "{jobs}:dead");
  await put("large", 2 ** 18 + 1);
  const text = await (await ask(page, "/dead")).text();
  assert.ok(text.length < 2 ** 15, `${text.length} characters`);
  assert.match(text, /x{1000}…<\/textarea>/);
  assert.match(text, /<code>platypush-redis dead show large<\/code>/);
  assert.match(text, /name="only" value="large">Requeue</);
  assert.doesNotMatch(text, /Requeue as edited/);
});
