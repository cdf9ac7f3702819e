import assert from "node:assert/strict";
import { type Ended, runProgram } from "../programs.ts";
import { freePort, TestServer } from "../servers.ts";
import { testAlone } from "../test_alone.ts";

interface Line {
  status: string;
  check: string;
  message: string;
  advice?: string;
}

function linesOf({ stdout }: Ended): Line[] {
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("doctor prints what it finds, for people and as JSON", async () => {
  await using server = await TestServer.start();
  const { url } = server;
  const args = ["cli.ts", "doctor", "--no-multicast", "--url", url];
  const [people, json] = await Promise.all([
    runProgram(args),
    runProgram([...args, "--json"]),
  ]);
  assert.equal(people.code, 0, people.stderr);
  assert.match(people.stdout, /^ok +deno +Deno \d/);
  assert.match(
    people.stdout,
    /^warning +persistence +The server keeps .*\n +→ CONFIG SET appendonly yes/m,
  );
  assert.equal(json.code, 0);
  const found = linesOf(json);
  assert.ok(
    found.some(({ check, status }) => check === "server" && status === "ok"),
  );
  assert.ok(found.every(({ check }) => check !== "multicast"));
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("doctor ends with 1 when it finds a failure, and with 2 when used wrongly", async () => {
  const none = `redis://127.0.0.1:${freePort()}`;
  const start = ["cli.ts", "doctor", "--no-multicast", "--url"];
  const [failed, wrong] = await Promise.all([
    runProgram([...start, none]),
    runProgram([...start, "http://127.0.0.1"]),
  ]);
  assert.equal(failed.code, 1);
  assert.match(failed.stdout, /^failure +server .*refused.*\n +→ Start the/m);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^error: .*`url` has to be redis:/m);
});

Deno.test("doctor names the permissions that are missing, and does not ask for them", async () => {
  const { code, stdout, stderr } = await runProgram(
    ["cli.ts", "doctor", "--json", "--url", "redis://127.0.0.1:1"],
    { permissions: ["--allow-env", "--allow-sys"] },
  );
  assert.equal(code, 1, stderr);
  const found = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(found.map(({ status, check }) => `${status} ${check}`), [
    "ok deno",
    "failure permissions",
    "warning permissions",
  ]);
  assert.match(found[1].advice, /--allow-net=127\.0\.0\.1:1$/);
  assert.match(found[2].advice, /--allow-net$/);
});

testAlone(
  "doctor looks whether multicast works on each interface",
  async (namespace) => {
    await namespace.ip(..."link add one type veth peer name two".split(" "));
    await namespace.ip("addr", "add", "192.0.2.1/24", "dev", "one");
    await namespace.ip("link", "set", "two", "up");
    await namespace.ip("link", "set", "one", "up");
    const look = async (): Promise<string[]> => {
      const ended = await runProgram(
        ["cli.ts", "doctor", "--json", "--url", "redis://127.0.0.1:1"],
        { namespace },
      );
      return linesOf(ended).filter(({ check }) => check === "multicast")
        .map(({ status, message }) => `${status}: ${message}`);
    };
    assert.match((await look())[0]!, /^ok: Works on lo, one/);
    await namespace.ip("link", "set", "one", "down");
    const found = await look();
    assert.match(found[0]!, /^ok: Works on lo/);
    assert.ok(
      found.some((line) => /^warning: Does not work on one: /.test(line)),
    );
    await namespace.ip("link", "del", "one");
    await namespace.ip("link", "set", "lo", "down");
    assert.match((await look()).join(), /^failure: Does not work on lo: /);
  },
);

testAlone(
  "doctor tells a network that is down from a server that is",
  async (namespace) => {
    const look = async (url: string): Promise<string[]> => {
      const ended = await runProgram(
        ["cli.ts", "doctor", "--json", "--url", url],
        { namespace },
      );
      assert.equal(ended.code, 1, ended.stderr);
      return linesOf(ended).filter(({ status }) => status !== "ok").map((
        { check, message, advice },
      ) => `${check}: ${message} | ${advice}`);
    };
    const [far] = await look("redis://10.1.2.3");
    assert.match(far!, /^server: .*no network leads there; .*ENETUNREACH/);
    assert.match(far!, /\| Connect to the network that the server is in/);
    const [nameless] = await look("redis://host.invalid");
    assert.match(nameless!, /does not resolve.*\| Correct the host's name/);
    const [refused] = await look("redis://127.0.0.1");
    assert.match(refused!, /refused; .*\| Start the server/);

    // Another program that does not share the port.
    const taking = namespace.start("python3", [
      "-c",
      "import socket, sys; s = socket.socket(2, 2); s.bind(('', 5353)); print('taken', flush=True); sys.stdin.read()",
    ]);
    assert.equal(await taking.line(), "taken");
    const [, taken] = await look("redis://127.0.0.1");
    assert.match(
      taken!,
      /^multicast: .*EADDRINUSE.*\| Another program has UDP/,
    );
    await taking.stop("SIGKILL");

    await namespace.ip("link", "set", "lo", "down");
    const [silent] = await look("redis://127.0.0.1");
    assert.match(silent!, /no answer within .*\| See whether .* lo up/);
    await namespace.ip("addr", "flush", "dev", "lo");
    const [down, nowhere] = await look("redis://127.0.0.1");
    assert.match(down!, /no network leads there.*ip link set lo up$/);
    assert.match(nowhere!, /^multicast: There is no network interface/);
  },
);
