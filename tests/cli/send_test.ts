import assert from "node:assert/strict";
import { RedisBackend } from "../../mod.ts";
import { Program, runProgram, whyNoTerminals } from "../programs.ts";
import { freePort, TestServer } from "../servers.ts";
import { testAlone } from "../test_alone.ts";
import { testUnless } from "../test_unless.ts";
import { until } from "../until.ts";
import { at, QUEUE, queued } from "./helpers.ts";

function event(n: number): string {
  return JSON.stringify({ type: "event", args: { type: "custom.N", n } });
}

Deno.test("send event, request and message push to the queue", async () => {
  await using server = await TestServer.start();
  const send = async (...args: string[]): Promise<void> => {
    const command = ["cli.ts", "send", ...args, ...at(server)];
    const { code, stdout, stderr } = await runProgram(command);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, args[0] === "request" ? /^[0-9a-f]{32}\n$/ : /^$/);
  };
  await send("event", "custom.A", "n=1", 'list=["x"]', "--target", "kitchen");
  await send("message", `{'type': 'event', 'args': {'type': 'custom.B'}}`);
  await send("request", "light.on", "room=hall", "url=http://a/?b=c");
  const [event, message, request] = await queued(server);
  assert.deepEqual(event!.args, { type: "custom.A", n: 1, list: ["x"] });
  assert.deepEqual([event!.target, event!.origin], ["kitchen", "hall"]);
  assert.deepEqual(message!.args, { type: "custom.B" });
  assert.equal(request!.action, "light.on");
  assert.deepEqual(request!.args, { room: "hall", url: "http://a/?b=c" });
  assert.deepEqual([request!.target, request!.origin], ["hall", "hall"]);
});

Deno.test("send message sends the lines of its input, up to one that is no message", async () => {
  await using server = await TestServer.start();
  const lines = Array.from({ length: 1000 }, (_, n) => event(n));
  const command = ["cli.ts", "send", "message", ...at(server)];
  const all = await runProgram(command, { input: `${lines.join("\n")}\n\n` });
  assert.deepEqual(all, { code: 0, stdout: "", stderr: "" });
  const sent = await queued(server);
  assert.deepEqual(
    sent.map(({ args }) => (args as { n: number }).n),
    lines.map((_, n) => n),
  );
  assert.deepEqual([sent[0]!.target, sent[0]!.origin], ["hall", "hall"]);

  const input = [event(0), event(1), "no message", event(2)].join("\n");
  const some = await runProgram(command, { input });
  assert.equal(some.code, 2);
  assert.match(
    some.stderr,
    /^error: Line 3 is no message: [^\n]+; what is before line 3 was sent\n$/,
  );
  assert.equal((await queued(server)).length, 1002);

  const none = await runProgram(command, { input: "no message\n" });
  assert.equal(none.code, 2);
  assert.match(none.stderr, /^error: Line 1 is no message: [^\n;]+\n$/);

  const long = `${event(0)}\n\n${"x".repeat(8 * 2 ** 20 + 1)}`;
  const tooLong = await runProgram(command, { input: long });
  assert.deepEqual([tooLong.code, tooLong.stderr], [
    2,
    "error: A line of the standard input is longer than 8 MiB, the limit for a message; what is before line 3 was sent\n",
  ]);
  assert.equal((await queued(server)).length, 1003);
});

/** `send message`, which has sent one line and waits for the next one. */
async function sendOneLine(server: TestServer): Promise<Program> {
  const send = new Program(
    ["cli.ts", "send", "message", ...at(server)],
    { input: `${event(0)}\n`, leavesInputOpen: true },
  );
  await until(async () => (await queued(server)).length === 1);
  return send;
}

Deno.test("send message ends with SIGINT although its input goes on", async () => {
  await using server = await TestServer.start();
  await using send = await sendOneLine(server);
  await send.write(`${event(1)}\n`);
  await until(async () => (await queued(server)).length === 2);
  const { code, stderr } = await send.end("SIGINT");
  assert.equal(code, 1);
  // The signal may come before the server's word that it has the second line.
  assert.match(
    stderr,
    /^error: Interrupted (before everything was sent; what is before line 3 was sent|while it was sent; the server may or may not have received it; what is before line 2 was sent)\n$/,
  );
});

