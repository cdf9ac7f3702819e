import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { Connection } from "../../mod.ts";
import { Program, runProgram } from "../programs.ts";
import { freePort, TestServer } from "../servers.ts";
import { testAlone } from "../test_alone.ts";

const QUEUE = "platypush/backend/redis";

function event(type: string, target = Deno.hostname()): string {
  return JSON.stringify({ type: "event", target, args: { type } });
}

/** The path of the private server that a program says it has started. */
async function socketOf(program: Program): Promise<string> {
  return await program.says(/REDIS_URL=unix:\/\/(\S+)/);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  testAlone(
    `examples/listen.ts starts a private server, advertises itself, prints messages, and ends with ${signal}`,
    async (namespace) => {
      await using listen = new Program(["examples/listen.ts"], { namespace });
      const path = await socketOf(listen);
      await listen.says(/Advertised as \S+\._platypush-redis\._tcp\.local\./);
      await using redis = await Connection.connect({ unix_socket_path: path });
      await redis.command(["RPUSH", QUEUE, event("custom.One"), "rubbish"]);
      await redis.command(["RPUSH", QUEUE, event("custom.Two")]);
      assert.equal(JSON.parse(await listen.line()).args.type, "custom.One");
      assert.equal(JSON.parse(await listen.line()).args.type, "custom.Two");
      await listen.says(
        /A message of "platypush\/backend\/redis" has become a dead letter \(malformed\): .*`platypush-redis dead list` shows it\./,
      );

      await using peer = new Program(["examples/discover.ts"], { namespace });
      const found = JSON.parse(await peer.line());
      assert.equal(found.deviceId, Deno.hostname());
      assert.equal(found.queue, QUEUE);

      await redis.close();
      const { code, stdout, stderr } = await listen.end(signal);
      assert.equal(code, 0);
      assert.match(stderr, /Withdrew \S+/);
      // Neither a message about itself, nor a warning that its user can do nothing about.
      assert.equal(stdout.trim().split("\n").length, 2);
      assert.doesNotMatch(stderr, /socket: |subscrib(er|es) .*(left|gone)/);
      assert.equal(existsSync(path), false);
      const after = await runProgram(["examples/discover.ts"], { namespace });
      assert.deepEqual([after.code, after.stdout], [1, ""]);
      assert.match(after.stderr, /^error: Nobody was found [^\n]*\n$/);
    },
  );
}

