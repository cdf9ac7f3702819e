import assert from "node:assert/strict";
import { loadConfig } from "../../mod.ts";
import { Folder, refuses } from "./folder.ts";
import { loadFiles as load } from "./load.ts";

Deno.test("`include` takes sections from other files, the last one counts", async () => {
  const { options, lines } = await load({
    "config.yaml": `
device_id: first
include:
  - sub/a.yaml
  -
  - sub/b.yaml
redis: {host: last}
`,
    "sub/a.yaml": "device_id: a\nredis: {host: a}\ninclude: deep/c.yaml\n",
    "sub/b.yaml": "",
    "sub/deep/c.yaml": "backend.redis: {queue: c}\n",
  });
  assert.deepEqual(options, {
    deviceId: "a",
    queue: "c",
    redisArgs: { host: "last" },
  });
  assert.deepEqual(lines, []);
});

Deno.test("`!include` is replaced by what is in the file", async () => {
  const { options, lines } = await load({
    "config.yaml": `
device_id: !include id.yaml
light.hue: !include missing.yaml
backend.redis:
  queue: [!include id.yaml, b]
  redis_args: !include [sub/server.yaml, sub/secret.yaml]
`,
    "id.yaml": "livingroom\n",
    "sub/server.yaml": "host: h\npassword: none\n",
    "sub/secret.yaml": "password: !include password.yaml\n",
    "sub/password.yaml": "sesame # open\n",
  });
  assert.deepEqual(options, {
    deviceId: "livingroom",
    queue: ["livingroom", "b"],
    redisArgs: { host: "h", password: "sesame" },
  });
  assert.deepEqual(lines, []);
});

Deno.test("one file may be included several times, but not by itself", async () => {
  const { options } = await load({
    "config.yaml": "include: [a.yaml, b.yaml]\n",
    "a.yaml": "include: c.yaml\n",
    "b.yaml": "include: c.yaml\n",
    "c.yaml": "device_id: c\n",
  });
  assert.deepEqual(options, { deviceId: "c" });

  await refuses(
    {
      "config.yaml": "\ninclude: a.yaml\n",
      "a.yaml": "include: config.yaml\n",
    },
    "/config.yaml (included by /a.yaml:1:1, included by /config.yaml:2:1) includes itself",
  );
  await refuses(
    {
      "config.yaml": "redis: !include a.yaml\n",
      "a.yaml": "!include a.yaml\n",
    },
    "/a.yaml (included by /a.yaml:1:10, included by /config.yaml:1:1) includes itself",
  );
});

Deno.test("a missing file under `include` is reported, and the rest is read", async () => {
  const { options, lines } = await load({
    "config.yaml": "include: [gone.yaml, a.yaml]\ndevice_id: x\n",
    "a.yaml": "include: [b/c.yaml]\nredis: {host: h}\n",
  });
  assert.deepEqual(options, { deviceId: "x", redisArgs: { host: "h" } });
  assert.deepEqual(lines, [
    "warn: /gone.yaml (included by /config.yaml:1:1) does not exist, and is passed over.",
    "warn: /b/c.yaml (included by /a.yaml:1:1, included by /config.yaml:1:1) does not exist, and is passed over.",
  ]);
});

Deno.test("values that are included have to be there, and files be right", async () => {
  await refuses(
    { "config.yaml": "redis:\n  password: !include secret.yaml\n" },
    "/secret.yaml (included by /config.yaml:2:3) does not exist",
  );
  await refuses(
    { "config.yaml": "include: a.yaml\n", "a.yaml": "redis: {port: x}\n" },
    "/a.yaml:1:9: `redis.port` has to be a number from 1 to 65535",
  );
  await refuses(
    { "config.yaml": "include: {a: b}\n" },
    "/config.yaml:1:1: `include` has to be the name of a file, or a list of names",
  );
  await refuses(
    { "config.yaml": "redis: !include {a: b}\n" },
    "/config.yaml:1:17: `!include` has to be followed by the name of a file, or by a list of names",
  );
  await refuses(
    {
      "config.yaml": "redis: !include [a.yaml, b.yaml]\n",
      "a.yaml": "host: h\n",
      "b.yaml": "hunter2\n",
    },
    "/b.yaml:1:1: a file in a list of included ones has to be a mapping, with lines like `name: value`",
  );
});

Deno.test("includes that grow without end are refused", async () => {
  await refuses(
    { "config.yaml": `include: [${"a.yaml, ".repeat(200)}]\n`, "a.yaml": "" },
    "/a.yaml (included by /config.yaml:1:1) is too much: 100 files are read, and includes of includes 20 deep",
  );
  const chain = Array.from(
    { length: 30 },
    (_, index) => [`${index}.yaml`, `include: ${index + 1}.yaml\n`],
  );
  await using folder = await Folder.make(Object.fromEntries(chain));
  await assert.rejects(
    loadConfig(folder.file("0.yaml"), { env: {} }),
    /21\.yaml \(included by .* is too much/,
  );
});
