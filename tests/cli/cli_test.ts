import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { Event, RedisBackend, Request, VERSION } from "../../mod.ts";
import { Namespace, whyNoNamespaces } from "../namespaces.ts";
import { Program, runProgram } from "../programs.ts";
import { freePort, TestServer } from "../servers.ts";

const QUEUE = "platypush/backend/redis";
const reason = await whyNoNamespaces();

function url(server: TestServer): string {
  return `unix://${server.args.unix_socket_path}`;
}

async function queued(server: TestServer): Promise<Record<string, unknown>[]> {
  const texts = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  return texts.map((text) => JSON.parse(text));
}

Deno.test("the command line tells its version, which is the package's, and its usage", async () => {
  const version = await runProgram(["cli.ts", "--version"]);
  assert.deepEqual(version, { code: 0, stdout: `${VERSION}\n`, stderr: "" });
  assert.equal(VERSION, config.version);
  for (const args of [["--help"], []]) {
    const { code, stdout } = await runProgram(["cli.ts", ...args]);
    assert.equal(code, 0);
    assert.match(stdout, /^Messages between programs.*\nUsage:/);
  }
});

Deno.test("the command line tells in one line that it was used wrongly", async () => {
  const wrong: [args: string[], error: RegExp][] = [
    [["lissen"], /Unexpected "lissen", did you mean "listen"\?/],
    [["--versoin"], /did you mean "--version"\?/],
    [
      ["listen", "--cuont", "1"],
      /Unexpected "--cuont", did you mean "--count"/,
    ],
    [["listen", "--count", "many"], /--count.* a whole number above 0.*"many"/],
    [["listen", "--count"], /--count.* requires `N`/],
    [["listen", "--log-level", "ifno"], /--log-level.*Did you mean "info"\?/],
    [
      ["listen", "--ulr=redis://:secret@h"],
      /Unexpected "--ulr", did you mean "--url"/,
    ],
    [["listen", "extra"], /Unexpected "extra"/],
    [["send"], /Expected a command: event, request, message/],
    [["send", "letter", "x"], /"letter", expected event, request, message/],
    [["send", "event"], /Expected a `TYPE`/],
    [["send", "event", "custom.A", "x"], /expected NAME=VALUE.* "x"/],
    [["send", "event", "custom.A", "--wait", "1"], /Unexpected "--wait"/],
    [["send", "request", "light.on", "--wait", "0"], /--wait.*seconds above 0/],
    [["completions", "tcsh"], /"tcsh".*"bash", "fish", .*"zsh"/],
  ];
  for (const [args, error] of wrong) {
    const { code, stdout, stderr } = await runProgram(["cli.ts", ...args]);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, error);
    assert.match(stderr, /^error: [^\n]+\n$/);
  }
});

Deno.test("listen prints so many messages", async () => {
  await using server = await TestServer.start();
  await using listen = new Program([
    "cli.ts",
    "listen",
    "--url",
    url(server),
    "--device-id",
    "hall",
    "--count",
    "2",
  ]);
  await listen.says(/Listening to/);
  await using backend = new RedisBackend({
    redisArgs: server.args,
    deviceId: "hall",
  });
  for (const type of ["custom.One", "custom.Two"]) {
    await backend.sendEvent({ args: { type } });
  }
  const { code, stdout } = await listen.end();
  assert.equal(code, 0);
  const types = stdout.trim().split("\n").map((line) => JSON.parse(line).args);
  assert.deepEqual(types, [{ type: "custom.One" }, { type: "custom.Two" }]);
});