for (
  const args of [
    ["examples/listen.ts"],
    ["examples/worker.ts"],
    ["examples/plain_channel.ts"],
    ["cli.ts", "listen", "--embedded"],
  ]
) {
  testAlone(
    `${
      args.join(" ")
    } ends with a signal that comes while its private server starts`,
    async (namespace) => {
      const folder = await Deno.makeTempDir();
      try {
        await Deno.writeTextFile(
          `${folder}/redis-server`,
          `#!/bin/sh\nkill -INT $PPID\nPATH=\${PATH#*:}\nexec redis-server "$@"\n`,
          { mode: 0o755 },
        );
        const PATH = `${folder}:${Deno.env.get("PATH")}`;
        await using program = new Program(args, { namespace, env: { PATH } });
        const path = await socketOf(program);
        const { code, stderr } = await program.end();
        assert.equal(code, 0);
        assert.doesNotMatch(stderr, /error|Listening/);
        assert.equal(existsSync(path), false);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}

testAlone(
  "examples/listen.ts uses the server, the queue and the device id of the environment, with few permissions",
  async (namespace) => {
    await using server = await TestServer.start({ socket: true });
    const path = server.args.unix_socket_path!;
    await using listen = new Program(["examples/listen.ts"], {
      namespace,
      env: {
        REDIS_URL: server.url,
        PLATYPUSH_REDIS_QUEUE: "other",
        PLATYPUSH_DEVICE_ID: "*",
      },
      permissions: [
        "--allow-net",
        "--allow-sys",
        "--allow-env",
        `--allow-read=${path}`,
        `--allow-write=${path}`,
      ],
    });
    await listen.says(/Listening to "other" on \S+ for everybody/);
    await server.run("RPUSH", "other", event("custom.One", "kitchen"));
    assert.equal(JSON.parse(await listen.line()).target, "kitchen");
    const { code, stderr } = await listen.end("SIGINT");
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /private/);
  },
);

testAlone(
  "examples/listen.ts ends while it still waits for the server",
  async (namespace) => {
    await using listen = new Program(["examples/listen.ts"], {
      namespace,
      env: { REDIS_URL: "redis://127.0.0.1:6379" },
    });
    await listen.says(/refused.* Trying again/i);
    const { code, stderr } = await listen.end("SIGINT");
    assert.equal(code, 0);
    assert.doesNotMatch(stderr, /error:|at file:/);
  },
);

Deno.test("examples/send.ts sends values that are JSON or texts", async () => {
  await using server = await TestServer.start();
  const env = {
    REDIS_URL: server.url,
    PLATYPUSH_DEVICE_ID: "kitchen",
  };
  const args = ["custom.Motion", "room=hall", "seen=true", "text=a=b"];
  const { code, stdout } = await runProgram(["examples/send.ts", ...args], {
    env,
  });
  assert.equal(code, 0);
  const sent = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  assert.equal(stdout, `${sent[0]}\n`);
  const { target, args: values } = JSON.parse(sent[0]!);
  assert.equal(target, "kitchen");
  assert.deepEqual(values, {
    room: "hall",
    seen: true,
    text: "a=b",
    type: "custom.Motion",
  });
});

Deno.test("examples/send.ts says that it waits for the server, and ends meanwhile", async () => {
  await using send = new Program(["examples/send.ts"], {
    env: { REDIS_URL: `redis://127.0.0.1:${freePort()}` },
  });
  await send.says(/refused.* Trying again/i);
  const { stdout, stderr } = await send.end("SIGINT");
  assert.equal(stdout, "");
  assert.doesNotMatch(stderr, /at file:/);
});

Deno.test("examples/bus.ts needs no Redis", async () => {
  const { code, stdout, stderr } = await runProgram(["examples/bus.ts"], {
    permissions: ["--allow-sys=hostname", "--allow-env=PLATYPUSH_DEBUG"],
  });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(stdout.split("\n"), [
    '{"type":"custom.Temperature","room":"hall","celsius":21}',
    "It is hot in the attic",
    '{"type":"custom.Temperature","room":"attic","celsius":31}',
    "",
  ]);
});

for (const example of ["worker", "plain_channel"]) {
  Deno.test(`examples/${example}.ts prints messages until SIGTERM`, async () => {
    await using server = await TestServer.start();
    await using program = new Program([`examples/${example}.ts`], {
      env: { REDIS_URL: server.url },
    });
    await program.says(/: consuming/);
    await server.run("RPUSH", QUEUE, event("custom.One"), event("custom.Two"));
    assert.equal(JSON.parse(await program.line()).args.type, "custom.One");
    assert.equal(JSON.parse(await program.line()).args.type, "custom.Two");
    const { code, stderr } = await program.end("SIGTERM");
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /error:|at file:/);
  });
}

testAlone(
  "examples/demo passes its messages through everything",
  async (namespace) => {
    const { code, stdout, stderr } = await runProgram(
      ["examples/demo/main.ts"],
      {
        namespace,
      },
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /found again at 127\.0\.0\.1, with the queue \S+/);
    assert.match(stdout, /20 sent, 20 here, 20 in the worker, in order/);
  },
);

Deno.test("examples tell in one line what is wrong", async () => {
  await using server = await TestServer.start({
    config: ["requirepass right"],
    redisArgs: { password: "right" },
  });
  const refused = await runProgram(["examples/worker.ts"], {
    env: { REDIS_URL: server.url.replace("//", "//:wr0ng@") },
  });
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /^error: .*password.*\n$/);
  assert.doesNotMatch(refused.stderr, /wr0ng/);
  const unknown = await runProgram(["examples/worker.ts"], {
    env: { REDIS_URL: "http://127.0.0.1" },
  });
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /^error: .*redis:\/\/.*\n$/);
  const missing = await runProgram(["examples/worker.ts"], {
    permissions: ["--allow-env", "--allow-sys", "--allow-read"],
  });
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /^error: .*--allow-\w+/);
  assert.doesNotMatch(missing.stderr, /at file:/);
});
