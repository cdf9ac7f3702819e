import assert from "node:assert/strict";
import { RedisBackend } from "../../mod.ts";
import {
  type Dashboard,
  dashboard,
  type DashboardOptions,
} from "../../src/dashboard/mod.ts";
import { ask, HERE, THERE } from "./ask.ts";
import { inTime } from "../in_time.ts";
import { TestServer } from "../servers.ts";

const TOKEN = "correct horse battery";

/** A page, with a server behind it. */
async function open(
  options: Omit<DashboardOptions, "backend"> = {},
): Promise<{ page: Dashboard; server: TestServer } & AsyncDisposable> {
  const server = await TestServer.start();
  const backend = new RedisBackend({
    redisArgs: server.args,
    deviceId: "hall",
  });
  const page = dashboard({ backend, bus: false, undoTime: 0, ...options });
  return {
    page,
    server,
    [Symbol.asyncDispose]: async () => {
      await page[Symbol.asyncDispose]();
      await backend.stop();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Logs in; gives the cookie as a browser sends it. */
async function logIn(page: Dashboard, host?: string): Promise<string> {
  const response = await ask(page, "/login", {
    form: { token: TOKEN },
    ...(host !== undefined && { host }),
  });
  assert.equal(response.status, 303);
  return response.headers.get("set-cookie")!.split(";")[0]!;
}

Deno.test("A page elsewhere that has made its name point here gets nothing", async () => {
  await using opened = await open();
  const { page } = opened;
  for (
    const host of [
      "evil.example",
      "evil.example:8480",
      "192.0.2.1:8480",
      "127.0.0.1.evil.example",
    ]
  ) {
    const response = await ask(page, "/", { host });
    assert.equal(response.status, 421, host);
    assert.ok(!(await response.text()).includes("<"), host);
  }
  for (
    const host of ["127.0.0.1:8480", "localhost", "[::1]:8480", "hub.localhost"]
  ) {
    assert.equal((await ask(page, "/", { host })).status, 200, host);
  }
});

Deno.test("What is no name is not taken for one of this host, and is nothing for the log", async () => {
  const logged: string[] = [];
  const log = (text: string): unknown => logged.push(text);
  const logger = { debug: log, info: log, warn: log, error: log };
  await using opened = await open({ logger });
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  await using http = Deno.serve({
    ...options,
    onError: (error) => {
      logged.push(String(error));
      return new Response(null, { status: 500 });
    },
  }, opened.page);
  for (
    const [host, status] of [
      ["evil.example#.localhost", 421],
      ["evil.example/.localhost", 421],
      ["127.0.0.1, evil.example", 400],
      ["127.999.999.999", 400],
      ["localhost:80:80", 400],
      ["hub.localhost", 200],
    ] as const
  ) {
    using connection = await Deno.connect({ port: http.addr.port });
    await connection.write(
      new TextEncoder().encode(
        `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      ),
    );
    const answer = await new Response(connection.readable).text();
    assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), host);
  }
  assert.deepEqual(logged, []);
});

Deno.test("Without a password only who is on this host sees the page", async () => {
  await using opened = await open();
  const { page } = opened;
  assert.equal((await ask(page, "/", { info: THERE })).status, 403);
  assert.equal((await ask(page, "/", { info: {} })).status, 403);
  const mapped = {
    remoteAddr: { transport: "tcp", hostname: "::ffff:127.0.0.1" },
  };
  assert.equal((await ask(page, "/", { info: mapped })).status, 200);
  const proxied = { "x-forwarded-for": "192.0.2.7" };
  assert.equal((await ask(page, "/", { headers: proxied })).status, 403);
});

Deno.test("A name of its own and others' addresses need a password", async () => {
  assert.throws(() => dashboard({ hosts: ["hub.local"] }), /needs a `token`/);
  assert.throws(
    () => dashboard({ token: undefined as unknown as string }),
    /`token` is undefined/,
  );
  assert.throws(() => dashboard({ token: "short" }), /at least 8 characters/);
  await using opened = await open({ token: TOKEN, hosts: ["Hub.local"] });
  const { page } = opened;
  for (const host of ["hub.local:8480", "192.0.2.1", "[2001:db8::1]:8480"]) {
    const response = await ask(page, "/", { host, info: THERE });
    assert.equal(response.status, 303, host);
    assert.equal(response.headers.get("location"), "/login");
  }
  assert.equal((await ask(page, "/", { host: "evil.example" })).status, 421);
});

Deno.test("Who has the password gets a session that no script reads", async () => {
  await using opened = await open({ token: TOKEN });
  const { page } = opened;
  const wrong = await ask(page, "/login", { form: { token: "wrong" } });
  assert.equal(wrong.status, 401);
  assert.equal(wrong.headers.get("set-cookie"), null);
  const right = await ask(page, "/login", { form: { token: TOKEN } });
  const setCookie = right.headers.get("set-cookie")!;
  assert.match(setCookie, /; HttpOnly; SameSite=Strict$/);
  assert.ok(!setCookie.includes(TOKEN));
  const cookie = setCookie.split(";")[0]!;
  const shown = await ask(page, "/", { headers: { cookie } });
  assert.equal(shown.status, 200);
  assert.ok(!(await shown.text()).includes(TOKEN));
  for (const path of ["/live?page=", "/messages/list", "/actions/list"]) {
    assert.equal(
      (await ask(page, path, { headers: { accept: "*/*" } })).status,
      401,
      path,
    );
  }
  const forged = `${cookie.slice(0, -4)}0000`;
  assert.equal(
    (await ask(page, "/", { headers: { cookie: forged } })).status,
    303,
  );
  await ask(page, "/logout", { form: {}, headers: { cookie } });
  assert.equal((await ask(page, "/", { headers: { cookie } })).status, 303);
});

Deno.test("A session outlives what others on the same host do with cookies", async () => {
  await using opened = await open({ token: TOKEN });
  await using other = await open({ token: TOKEN });
  const [host, elsewhere] = ["127.0.0.1:8480", "127.0.0.1:8481"];
  const cookie = await logIn(opened.page, host);
  const second = await logIn(other.page, elsewhere);
  // A browser has one place for all ports of a host, and one value for a name.
  assert.notEqual(cookie.split("=")[0], second.split("=")[0]);
  const [name] = cookie.split("=");
  for (
    const cookies of [
      `${cookie}; ${second}`,
      `${name}=of-somebody-else; ${cookie}`,
      `${cookie}; ${name}="rubbish"`,
    ]
  ) {
    const headers = { cookie: cookies };
    const { status, body } = await ask(opened.page, "/", { host, headers });
    await body?.cancel();
    assert.equal(status, 200, cookies);
  }
});

Deno.test("Behind TLS the session's cookie is not sent without it", async () => {
  await using opened = await open({ token: TOKEN });
  const response = await ask(opened.page, "/login", {
    form: { token: TOKEN },
    headers: { "x-forwarded-proto": "https" },
  });
  assert.match(response.headers.get("set-cookie")!, /; Secure$/);
});

Deno.test("Passwords cannot be tried often, and others may still log in", async () => {
  await using opened = await open({ token: TOKEN });
  const { page } = opened;
  const attempt = (token: string, info = THERE): Promise<Response> =>
    ask(page, "/login", { form: { token }, info, host: "192.0.2.1" });
  const statuses: number[] = [];
  for (let n = 0; n < 5; n++) {
    statuses.push((await attempt(`wrong ${n}`)).status);
  }
  assert.deepEqual(statuses, [401, 401, 401, 429, 429]);
  const late = await attempt(TOKEN);
  assert.equal(late.status, 429, "also the right one");
  assert.match(await late.text(), /Try again in \d+ s/);
  assert.equal((await attempt(TOKEN, HERE)).status, 303);
});

Deno.test("What another page sends changes nothing", async () => {
  await using opened = await open();
  const { page, server } = opened;
  const form = { target: "hall", type: "custom.Motion", args: "{}" };
  const attacks: Record<string, string>[] = [
    { origin: "http://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:9999" },
    { origin: "rubbish" },
    { origin: "ftp://127.0.0.1:8480" },
    { origin: "http://evil.example@127.0.0.1:8480" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
  ];
  for (const headers of attacks) {
    const response = await ask(page, "/actions/event", { form, headers });
    assert.equal(response.status, 403, JSON.stringify(headers));
  }
  const silent = await page(
    new Request("http://127.0.0.1:8480/actions/event", {
      method: "POST",
      headers: { host: "127.0.0.1:8480" },
      body: new URLSearchParams(form),
    }),
    HERE,
  );
  assert.equal(silent.status, 403, "no origin");
  const key = "platypush/backend/redis";
  assert.equal(await server.run("LLEN", key), 0);
  assert.equal((await ask(page, "/actions/event", { form })).status, 200);
  assert.equal(await server.run("LLEN", key), 1);
  // A proxy may name the port that browsers leave out.
  const named = await ask(page, "/actions/event", {
    form,
    headers: { host: "localhost:443", origin: "https://localhost" },
  });
  assert.equal(named.status, 200);
});

Deno.test("A page that only shows changes nothing, and offers nothing to change", async () => {
  await using opened = await open({ readOnly: true, token: TOKEN });
  const { page, server } = opened;
  const cookie = await logIn(page);
  const paths = [
    "/actions/event",
    "/actions/request",
    "/dead/purge",
    "/dead/requeue",
    "/dead/edit",
    "/messages/send",
    "/peers/send",
    "/changes/1/undo",
  ];
  for (const path of paths) {
    const response = await ask(page, path, {
      form: { type: "custom.Motion", target: "hall" },
      headers: { cookie },
    });
    assert.equal(response.status, 403, path);
  }
  for (const path of ["/", "/dead", "/actions", "/messages", "/queues"]) {
    const text = await (await ask(page, path, { headers: { cookie } })).text();
    assert.ok(!/<form[^>]*data-post/.test(text), path);
    assert.match(text, /Read only/);
  }
  assert.equal(await server.run("DBSIZE"), 0);
});

Deno.test("Behind a prefix every address has it, whether or not the proxy passes it on", async () => {
  await using opened = await open({ basePath: "/hub", token: TOKEN });
  const { page } = opened;
  const away = await ask(page, "/hub/dead");
  assert.equal(away.headers.get("location"), "/hub/login");
  const response = await ask(page, "/hub/login", { form: { token: TOKEN } });
  assert.match(response.headers.get("set-cookie")!, /; Path=\/hub;/);
  assert.equal(response.headers.get("location"), "/hub/");
  const cookie = response.headers.get("set-cookie")!.split(";")[0]!;
  for (const path of ["/hub/dead", "/hub/", "/hub", "/dead", "/"]) {
    const shown = await ask(page, path, { headers: { cookie } });
    assert.equal(shown.status, 200, path);
    const text = await shown.text();
    const addresses = [...text.matchAll(/(?:href|src|action)="(\/[^"]*)"/g)];
    assert.ok(addresses.length > 8, path);
    for (const [, address] of addresses) {
      assert.ok(address!.startsWith("/hub/"), address);
    }
  }
  assert.throws(() => dashboard({ basePath: "hub/" }), TypeError);
});

Deno.test("A page runs no script but its own", async () => {
  await using opened = await open();
  const response = await ask(opened.page, "/");
  const policy = response.headers.get("content-security-policy")!;
  assert.match(
    policy,
    /default-src 'none'; script-src 'self'; style-src 'self'/,
  );
  assert.ok(!policy.includes("unsafe"));
  const text = await response.text();
  assert.ok(!/<script(?![^>]*src=)/.test(text), "a script inside the page");
  assert.ok(!/ on\w+=|style="|javascript:/.test(text));
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.equal(response.headers.get("cache-control"), "no-store");
});

Deno.test("A form that is too large is refused", async () => {
  await using opened = await open();
  const response = await ask(opened.page, "/actions/event", {
    form: { args: "x".repeat(17 * 2 ** 20) },
  });
  assert.equal(response.status, 413);
  await using shut = await open({ token: TOKEN });
  const form = { token: "x".repeat(5000) };
  const login = await ask(shut.page, "/login", { form });
  assert.equal(login.status, 413, "nobody reads what strangers send");
});

Deno.test("A page elsewhere cannot keep anything running", async () => {
  await using opened = await open();
  const { page } = opened;
  for (const site of ["cross-site", "same-site"]) {
    const headers = { "sec-fetch-site": site, "sec-fetch-mode": "cors" };
    const response = await ask(page, "/live?page=", { headers });
    assert.equal(response.status, 403, site);
    const link = { ...headers, "sec-fetch-mode": "navigate" };
    assert.equal((await ask(page, "/", { headers: link })).status, 200, site);
  }
});

Deno.test("A page elsewhere keeps no hold of one that it has opened, and others start no process for that", async () => {
  await using opened = await open();
  const policy = async (site?: string): Promise<string | null> => {
    const headers: Record<string, string> = { "sec-fetch-mode": "navigate" };
    if (site !== undefined) headers["sec-fetch-site"] = site;
    const response = await ask(opened.page, "/", { headers });
    await response.body?.cancel();
    return response.headers.get("cross-origin-opener-policy");
  };
  assert.equal(await policy("cross-site"), "same-origin");
  assert.equal(await policy("same-site"), "same-origin");
  assert.equal(await policy("none"), null);
  assert.equal(await policy("same-origin"), null);
});

Deno.test("What is live ends with the session", async () => {
  await using opened = await open({ token: TOKEN });
  const { page } = opened;
  const cookie = await logIn(page);
  const { body } = await ask(page, "/live?page=", { headers: { cookie } });
  const reader = body!.getReader();
  await inTime(reader.read(), "it is live");
  await ask(page, "/logout", { form: {}, headers: { cookie } });
  const isOver = async (): Promise<void> => {
    while (!(await reader.read()).done);
  };
  await inTime(isOver(), "the end");
});