Deno.test("listen ends quietly when nobody reads any more", async () => {
  await using server = await TestServer.start();
  const { redisArgs } = { redisArgs: server.args };
  await using backend = new RedisBackend({ redisArgs, deviceId: "hall" });
  const program = new URL("../../cli.ts", import.meta.url).pathname;
  let isOver = false;
  const output = new Deno.Command("bash", {
    args: [
      "-c",
      `set -o pipefail; "$1" run -A "$2" listen --url "$3" --device-id hall --log-level error | head -1`,
      "bash",
      Deno.execPath(),
      program,
      url(server),
    ],
  }).output().finally(() => isOver = true);
  const args = { type: "custom.A" };
  // Only who writes finds out that nobody reads.
  while (!isOver) {
    await backend.sendMessage(new Event({ args, target: "hall" }));
    await Promise.race([
      output,
      new Promise((resolve) => setTimeout(resolve, 20)),
    ]);
  }
  const { code, stdout, stderr } = await output;
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.equal(new TextDecoder().decode(stdout).split("\n").length, 2);
  assert.equal(new TextDecoder().decode(stderr), "");
});

Deno.test("send event and send message push to the queue", async () => {
  await using server = await TestServer.start();
  const common = ["--url", url(server), "--device-id", "hall"];
  const send = async (...args: string[]): Promise<void> => {
    const ended = await runProgram(["cli.ts", "send", ...args, ...common]);
    assert.deepEqual(ended, { code: 0, stdout: "", stderr: "" });
  };
  await send("event", "custom.A", "n=1", 'list=["x"]', "--target", "kitchen");
  await send("message", `{'type': 'event', 'args': {'type': 'custom.B'}}`);
  await send("request", "light.on", "room=hall");
  const [event, message, request] = await queued(server);
  assert.deepEqual(event!.args, { type: "custom.A", n: 1, list: ["x"] });
  assert.deepEqual([event!.target, event!.origin], ["kitchen", "hall"]);
  assert.deepEqual(message!.args, { type: "custom.B" });
  assert.equal(request!.action, "light.on");
  assert.deepEqual(request!.args, { room: "hall" });
});

Deno.test("send request --wait prints the response, and tells of errors by its exit code", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    deviceId: "hall",
  });
  backend.bus.registerHandler(Request, async (request) => {
    const outcome = request.action === "good"
      ? { output: 5 }
      : { errors: ["no"] };
    await backend.sendResponse(outcome, request);
  });
  await backend.start();
  const ask = (action: string, seconds = "5"): ReturnType<typeof runProgram> =>
    runProgram([
      "cli.ts",
      "send",
      "request",
      action,
      "--target",
      "hall",
      "--wait",
      seconds,
      "--url",
      url(server),
    ]);
  const good = await ask("good");
  assert.equal(good.code, 0, good.stderr);
  assert.equal(JSON.parse(good.stdout).response.output, 5);
  const bad = await ask("bad");
  assert.equal(bad.code, 1);
  assert.deepEqual(JSON.parse(bad.stdout).response.errors, ["no"]);
  await backend.stop();
  const none = await ask("good", "0.1");
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^error: No response .* within 0.1 s/);
});

Deno.test("send tells that there is no server", async () => {
  const port = freePort();
  const { code, stderr } = await runProgram([
    "cli.ts",
    "send",
    "event",
    "custom.A",
    "--url",
    `redis://127.0.0.1:${port}`,
  ]);
  assert.equal(code, 3);
  assert.match(
    stderr,
    new RegExp(`WRN.*127\\.0\\.0\\.1:${port}.*refused`, "i"),
  );
  assert.match(stderr, /\nerror: Cannot send to [^\n]+\n$/);
});

Deno.test({
  name: `listen --advertise is found by discover${
    reason ? ` (skipped: ${reason})` : ""
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    await using namespace = await Namespace.make();
    const discover = ["cli.ts", "discover"];
    const nobody = await runProgram([...discover, "--timeout", "0.5"], {
      namespace,
    });
    assert.deepEqual([nobody.code, nobody.stdout], [1, ""]);
    assert.match(nobody.stderr, /^error: No listener was found [^\n]*\n$/);
    await using listen = new Program(
      ["cli.ts", "listen", "--embedded", "--advertise", "--device-id", "hall"],
      { namespace },
    );
    await listen.says(/Announced as hall\./);
    const { code, stdout } = await runProgram([...discover, "--json"], {
      namespace,
    });
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).deviceId, "hall");
    assert.equal((await listen.end("SIGINT")).code, 0);
  },
});