Deno.test("send message tells from which line on to send again when a signal ends the next", async () => {
  await using server = await TestServer.start();
  await using send = await sendOneLine(server);
  await server.run("CLIENT", "PAUSE", "60000", "WRITE");
  await send.write(`${event(1)}\n`);
  // The second line is only sent when the server has confirmed the first.
  await until(async () =>
    / flags=b\w* .* cmd=rpush /.test(await server.run("CLIENT", "LIST"))
  );
  const { code, stderr } = await send.end("SIGINT");
  assert.deepEqual([code, stderr], [
    1,
    "error: Interrupted while it was sent; the server may or may not have received it; what is before line 2 was sent\n",
  ]);
});

Deno.test("send message tells from which line on to send again when the server refuses the next", async () => {
  await using server = await TestServer.start();
  await using send = await sendOneLine(server);
  await server.run("SET", QUEUE, "no list");
  await send.write(`${event(1)}\n`);
  const { code, stderr } = await send.end();
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^error: Cannot send to [^\n]+\(WRONGTYPE\)\. What is before line 2 was sent\n$/,
  );
});

testUnless(
  whyNoTerminals(),
  "send message shows on a terminal how far it is",
  async () => {
    await using server = await TestServer.start();
    const path = await Deno.makeTempFile();
    const lines = Array.from({ length: 5000 }, (_, n) => event(n));
    await Deno.writeTextFile(path, lines.join("\n"));
    const { code, stdout } = await runProgram(
      ["cli.ts", "send", "message", ...at(server)],
      { isOnTerminal: true, inputFile: path },
    );
    await Deno.remove(path);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /█░/);
    assert.match(stdout, /█{30} 100 % {2}5,000 messages, [\d,]+\/s\r\n$/);
    assert.equal((await queued(server)).length, 5000);
  },
);

testUnless(
  whyNoTerminals(),
  "the progress stays on one line of a narrow terminal",
  async () => {
    await using server = await TestServer.start();
    const path = await Deno.makeTempFile();
    await Deno.writeTextFile(path, event(0));
    const shown = async (columns: number): Promise<string[]> => {
      const { stdout } = await runProgram(
        ["cli.ts", "send", "message", ...at(server)],
        { isOnTerminal: true, columns, inputFile: path },
      );
      return stdout.replaceAll("\x1b[K", "").split(/[\r\n]+/).filter(Boolean);
    };
    const [narrow, tiny] = await Promise.all([shown(40), shown(12)]);
    await Deno.remove(path);
    assert.match(narrow!.at(-1)!, /^100 % {2}1 messages?, [\d,]+\/s$/);
    assert.deepEqual([...new Set(tiny)], ["100 %  1 m…"]);
  },
);

Deno.test("send request --wait prints the response, and tells of errors by its exit code", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    deviceId: "hall",
  });
  backend.registerAction("good", () => 5);
  backend.registerAction("bad", () => {
    throw new Error("no");
  });
  await backend.start();
  const ask = (
    action: string,
    seconds: string,
    device = "hall",
  ): ReturnType<typeof runProgram> =>
    runProgram([
      ...["cli.ts", "send", "request", action, "--target", device],
      ...["--wait", seconds, ...at(server)],
    ]);
  const [good, bad, none] = await Promise.all([
    ask("good", "15"),
    ask("bad", "15"),
    ask("good", "5", "nobody"),
  ]);
  assert.equal(good.code, 0, good.stderr);
  assert.equal(JSON.parse(good.stdout).response.output, 5);
  assert.equal(bad.code, 1);
  assert.deepEqual(JSON.parse(bad.stdout).response.errors, ["no"]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^error: No response .* within 5 s/);
});

Deno.test("send tells that it may not reach the network", async () => {
  const { code, stderr } = await runProgram(
    ["cli.ts", "send", "event", "custom.A", "--url", "redis://127.0.0.1"],
    { permissions: ["--allow-sys", "--allow-env"] },
  );
  assert.equal(code, 2);
  assert.match(stderr, /^error: Cannot send to [^\n]*--allow-net[^\n]*\n$/);
});

Deno.test("send tells that there is no server, or none any more, and ends with SIGINT while it looks for one", async () => {
  const url = `redis://127.0.0.1:${freePort()}`;
  const command = ["cli.ts", "send", "event", "custom.A", "--url", url];
  await using interrupted = new Program(command);
  const [{ code, stderr }] = await Promise.all([
    runProgram(command),
    (async () => {
      await interrupted.says(/refused/);
      const { code, stderr } = await interrupted.end("SIGINT");
      assert.equal(code, 1);
      assert.match(stderr, /error: Interrupted before everything was sent\n$/);
    })(),
    (async () => {
      await using server = await TestServer.start();
      await using send = await sendOneLine(server);
      await send.write(`${event(1)}\n`);
      await until(async () => (await queued(server)).length === 2);
      await server.kill();
      // Where it has gone before its word that it has the second line, that
      // ends the program, and nobody reads the third one.
      await send.write(`${event(2)}\n`).catch(() => {});
      const { code, stderr } = await send.end();
      assert.equal(code, 3);
      assert.match(
        stderr,
        /\nerror: Cannot send to [^\n]+\. What is before line [23] was sent\n$/,
      );
    })(),
  ]);
  assert.equal(code, 3);
  assert.match(stderr, /WRN.*127\.0\.0\.1:\d+.*refused/i);
  assert.match(stderr, /\nerror: Cannot send to [^\n]+\n$/);
});

