import fc from "fast-check";
import assert from "node:assert/strict";
import {
  ConfigError,
  type RedisArgs,
  resolveConfig,
  type ResolveConfigOptions,
} from "../../mod.ts";
import { Folder } from "./folder.ts";
import { NOWHERE, resolved } from "./resolved.ts";

Deno.test("resolveConfig takes each value from the strongest source", async () => {
  const file = `
device_id: from-file
token: sesame
backend.redis: {queue: from-file, poll_seconds: 3}
redis: {host: h, password: secret}
`;
  const env = {
    PLATYPUSH_REDIS_QUEUE: "from-env",
    PLATYPUSH_DEVICE_ID: "from-env",
    PLATYPUSH_REDIS_PORT: "7000",
  };
  const { settings, lines } = await resolved({
    file,
    env,
    flags: { deviceId: "from-flag" },
    code: { device_id: "from-code", redis_args: { db: 3 } },
  });
  assert.deepEqual(settings, {
    "deviceId": "from-code (code)",
    "queue": "from-env (PLATYPUSH_REDIS_QUEUE)",
    "token": "*** (/config.yaml:3:1)",
    "pollSeconds": "3 (/config.yaml:4:35)",
    "redisArgs.host": "h (/config.yaml:5:9)",
    "redisArgs.port": "7000 (PLATYPUSH_REDIS_PORT)",
    "redisArgs.db": "3 (code)",
    "redisArgs.password": "*** (/config.yaml:5:18)",
  });
  assert.deepEqual(lines, []);
});

Deno.test("resolveConfig shows defaults, and leaves them out of the options", async () => {
  const { args, settings } = await resolved({});
  assert.deepEqual(settings, {
    "deviceId": `${Deno.hostname()} (default)`,
    "queue": "platypush/backend/redis (default)",
    "redisArgs.host": "127.0.0.1 (default)",
    "redisArgs.port": "6379 (default)",
    "redisArgs.db": "0 (default)",
  });
  assert.equal(args, undefined);
  const { options, file } = await resolveConfig({ env: NOWHERE });
  assert.deepEqual([options, file], [{}, undefined]);
});

Deno.test("resolveConfig keeps the precedence for every value", async () => {
  const given = fc.option(
    fc.stringMatching(/^[a-z]{1,9}$/).filter((word) =>
      !["yes", "no", "on", "off", "true", "false", "null", "y", "n"].includes(
        word,
      )
    ),
    { nil: undefined },
  );
  const source = fc.record({ queue: given, deviceId: given });
  await fc.assert(
    fc.asyncProperty(
      source,
      source,
      source,
      source,
      async (code, flags, env, file) => {
        const { settings } = await resolved({
          code,
          flags,
          env: {
            PLATYPUSH_REDIS_QUEUE: env.queue,
            PLATYPUSH_DEVICE_ID: env.deviceId,
          },
          file: `device_id: ${file.deviceId ?? ""}\n` +
            `backend.redis:\n  queue: ${file.queue ?? ""}\n`,
        });
        const defaults = {
          queue: "platypush/backend/redis",
          deviceId: Deno.hostname(),
        };
        for (const name of ["queue", "deviceId"] as const) {
          const strongest = [code, flags, env, file, defaults]
            .find((source) => source[name] !== undefined)!;
          assert.ok(settings[name]!.startsWith(`${strongest[name]} (`));
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("the quotes of Docker's env files are taken off, a blank in a queue's name is refused", async () => {
  const { settings } = await resolved({
    env: {
      REDIS_URL: "'redis://:pass@h:7000/1'",
      PLATYPUSH_REDIS_QUEUE: '"lights"',
      PLATYPUSH_DEVICE_ID: "it's",
    },
  });
  assert.equal(settings["redisArgs.url"], "redis://:***@h:7000/1 (REDIS_URL)");
  assert.equal(settings.queue, "lights (PLATYPUSH_REDIS_QUEUE)");
  assert.equal(settings.deviceId, "it's (PLATYPUSH_DEVICE_ID)");
  await assert.rejects(
    resolved({ env: { PLATYPUSH_REDIS_QUEUE: "lights " } }),
    /: PLATYPUSH_REDIS_QUEUE: `queue` has to be .* blank at an end$/,
  );
});

Deno.test("resolveConfig names the source of what is wrong, but shows no value", async () => {
  const wrong: [Parameters<typeof resolved>[0], RegExp][] = [
    [{ env: { REDIS_URL: "hunter2" } }, /: REDIS_URL: `url` has to be redis:/],
    [{ flags: { url: "redis://hunter2:x" } }, /: --url: `url` has to be/],
    [
      { env: { PLATYPUSH_REDIS_PORT: "hunter2" } },
      /: PLATYPUSH_REDIS_PORT: `port` has to be a number from 1 to 65535/,
    ],
    [
      { code: { redisArgs: { password: 2 as unknown as string } } },
      /: code: `password` has to be a text/,
    ],
    [
      { code: { redisArgs: { pasword: "hunter2" } as RedisArgs } },
      /: code: there is no option `pasword`; the nearest one is `password`/,
    ],
    [
      { code: { redisArgs: { sentinels: ["hunter2"] } } },
      /: code: `sentinels` and `serviceName` belong together/,
    ],
  ];
  for (const [sources, message] of wrong) {
    await assert.rejects(resolved(sources), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(Deno.inspect(error), /hunter2/);
      return true;
    });
  }
});

Deno.test("resolveConfig finds the file where it is said to be", async () => {
  await using folder = await Folder.make({
    "code.yaml": "device_id: code\n",
    "flag.yaml": "device_id: flag\n",
    "env.yaml": "device_id: env\n",
    "xdg/platypush/config.yaml": "device_id: xdg\n",
    "home/.config/platypush/config.yaml": "device_id: home\n",
    "home/own.yaml": "device_id: own\n",
  });
  const env = {
    PLATYPUSH_CONFIG: folder.file("env.yaml"),
    XDG_CONFIG_HOME: folder.file("xdg"),
    HOME: folder.file("home"),
  };
  const deviceId = async (
    sources: ResolveConfigOptions,
  ): Promise<[string | undefined, string | undefined]> => {
    const { options, file } = await resolveConfig(sources);
    return [options.deviceId, file?.replace(folder.path, "")];
  };
  const flags = { config: folder.file("flag.yaml") };
  const path = folder.file("code.yaml");
  assert.deepEqual(await deviceId({ path, flags, env }), [
    "code",
    "/code.yaml",
  ]);
  assert.deepEqual(await deviceId({ flags, env }), ["flag", "/flag.yaml"]);
  assert.deepEqual(await deviceId({ env }), ["env", "/env.yaml"]);
  const { PLATYPUSH_CONFIG: _, ...usual } = env;
  assert.deepEqual(await deviceId({ env: usual }), [
    "xdg",
    "/xdg/platypush/config.yaml",
  ]);
  const { XDG_CONFIG_HOME: __, ...home } = usual;
  assert.deepEqual(await deviceId({ env: home }), [
    "home",
    "/home/.config/platypush/config.yaml",
  ]);
  assert.deepEqual(
    await deviceId({ env: { ...home, PLATYPUSH_CONFIG: "~/own.yaml" } }),
    ["own", "/home/own.yaml"],
  );
  await assert.rejects(
    resolveConfig({ env: { PLATYPUSH_CONFIG: folder.file("gone.yaml") } }),
    /gone\.yaml does not exist$/,
  );
});
