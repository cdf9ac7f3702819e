import assert from "node:assert/strict";
import { connect } from "node:net";
import { RedisBackend } from "../../mod.ts";
import { Connection } from "../../src/redis/mod.ts";
import {
  ignoredArguments,
  type RedisArgs,
} from "../../src/redis/redis_args.ts";
import { parseRedisArgs } from "../../src/redis/settings.ts";

import { LineLogger } from "../line_logger.ts";
import { freePort } from "../servers.ts";

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

Deno.test("parseRedisArgs reads the parameters of a URL as what they have to be", () => {
  const url = "redis://h/0?username=true&password=0123&port=7000&ssl=True" +
    "&client_name=42&ssl_cert_reqs=none&protocol=2";
  const settings = parseRedisArgs({ url });
  assert.equal(settings.username, "true");
  assert.equal(settings.password, "0123");
  assert.equal(settings.clientName, "42");
  assert.deepEqual(settings.address, { host: "h", port: 7000 });
  assert.equal(settings.tls?.verify, false);
  assert.equal(settings.protocol, 2);
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
    { url: "redis://user:pass@hunter2@example.org" },
    { url: "unix://user:pass@hunter2@/run/redis.sock" },
    { url: "redis://user:pass?hunter2&more@example.org" },
    { url: "redis://user:6379?hunter2&more@example.org" },
    { password: 5 },
    { port: 0 },
    { port: 65536 },
    { db: -1 },
    { db: 1.5 },
    { ssl: "yes" },
    { ssl_ca_data: "hunter2" },
    { ssl_keyfile: "hunter2.key" },
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

/** redis-py's constructor, 4.3 to 6.x, with its defaults. */
const PYTHON_DEFAULTS: Readonly<Record<string, unknown>> = {
  host: "localhost",
  port: 6379,
  db: 0,
  password: null,
  socket_timeout: null,
  socket_connect_timeout: null,
  socket_keepalive: null,
  socket_keepalive_options: null,
  connection_pool: null,
  unix_socket_path: null,
  encoding: "utf-8",
  encoding_errors: "strict",
  charset: null,
  errors: null,
  decode_responses: false,
  retry_on_timeout: false,
  retry_on_error: null,
  retry: null,
  ssl: false,
  ssl_keyfile: null,
  ssl_certfile: null,
  ssl_cert_reqs: "required",
  ssl_include_verify_flags: null,
  ssl_exclude_verify_flags: null,
  ssl_ca_certs: null,
  ssl_ca_path: null,
  ssl_ca_data: null,
  ssl_check_hostname: true,
  ssl_password: null,
  ssl_validate_ocsp: false,
  ssl_validate_ocsp_stapled: false,
  ssl_ocsp_context: null,
  ssl_ocsp_expected_cert: null,
  ssl_min_version: null,
  ssl_ciphers: null,
  max_connections: null,
  single_connection_client: false,
  auto_close_connection_pool: null,
  health_check_interval: 0,
  client_name: null,
  lib_name: "redis-py",
  lib_version: "6.4.0",
  username: null,
  redis_connect_func: null,
  credential_provider: null,
  protocol: 2,
  cache: null,
  cache_config: null,
  event_dispatcher: null,
  maint_notifications_config: null,
};

Deno.test("every argument of redis-py is taken with its default, and with another value", () => {
  const { address, protocol } = parseRedisArgs(PYTHON_DEFAULTS);
  assert.deepEqual(address, { host: "localhost", port: 6379 });
  assert.equal(protocol, 2);
  const ignored = ignoredArguments(PYTHON_DEFAULTS);
  assert.deepEqual(ignored.toSorted(), [
    "decode_responses",
    "encoding",
    "encoding_errors",
    "lib_name",
    "lib_version",
    "retry_on_timeout",
    "single_connection_client",
    "ssl_validate_ocsp",
    "ssl_validate_ocsp_stapled",
  ]);
  parseRedisArgs({
    max_connections: 10,
    retry_on_error: ["x"],
    ssl_ciphers: "A",
  });
});

Deno.test("an argument without effect is said once, at debug", () => {
  const logger = new LineLogger();
  new RedisBackend({ redisArgs: { max_connections: 5, retry: null }, logger });
  assert.deepEqual(logger.lines, [
    "debug: Arguments for Redis without effect here: max_connections.",
  ]);
});

Deno.test("parseRedisArgs takes what is undefined, as a variable that is not set, for not given", () => {
  const unset = Deno.env.get("A_VARIABLE_THAT_IS_NOT_SET");
  const place = { url: unset, host: unset, unix_socket_path: unset };
  const settings = parseRedisArgs({
    ...place,
    username: unset,
    ssl: undefined,
  });
  assert.deepEqual(settings.address, { host: "127.0.0.1", port: 6379 });
  const { address } = parseRedisArgs({
    ...place,
    url: "redis://elsewhere:7000",
  });
  assert.deepEqual(address, { host: "elsewhere", port: 7000 });
});

Deno.test("parseRedisArgs refuses an address with a zone, which node:net cannot connect to", async () => {
  const given: RedisArgs[] = [
    { host: "fe80::1%lo" },
    { url: "redis://[fe80::1%25lo]:6379" },
    { cluster: ["127.0.0.1", "[fe80::1%lo]:6379"] },
    { sentinels: ["[fe80::1%lo]"], serviceName: "mymaster" },
  ];
  for (const args of given) {
    assert.throws(
      () => parseRedisArgs(args),
      /^TypeError: Cannot connect to Redis: .*address with a zone.*give the server a name or another address$/,
    );
  }
  // Whoever sees this fail can take such addresses.
  const socket = connect({ host: "fe80::1%lo", port: 6379 });
  const failure = Promise.withResolvers<Error & { code?: string }>();
  socket.on("error", failure.resolve);
  assert.equal((await failure.promise).code, "EINVAL");
});

Deno.test("Connection says that it looks at the default place where a variable is not set", async () => {
  const port = freePort();
  const logger = new LineLogger();
  const unset = Deno.env.get("A_VARIABLE_THAT_IS_NOT_SET");
  for (const url of [unset, `redis://127.0.0.1:${port}`]) {
    const signal = AbortSignal.timeout(50);
    const args = url === undefined ? { url, port } : { url, host: unset };
    await assert.rejects(Connection.connect(args, { logger, signal }));
  }
  const lines = logger.lines.filter((line) => line.includes("undefined"));
  assert.deepEqual(lines, [
    `warn: \`url\` of the arguments for Redis is undefined, so the server is taken to be at 127.0.0.1:${port}: is a variable of the environment not set?`,
  ]);
});