testAlone("send --to finds a peer that discover shows", async (namespace) => {
  const run = (...args: string[]): ReturnType<typeof runProgram> =>
    runProgram(["cli.ts", ...args], { namespace });
  const nobody = await run("discover", "--timeout", "0.5");
  assert.deepEqual([nobody.code, nobody.stdout], [1, ""]);
  assert.match(nobody.stderr, /^error: No peer was found [^\n]*\n$/);

  await using lamp = new Program(["tests/cli/lamp.ts"], { namespace });
  const port = await lamp.line();
  const to = ["--to", "lamp", "--unproved"];
  const [table, json, asked, absent, stranger, blind] = await Promise.all([
    run("discover"),
    run("discover", "--json"),
    run("send", "request", "light.on", "n=1", ...to, "--wait", "30"),
    run("send", "event", "custom.A", "--to", "lmp"),
    run(
      ...["send", "request", "light.on", ...to, "--wait", "30"],
      ...["--url", "unix://stranger:s3cret@/run/ours.sock"],
    ),
    run("send", "request", "light.on", "--to", "lamp"),
  ]);
  // Who we are on our own server, the peer's does not get to see: it would refuse.
  assert.equal(stranger.code, 0, stranger.stderr);
  assert.equal(table.code, 0, table.stderr);
  assert.match(
    table.stdout,
    /^DEVICE +REDIS +QUEUE +VERSION +KEY +SERVICE$/m,
  );
  assert.match(
    table.stdout,
    /^lamp +redis:\/\/127\.0\.0\.1:\d+ +lights .* unproved +lamp\./m,
  );
  assert.equal(blind.code, 3);
  assert.match(blind.stderr, /^error: .*nothing proves .*"unproved"/);
  assert.equal(
    JSON.parse(json.stdout).redisUrl,
    `redis://127.0.0.1:${port}`,
  );
  assert.equal(asked.code, 0, asked.stderr);
  assert.deepEqual(JSON.parse(asked.stdout).response.output, { n: 1 });
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /^error: There is no peer "lmp".*"lamp"/);
  const request = ["send", "request", "lamp.on", "--to", "lmp"];
  const soon = await run(...request, "--wait", "0.3");
  // Whether anybody is seen in so short a time depends on the machine.
  assert.match(soon.stderr, /"lmp" .* within 0\.3 s /);

  await using watch = new Program(["cli.ts", "discover", "--watch"], {
    namespace,
  });
  assert.match(await watch.line(), /^added\tlamp\tredis:/);
  const sent = await run("send", "event", "custom.A", ...to);
  assert.equal(sent.code, 0, sent.stderr);
  assert.equal(await lamp.line(), "custom.A for lamp");
  assert.equal((await lamp.end("SIGTERM")).code, 0);
  assert.match(await watch.line(), /^removed\tlamp\tredis:/);
  assert.equal((await watch.end("SIGINT")).code, 0);
});

testAlone(
  "send --to goes by whichever way leads to a peer",
  async (namespace) => {
    // Another service claims the device, and its name, at a port where nobody is.
    await using other = new Program(["tests/cli/claimed_lamp.ts"], {
      namespace,
    });
    await other.line();
    await using lamp = new Program(["tests/cli/lamp.ts"], { namespace });
    await lamp.line();
    const run = (...args: string[]): ReturnType<typeof runProgram> =>
      runProgram(["cli.ts", "send", ...args, "--to", "lamp", "--unproved"], {
        namespace,
      });
    const asked = await run("request", "light.on", "n=1", "--wait", "60");
    assert.equal(asked.code, 0, asked.stderr);
    assert.deepEqual(JSON.parse(asked.stdout).response.output, { n: 1 });
    const sent = await run("event", "custom.A");
    assert.equal(sent.code, 0, sent.stderr);
    assert.equal(await lamp.line(), "custom.A for lamp");
  },
);

