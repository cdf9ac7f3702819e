import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { Program, runProgram, whyNoTerminals } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { at, push, QUEUE, queued } from "./helpers.ts";
import { testUnless } from "../test_unless.ts";

const QUIET = ["--log-level", "error"];

function numbersIn(stdout: string): number[] {
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line).args.n);
}

Deno.test("listen prints so many messages, and leaves the others where they were", async () => {
  await using server = await TestServer.start();
  await push(server, 6);
  for (const first of [0, 2]) {
    const { code, stdout } = await runProgram(
      ["cli.ts", "listen", "--count", "2", ...at(server)],
    );
    assert.equal(code, 0);
    assert.deepEqual(numbersIn(stdout), [first, first + 1]);
  }
  const left = await queued(server);
  assert.deepEqual(left.map(({ args }) => (args as { n: number }).n), [4, 5]);
});

Deno.test("listen prints what passes all filters", async () => {
  await using server = await TestServer.start();
  await push(server, 8);
  const { code, stdout, stderr } = await runProgram([
    "cli.ts",
    "listen",
    "--filter",
    "args.type=custom.Even",
    "--filter",
    'args.n={"$gt": 3}',
    "--count",
    "2",
    ...QUIET,
    ...at(server),
  ]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(numbersIn(stdout), [4, 6]);
});

Deno.test("listen ends quietly when nobody reads any more, and keeps what it has not printed", async () => {
  await using server = await TestServer.start();
  await push(server, 2000);
  const program = new URL("../../cli.ts", import.meta.url).pathname;
  const listenInto = async (reader: string): Promise<string> => {
    const pipe = `"$@" | ${reader}; exit "\${PIPESTATUS[0]}"`;
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: [
        ...["-c", pipe, "bash", Deno.execPath(), "run", "--quiet", "-A"],
        ...[program, "listen", ...QUIET, ...at(server)],
      ],
    }).output();
    const decoder = new TextDecoder();
    assert.equal(decoder.decode(stderr), "");
    assert.equal(code, 0);
    return decoder.decode(stdout);
  };
  assert.equal(await listenInto("true"), "");
  assert.equal((await queued(server)).length, 2000);
  const seen: number[] = [];
  // Three times: what comes back so often must not count as failed.
  for (let time = 0; time < 3; time++) {
    seen.push(...numbersIn(await listenInto("head -n 3")));
  }
  assert.equal(seen.length, 9);
  const left = (await queued(server))
    .map(({ args }) => (args as { n: number }).n);
  // What went into the pipe counts as printed; the rest is there, in order.
  const [next] = left;
  assert.ok(next! > seen.at(-1)!);
  assert.deepEqual(
    left,
    Array.from({ length: 2000 - next! }, (_, n) => next! + n),
  );
  assert.equal(await server.run("EXISTS", `{${QUEUE}}:dead`), 0);
  assert.equal(await server.run("EXISTS", `{${QUEUE}}:retry`), 0);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`listen ends cleanly with ${signal}`, async () => {
    await using server = await TestServer.start();
    await using listen = new Program(["cli.ts", "listen", ...at(server)]);
    await push(server, 1);
    await listen.line();
    const { code, stderr } = await listen.end(signal);
    assert.equal(code, 0);
    assert.doesNotMatch(stderr, /error|WRN|ERR/);
    assert.deepEqual(await server.run("KEYS", "*"), []);
  });
}

Deno.test("listen --embedded starts a server, says where, and takes it along", async () => {
  await using listen = new Program(
    ["cli.ts", "listen", "--embedded", "--device-id", "hall"],
  );
  const url = await listen.says(/REDIS_URL=(unix:\S+)/);
  await listen.says(/Listening to/);
  const sent = await runProgram(
    ["cli.ts", "send", "event", "custom.A", "--target", "hall"],
    { env: { REDIS_URL: url } },
  );
  assert.equal(sent.code, 0, sent.stderr);
  assert.equal(JSON.parse(await listen.line()).args.type, "custom.A");
  assert.equal((await listen.end("SIGINT")).code, 0);
  await assert.rejects(
    Deno.stat(url.replace("unix://", "")),
    Deno.errors.NotFound,
  );
});

Deno.test("listen --embedded ends cleanly when it is still starting, or its server is", async () => {
  const command = ["cli.ts", "listen", "--embedded", "--device-id", "hall"];
  await using listen = new Program(command);
  await listen.says(/REDIS_URL=/);
  assert.equal((await listen.end("SIGINT")).code, 0);

  const folder = await Deno.makeTempDir();
  try {
    // A server that starts when it is let.
    const PATH = Deno.env.get("PATH")!;
    await Deno.writeTextFile(
      `${folder}/redis-server`,
      `#!/bin/sh
      PATH='${PATH}'
      : > '${folder}/started'
      until [ -e '${folder}/go' ]; do sleep 0.01; done
      exec "$(command -v redis-server || command -v valkey-server)" "$@"`,
      { mode: 0o755 },
    );
    await using early = new Program(command, {
      env: { PATH: `${folder}:${PATH}` },
    });
    await until(() => existsSync(`${folder}/started`));
    const ended = early.end("SIGINT");
    await Deno.writeTextFile(`${folder}/go`, "");
    const { code, stderr } = await ended;
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /Listening/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

testUnless(
  whyNoTerminals(),
  "listen is short and coloured on a terminal, which no message can steer",
  async () => {
    await using server = await TestServer.start();
    const evil = { type: "custom.Evil", text: "\x1b]\x07\x9b2J" };
    const message = JSON.stringify({
      type: "event",
      target: "hall",
      origin: "\x1b[31meve",
      args: evil,
    });
    await server.run("RPUSH", QUEUE, message, message, message, message);
    const listen = async (
      more: string[] = [],
      env: Record<string, string> = {},
    ): Promise<string> => {
      const { code, stdout } = await runProgram(
        ["cli.ts", "listen", "--count", "1", ...more, ...QUIET, ...at(server)],
        { isOnTerminal: true, env },
      );
      assert.equal(code, 0, stdout);
      return stdout;
    };
    const colored = await listen();
    // deno-lint-ignore no-control-regex -- they are what is looked for
    const plain = colored.replace(/\x1b\[\d*[mGKJ]/g, "");
    assert.match(
      plain,
      /\d\d:\d\d:\d\d event +custom\.Evil \\u\{1b\}\[31meve → hall text="\\u001b\]\\u0007\\u\{9b\}2J"\r\n$/,
    );
    assert.ok(colored.includes("\x1b[1mcustom.Evil\x1b[22m"));
    assert.ok(!(await listen([], { TERM: "dumb" })).includes("\x1b"));
    // deno-lint-ignore no-control-regex -- they are what is looked for
    assert.doesNotMatch(await listen(["--no-color"]), /\x1b\[\d*m/);
    const json = await listen(["--json", "--no-color"]);
    // deno-lint-ignore no-control-regex -- they are what is looked for
    assert.doesNotMatch(json.slice(json.indexOf("{")), /[\x1b\x9b]/);
    const [line] = json.slice(json.indexOf("{")).split("\r\n");
    assert.deepEqual(JSON.parse(line!).args, evil);
  },
);
