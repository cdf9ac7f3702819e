import fc from "fast-check";
import assert from "node:assert/strict";
import type { RedisArgs } from "../../mod.ts";
import { parseRedisArgs } from "../../src/redis/settings.ts";
import { resolved } from "./resolved.ts";

const SERVERS: Record<
  string,
  [sources: Parameters<typeof resolved>[0], args: RedisArgs, warning?: RegExp]
> = {
  "a URL from the environment leaves out the file's server": [
    {
      file: "redis: {host: a, port: 1, db: 2, username: u, password: p, " +
        "ssl: true, ssl_cert_reqs: none, socket_timeout: 3}\n",
      env: { REDIS_URL: "redis://b" },
    },
    { socket_timeout: 3, url: "redis://b" },
    /^warn: `password` from .config.yaml:1:47 is not used, since REDIS_URL names the server; give its credentials there$/,
  ],
  "a URL with a password needs no warning": [
    {
      file: "redis: {host: a, password: p}\n",
      flags: { url: "redis://:q@b" },
    },
    { url: "redis://:q@b" },
  ],
  "a password beside a URL in the file is not sent elsewhere either": [
    {
      file: "redis: {url: 'redis://:p@a'}\n",
      flags: { url: "redis://b" },
    },
    { url: "redis://b" },
    /^warn: `password` from .config.yaml:1:9 is not used, since --url names the server/,
  ],
  "the command line's URL counts more than the environment's": [
    { env: { REDIS_URL: "redis://a" }, flags: { url: "redis://b" } },
    { url: "redis://b" },
  ],
  "a password in code goes to the server of the URL": [
    {
      env: { REDIS_URL: "redis://u@a" },
      code: { redisArgs: { password: "p" } },
    },
    { username: "u", host: "a", port: 6379, password: "p" },
  ],
  "a password in code counts more than one in the URL": [
    {
      env: { REDIS_URL: "rediss://:q@a/3" },
      code: { redisArgs: { password: "p" } },
    },
    { password: "p", host: "a", port: 6379, ssl: true, db: 3 },
  ],
  "a time limit in code leaves the URL as it is": [
    {
      env: { REDIS_URL: "redis://a" },
      code: { redisArgs: { socket_timeout: 1 } },
    },
    { url: "redis://a", socket_timeout: 1 },
  ],
  "a host in code replaces the host of a URL": [
    {
      env: { REDIS_URL: "redis://:q@a:7/3" },
      code: { redisArgs: { host: "b" } },
    },
    { password: "q", host: "b", port: 7, db: 3 },
  ],
  "a host from the environment replaces a socket": [
    {
      file: "redis: {unix_socket_path: /run/redis.sock, password: p}\n",
      env: { PLATYPUSH_REDIS_HOST: "b", PLATYPUSH_REDIS_PORT: "7" },
    },
    { password: "p", host: "b", port: 7 },
  ],
  "a host from the environment replaces sentinels": [
    {
      file:
        "redis: {sentinels: ['a:1'], serviceName: m, sentinelPassword: s}\n",
      env: { PLATYPUSH_REDIS_HOST: "b" },
    },
    { host: "b" },
  ],
  "REDIS_URL counts more than PLATYPUSH_REDIS_HOST": [
    { env: { REDIS_URL: "redis://a", PLATYPUSH_REDIS_HOST: "b" } },
    { url: "redis://a" },
  ],
  "a socket in code replaces a URL": [
    {
      env: { REDIS_URL: "redis://a/3" },
      code: { redisArgs: { unix_socket_path: "/run/redis.sock" } },
    },
    { unix_socket_path: "/run/redis.sock" },
  ],
  "a socket that is null leaves the server as it is": [
    {
      file: "redis: {host: a, password: p}\n",
      code: { redisArgs: { unix_socket_path: null } },
    },
    { host: "a", password: "p", unix_socket_path: null },
  ],
  "an empty variable is none": [
    { file: "redis: {host: a}\n", env: { REDIS_URL: "" }, flags: { url: "" } },
    { host: "a" },
  ],
  "`redis` counts where `redis_args` is empty": [
    { file: "backend.redis: {redis_args: {}}\nredis: {host: a}\n" },
    { host: "a" },
  ],
  "`redis` does not complete `redis_args`": [
    {
      file:
        "backend.redis: {redis_args: {port: 1}}\nredis: {host: a, password: '${UNSET}'}\n",
    },
    { port: 1 },
  ],
  "a disabled section does not count": [
    {
      file:
        "backend.redis: {disabled: true, queue: q, redis_args: {port: 1}}\nredis: {host: a}\n",
    },
    { host: "a" },
  ],
};

for (const [name, [sources, expected, warning]] of Object.entries(SERVERS)) {
  Deno.test(`resolveConfig: ${name}`, async () => {
    const { args, lines } = await resolved(sources);
    assert.deepEqual(args, expected);
    assert.equal(lines.length, warning ? 1 : 0, lines.join("\n"));
    if (warning) assert.match(lines[0]!, warning);
  });
}

/** Sources of a server, of which each says one thing at most. */
const place = fc.oneof(
  fc.constant({}),
  fc.record({
    url: fc.stringMatching(/^redis:\/\/:url[a-z]{3}@[a-z]{4}:7\d{3}$/),
  }),
  fc.record({ unix_socket_path: fc.stringMatching(/^\/run\/[a-z]{4}$/) }),
  fc.record({
    host: fc.stringMatching(/^h[a-z]{4}$/),
    port: fc.integer({ min: 1, max: 65535 }),
  }),
);

Deno.test("resolveConfig connects to the server of the strongest source that names one", async () => {
  await fc.assert(
    fc.asyncProperty(place, place, async (code, file) => {
      const { args } = await resolved({
        code: { redisArgs: code },
        file: `redis: ${JSON.stringify({ ...file, password: "fromfile" })}\n`,
      });
      const isSaid = Object.keys(code).length > 0;
      const settings = parseRedisArgs(args);
      const expected = parseRedisArgs(isSaid ? code : file);
      assert.deepEqual(settings.address, expected.address);
      const isWhole = isSaid && !("host" in code);
      if (isWhole) assert.equal(settings.password, expected.password);
    }),
    { numRuns: 100 },
  );
});