Deno.test("What listen prints and send message reads keeps all digits and meanings", async () => {
  await using server = await TestServer.start();
  const text = String
    .raw`{"type": "event", "target": "hall", "args": {"type": "custom.A", "id": 18446744073709551617, "t": "a\/b", "x": NaN}}`;
  await server.run("RPUSH", QUEUE, text);
  const listen = await runProgram(
    [
      "cli.ts",
      "listen",
      "--count",
      "1",
      "--filter",
      "args.id=18446744073709551617",
      ...at(server),
    ],
  );
  assert.equal(listen.code, 0, listen.stderr);
  const send = new Program(["cli.ts", "send", "message", ...at(server)], {
    input: listen.stdout,
  });
  await using _ = send;
  assert.equal((await send.end()).code, 0);
  const [sent] = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  assert.match(
    sent!,
    /"args":{"type":"custom.A","id":18446744073709551617,"t":"a\/b","x":null}/,
  );

  await runProgram(
    [
      "cli.ts",
      "send",
      "event",
      "custom.B",
      "id=18446744073709551617",
      ...at(server),
    ],
  );
  const [, event] = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  assert.match(event!, /"args":{"id":18446744073709551617,/);
});

Deno.test("send refuses arguments that would arrive as something else", async () => {
  const wrong: [args: string[], error: RegExp][] = [
    [["event", ""], /an event/],
    [["request", " "], /an action/],
    [["event", "custom.A", "room=a", "room=b"], /"room" is there twice/],
    [["event", "custom.A", "type=b"], /"type" is what stands in front/],
    [["event", "custom.A", "f=1e400"], /f: the number 1e400 would not arrive/],
    [["event", "custom.A", "f=0.12345678901234567890"], /would not arrive/],
    [["event", "custom.A", "--bus", "--to", "a"], /--bus and --to/],
    [["event", "custom.A", "--unproved"], /--unproved is for a peer/],
    [["request", "a.b", "--unproved"], /--unproved is for a peer/],
    [["message", "{}", "--unproved"], /--unproved is for a peer/],
    [["message", "{}", "--bus"], /--bus takes events and requests/],
    [["request", "a", "--token", "-"], /asks at the terminal/],
  ];
  for (const [args, error] of wrong) {
    const { code, stderr, stdout } = await runProgram([
      "cli.ts",
      "send",
      ...args,
    ]);
    assert.deepEqual([code, stdout], [2, ""], `${args}: ${stderr}`);
    assert.match(stderr, error);
  }
});

Deno.test("send request prints the id, and sends the token of the option, the environment or the file", async () => {
  await using server = await TestServer.start();
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/config.yaml`, "token: from-file\n");
  const url = ["--url", server.url];
  const config = ["--config", `${folder}/config.yaml`];
  const sent = async (
    args: string[],
    env: Record<string, string> = {},
  ): Promise<{ id: string; token?: string }> => {
    const { code, stdout, stderr } = await runProgram([
      "cli.ts",
      "send",
      "request",
      "light.on",
      ...url,
      ...args,
    ], { env });
    assert.equal(code, 0, stderr);
    const [text] = await server.run<string[]>(
      "LPOP",
      "platypush/backend/redis",
      "1",
    );
    const request = JSON.parse(text!);
    assert.equal(stdout, `${request.id}\n`);
    return request;
  };
  const env = { PLATYPUSH_TOKEN: "from-env" };
  assert.equal((await sent([])).token ?? undefined, undefined);
  assert.equal((await sent(["--token", "given"], env)).token, "given");
  assert.equal((await sent(config, env)).token, "from-env");
  assert.equal((await sent(config)).token, "from-file");
  // The token of our own device is nobody else's.
  const other = await sent([...config, "--target", "x"]);
  assert.equal(other.token ?? undefined, undefined);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("send refuses empty values, which a variable that is not set makes", async () => {
  for (const name of ["--token", "--target", "--to", "--config"]) {
    await using program = new Program(
      ["cli.ts", "send", "request", "x", name, ""],
    );
    const { code, stderr } = await program.end();
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`${name}.*, but got ""`));
  }
});

Deno.test("send --bus tells when no Platypush has heard it", async () => {
  await using server = await TestServer.start();
  for (const what of ["event", "request"]) {
    const sent = await runProgram(
      ["cli.ts", "send", what, "custom.Bell", "--bus", ...at(server)],
    );
    assert.deepEqual([sent.code, sent.stdout], [1, ""], sent.stderr);
    assert.match(
      sent.stderr,
      /^error: Nobody has heard it: no Platypush [^\n]*\n$/,
    );
  }
});
