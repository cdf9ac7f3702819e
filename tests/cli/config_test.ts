import assert from "node:assert/strict";
import { runProgram } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { queued } from "./helpers.ts";

async function configured(
  yaml: string,
): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(path, yaml);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

Deno.test("config --show tells where each setting comes from, and no secret", async () => {
  await using file = await configured(
    "device_id: hall\nbackend.redis: {queue: lights, stop_timeout: .inf}\nredis: {host: r.example, password: secret}\n",
  );
  const show = (...more: string[]): ReturnType<typeof runProgram> =>
    runProgram(["cli.ts", "config", "--show", ...more], {
      env: { PLATYPUSH_CONFIG: file.path, PLATYPUSH_REDIS_QUEUE: "doors" },
    });
  const text = await show("--device-id", "kitchen");
  assert.deepEqual([text.code, text.stderr], [0, ""]);
  assert.match(
    text.stdout,
    /^deviceId: "kitchen" +\(command line, --device-id\)$/m,
  );
  assert.match(
    text.stdout,
    /^queue: "doors" +\(environment, PLATYPUSH_REDIS_QUEUE\)$/m,
  );
  assert.match(
    text.stdout,
    /^redisArgs.host: "r.example" +\(file, .*\.yaml:3:\d+\)$/m,
  );
  // JSON has no infinity, and null would be a default.
  assert.match(text.stdout, /^stopTimeout: "Infinity" +\(file, /m);
  assert.match(text.stdout, /^redisArgs.password: "\*\*\*"/m);
  assert.doesNotMatch(text.stdout, /secret/);
  const json = await show("--json", "--url", "redis://:secret@u.example");
  assert.doesNotMatch(json.stdout, /secret/);
  const settings = json.stdout.trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.deepEqual(settings.find(({ name }) => name === "redisArgs.url"), {
    name: "redisArgs.url",
    value: "redis://:***@u.example",
    source: "command line",
    origin: "--url",
  });
});

Deno.test("commands use the configuration file", async () => {
  await using server = await TestServer.start();
  await using file = await configured(
    `device_id: hall\nredis: ${JSON.stringify(server.args)}\n`,
  );
  const { code, stderr } = await runProgram(
    ["cli.ts", "send", "event", "custom.A", "--config", file.path],
  );
  assert.equal(code, 0, stderr);
  assert.equal((await queued(server))[0]!.target, "hall");
});

Deno.test("a configuration that makes no sense is an error of use", async () => {
  await using file = await configured("redis: {port: many}\n");
  for (const path of [file.path, "/nowhere.yaml"]) {
    const { code, stderr } = await runProgram(
      ["cli.ts", "config", "--config", path],
    );
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^error: [^\n]+\n$/);
    assert.ok(stderr.includes(path), stderr);
  }
});

Deno.test("A command warns once of a name in the file that is not known", async () => {
  await using server = await TestServer.start();
  await using file = await configured("backend.redis: {que: lights}\n");
  const commands = [
    ["pause"],
    ["send", "event", "custom.Motion"],
    ["send", "request", "light.on"],
  ];
  for (const command of commands) {
    const { code, stderr } = await runProgram(
      ["cli.ts", ...command, "--config", file.path, "--url", server.url],
    );
    assert.equal(code, 0, stderr);
    assert.equal(stderr.match(/`que` is not known/g)?.length, 1, stderr);
  }
});
