import assert from "node:assert/strict";
import { Program, runProgram } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { at, push, queued } from "./helpers.ts";

Deno.test("dashboard serves the page, takes nothing off the queue, and ends with Ctrl-C", async () => {
  await using server = await TestServer.start();
  await push(server, 3);
  await using program = new Program([
    "cli.ts",
    "dashboard",
    "--port",
    "0",
    ...at(server),
  ]);
  const url = await program.line();
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
  const page = async (path: string): Promise<string> =>
    await (await fetch(url + path)).text();
  // On a busy machine the first page comes before Redis has answered.
  await until(async () =>
    /3 messages in platypush\/backend\/redis\s+wait, and nobody\s+takes them/
      .test(await page(""))
  );
  assert.match(await page(""), /Messages that wait/);
  assert.match(await page("settings"), /--device-id/);
  const messages = await page("messages");
  assert.match(messages, /can only be seen by the program that takes them/);
  assert.equal((await queued(server)).length, 3);
  const { code, stderr } = await program.end("SIGINT");
  assert.equal(code, 0, stderr);
});

Deno.test("dashboard listens for others only with a password", async () => {
  await using server = await TestServer.start();
  const args = [
    "cli.ts",
    "dashboard",
    "--port",
    "0",
    "--host",
    "0.0.0.0",
    ...at(server),
  ];
  await using open = new Program(args);
  const { code, stderr } = await open.end();
  assert.equal(code, 2);
  assert.match(stderr, /PLATYPUSH_DASHBOARD_TOKEN/);
  const token = "correct horse battery";
  await using shut = new Program([...args, "--name", "hub.local"], {
    env: { PLATYPUSH_DASHBOARD_TOKEN: token },
  });
  const url = await shut.line();
  const response = await fetch(url, { headers: { accept: "text/html" } });
  assert.match(await response.text(), /Log in/);
  const ended = await shut.end("SIGTERM");
  assert.equal(ended.code, 0, ended.stderr);
});

Deno.test("dashboard --bus shows what passes on the bus of a Platypush", async () => {
  await using server = await TestServer.start();
  await using program = new Program([
    "cli.ts",
    "dashboard",
    "--bus",
    "--port",
    "0",
    ...at(server),
  ]);
  const url = await program.line();
  const event = {
    type: "event",
    target: "hall",
    args: { type: "custom.FromHub" },
  };
  await server.run("PUBLISH", "platypush/bus", JSON.stringify(event));
  await until(async () =>
    (await (await fetch(`${url}messages`)).text()).includes("custom.FromHub")
  );
  const { code, stderr } = await program.end("SIGINT");
  assert.equal(code, 0, stderr);
});

Deno.test("dashboard says where it cannot listen, and refuses a short password", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const wrong: [args: string[], code: number, error: RegExp][] = [
    [
      ["--port", String(port)],
      1,
      new RegExp(`on port ${port} of 127.0.0.1: another program does; choose`),
    ],
    [["--host", "192.0.2.1"], 2, /of 192\.0\.2\.1: this host has no such addr/],
  ];
  for (const [args, code, error] of wrong) {
    const ended = await runProgram(["cli.ts", "dashboard", ...args], {
      env: { PLATYPUSH_DASHBOARD_TOKEN: "long enough" },
    });
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, error);
  }
  const short = await runProgram(["cli.ts", "dashboard"], {
    env: { PLATYPUSH_DASHBOARD_TOKEN: "short" },
  });
  assert.equal(short.code, 2);
  assert.match(short.stderr, /PLATYPUSH_DASHBOARD_TOKEN has to be/);
  assert.ok(!short.stderr.includes("short"));
});
