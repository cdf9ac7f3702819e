import assert from "node:assert/strict";
import { parseRedisArgs, type RedisArgs } from "../../src/redis/redis_args.ts";

Deno.test("parseRedisArgs fills in the defaults", () => {
  const settings = parseRedisArgs();
  assert.deepEqual(settings.address, { host: "127.0.0.1", port: 6379 });
  assert.equal(settings.db, 0);
  assert.equal(settings.protocol, 3);
  assert.equal(settings.connectTimeout, 5);
  assert.equal(settings.replyTimeout, 5);
  assert.equal(settings.tls, undefined);
});

Deno.test("parseRedisArgs reads URLs", () => {
  const tcp = parseRedisArgs({ url: "redis://us%40er:pa%3Ass@[::1]:7000/3" });
  assert.deepEqual(tcp.address, { host: "::1", port: 7000 });
  assert.deepEqual([tcp.username, tcp.password, tcp.db], [
    "us@er",
    "pa:ss",
    3,
  ]);
  const tls = parseRedisArgs({ url: "rediss://:pw@example.org" });
  assert.deepEqual(tls.address, { host: "example.org", port: 6379 });
  assert.equal(tls.password, "pw");
  assert.equal(tls.username, undefined);
  assert.ok(tls.tls?.verify);
  const unix = parseRedisArgs({ url: "unix://me:pw@/run/redis.sock?db=2" });
  assert.deepEqual(unix.address, { path: "/run/redis.sock" });
  assert.deepEqual([unix.username, unix.password, unix.db], ["me", "pw", 2]);
  assert.equal(
    parseRedisArgs({ url: "redis://h?socket_timeout=1.5" }).replyTimeout,
    1.5,
  );
});

Deno.test("parseRedisArgs names the nearest argument", () => {
  for (
    const [wrong, right] of [
      ["pasword", "password"],
      ["socketTimeout", "socket_timeout"],
      ["unixSocketPath", "unix_socket_path"],
    ] as const
  ) {
    assert.throws(
      () => parseRedisArgs({ [wrong]: "x" } as RedisArgs),
      (error: Error) =>
        error instanceof TypeError && error.message.includes(`\`${right}\``),
    );
  }
  assert.throws(
    () => parseRedisArgs({ url: "redis://h?passwrd=x" }),
    /`passwrd`.*`password`/,
  );
});

Deno.test("parseRedisArgs refuses wrong values without showing them", () => {
  const wrong: Record<string, unknown>[] = [
    { url: "http://user:hunter2@example.org" },
    { url: "redis://user:hunter2@example.org:hunter2" },
    { url: "redis://user:hunter2@example.org/hunter2" },
    { url: "redis://user:hunter2%zz@example.org" },
    { url: "redis://user:pass?hunter2&more@example.org" },
    { url: "redis://user:6379?hunter2&more@example.org" },
    { password: 5 },
    { port: 0 },
    { port: 65536 },
    { db: -1 },
    { db: 1.5 },
    { ssl: "yes" },
    { ssl_cert_reqs: "hunter2" },
    { protocol: 4 },
    { client_name: "hunter2 hunter2" },
    { socket_timeout: -1 },
    { sentinels: [] },
    { sentinels: ["hunter2:hunter2"], serviceName: "m" },
    { sentinels: ["a:1"] },
    { serviceName: "m" },
    { sentinels: ["a:1"], serviceName: "m", cluster: ["a:1"] },
    { cluster: ["a:1"], db: 1 },
  ];
  for (const args of wrong) {
    assert.throws(
      () => parseRedisArgs(args as RedisArgs),
      (error: Error) => {
        assert.ok(error instanceof TypeError, JSON.stringify(args));
        assert.match(error.message, /^Cannot connect to Redis: /);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      },
    );
  }
});

Deno.test("parseRedisArgs refuses what is no object", () => {
  for (const args of ["redis://hunter2@localhost", null, ["localhost"]]) {
    assert.throws(() => parseRedisArgs(args as RedisArgs), {
      name: "TypeError",
      message:
        "Cannot connect to Redis: the options have to be an object, such as { url }",
    });
  }
});
