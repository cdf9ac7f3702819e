import assert from "node:assert/strict";
import { sleep } from "../../src/waiting.ts";
import { type Ended, runProgram, whyNoTerminals } from "../programs.ts";
import { buryEverySecond } from "../redis/dead_letters.ts";
import { freePort, TestServer } from "../servers.ts";
import { testUnless } from "../test_unless.ts";
import { until } from "../until.ts";

const QUEUE = "platypush/backend/redis";
const DEAD = `{${QUEUE}}:dead`;
/** What a terminal would obey. */
const ESCAPE = "\u001b[2J\u009b31m";

async function dead(server: TestServer, ...args: string[]): Promise<Ended> {
  const { url } = server;
  return await runProgram(["cli.ts", "dead", ...args, "--url", url]);
}

/** Four dead letters, a, b, c and d, the last of which is no text. */
async function withLetters(): Promise<TestServer> {
  const server = await TestServer.start();
  const now = Date.now() / 1000;
  const letter = (id: string, reason: string, age: number): string =>
    JSON.stringify({
      id,
      queue: QUEUE,
      reason,
      error: `${id} is bad${ESCAPE}`,
      time: now - age,
      deliveries: 3,
      ...(id === "d" ? { base64: "/wAB" } : { message: `{"m": "${id}"}` }),
    });
  await server.run(
    "RPUSH",
    DEAD,
    letter("a", "failed", 8 * 86_400),
    letter("b", "malformed", 7200),
    letter("c", "failed", 100),
    letter("d", "foreign", 1),
  );
  return server;
}

async function left(server: TestServer): Promise<string> {
  const letters = await server.run<string[]>("LRANGE", DEAD, "0", "-1");
  return letters.map((text) => JSON.parse(text).id).join("");
}

Deno.test("dead list prints a table, or one JSON object a line", async () => {
  await using server = await withLetters();
  const [all, some, json, none] = await Promise.all([
    dead(server, "list"),
    dead(server, "list", "--reason", "failed", "--newer-than", "1h"),
    dead(server, "list", "--json", "--count", "4"),
    dead(server, "list", "--reason", "dropped"),
  ]);
  assert.equal(all.code, 0, all.stderr);
  const lines = all.stdout.trimEnd().split("\n");
  assert.match(lines[0]!, /^INDEX +ID +AGE +REASON +DELIVERIES +ERROR$/);
  assert.match(lines[1]!, /^ {4}0 +a +8 d +failed +3 +a is bad\\u\{1b\}\[2J/);
  assert.match(lines[2]!, /^ {4}1 +b +2 h +malformed +3 +b is bad/);
  assert.equal(lines.length, 5);
  assert.ok(!all.stdout.includes("\u001b") && !all.stdout.includes("\u009b"));

  assert.equal(some.stdout.trimEnd().split("\n").length, 2);
  assert.match(some.stdout, /^ {4}2 +c/m);

  const letters = json.stdout.trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.deepEqual(letters.map(({ id }) => id), ["a", "b", "c", "d"]);
  assert.equal(letters[1].message, '{"m": "b"}');
  assert.equal(letters[0].error, `a is bad${ESCAPE}`);
  assert.equal(letters[3].base64, "/wAB");
  assert.ok(!json.stdout.includes("\u009b"));

  assert.deepEqual(none, {
    code: 1,
    stdout: "",
    stderr: "There are no such dead letters.\n",
  });
  assert.equal(await left(server), "abcd");
});

Deno.test("dead show prints messages, also those that are no text", async () => {
  await using server = await withLetters();
  const [one, bytes, missing] = await Promise.all([
    dead(server, "show", "1"),
    dead(server, "show", "d", "--json"),
    dead(server, "show", "c", "9", "--json"),
  ]);
  assert.equal(one.code, 0, one.stderr);
  assert.match(one.stdout, /^id +b$/m);
  assert.match(one.stdout, /^message +\{"m": "b"\}$/m);
  assert.match(one.stdout, /^error +b is bad\\u\{1b\}\[2J/m);
  assert.equal(JSON.parse(bytes.stdout).base64, "/wAB");
  assert.equal(missing.code, 1);
  assert.equal(JSON.parse(missing.stdout).id, "c");
  assert.equal(
    missing.stderr,
    'There is no dead letter "9"; `dead list` shows those there are.\n',
  );
});

Deno.test("dead show names the key of a text that is kept apart, and dead requeue puts it back", async () => {
  await using server = await TestServer.start();
  const envelope = (id: string): string =>
    JSON.stringify({
      id,
      queue: QUEUE,
      reason: "too-large",
      error: "too large",
      time: Date.now() / 1000,
      deliveries: 0,
      size: 12,
    });
  await server.run("RPUSH", DEAD, envelope("gone"), envelope("large"));
  await server.run("SET", `${DEAD}:text`, envelope("large"));
  await server.run("RPUSH", `${DEAD}:text:large`, "a large text");
  const [gone, large, json, status] = await Promise.all([
    dead(server, "show", "gone"),
    dead(server, "show", "large"),
    dead(server, "show", "gone", "large", "--json"),
    runProgram(["cli.ts", "status", "--url", server.url]),
  ]);
  assert.match(gone.stdout, /^message +only its size is left/m);
  assert.match(large.stdout, /^key +\{[^{}]*\}:dead:text:large$/m);
  assert.match(large.stdout, /^bytes +12$/m);
  const letters = json.stdout.trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.deepEqual(letters.map(({ key }) => key), [
    undefined,
    `${DEAD}:text:large`,
  ]);
  assert.ok(letters.every((letter) => !("message" in letter)));
  assert.match(
    status.stdout,
    /^dead letters +2, .*; the text of one takes \d+ B more$/m,
  );
  const requeued = await dead(server, "requeue", "--all");
  assert.equal(requeued.stdout, "1 requeued\n");
  assert.deepEqual(
    await server.run("LRANGE", QUEUE, "0", "-1"),
    ["a large text"],
  );
  assert.equal(await left(server), "gone");
});

Deno.test("dead requeue puts messages back, and dead purge removes them", async () => {
  await using server = await withLetters();
  assert.deepEqual(await dead(server, "requeue", "3", "b"), {
    code: 0,
    stdout: "2 requeued\n",
    stderr: "",
  });
  const queued = await server.redis.command<Uint8Array[]>(
    ["LRANGE", QUEUE, "0", "-1"],
    { bytes: true },
  );
  assert.deepEqual(queued.map((bytes) => [...bytes]), [
    [...new TextEncoder().encode('{"m": "b"}')],
    [255, 0, 1],
  ]);
  assert.equal(await left(server), "ac");
  const purged = await dead(server, "purge", "--older-than", "7d", "--json");
  assert.deepEqual([purged.code, purged.stdout], [0, '{"purged":1}\n']);
  assert.equal(await left(server), "c");
  const again = await dead(server, "purge", "a", "c");
  assert.deepEqual([again.code, again.stdout], [1, "1 purged\n"]);
  assert.match(again.stderr, /^Not all that are named were there to be purged/);
  const nothing = await dead(server, "requeue", "--all");
  assert.deepEqual([nothing.code, nothing.stdout], [0, "0 requeued\n"]);
});

Deno.test("dead requeue goes on where a process that was killed has stopped", async () => {
  await using server = await TestServer.start();
  await buryEverySecond(server, 0, 20_000, DEAD);
  const command = ["cli.ts", "dead", "requeue", "--reason", "failed"];
  const place = ["--url", server.url];
  const first = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", ...command, ...place],
    stdout: "null",
    stderr: "null",
  }).spawn();
  await until(async () => await server.run<number>("LLEN", QUEUE) > 0);
  first.kill("SIGKILL");
  await first.status;
  const { code } = await dead(server, "requeue", "--reason", "failed");
  assert.ok(code <= 1);
  const numbers = Array.from({ length: 20_000 }, (_, number) => number);
  assert.deepEqual(
    await server.run("LRANGE", QUEUE, "0", "-1"),
    numbers.filter((n) => n % 2 === 0).map((n) => `message ${n}`),
  );
  assert.equal(await server.run("LLEN", DEAD), 10_000);
});

testUnless(
  whyNoTerminals(),
  "dead purge shows on a terminal how far it is, where it takes long",
  async () => {
    await using server = await TestServer.start();
    await buryEverySecond(server, 0, 1000, DEAD);
    const { url } = server;
    await server.run("CLIENT", "PAUSE", "100000", "WRITE");
    const program = runProgram(
      ["cli.ts", "dead", "purge", "--reason", "failed", "--url", url],
      { isOnTerminal: true },
    );
    await until(async () =>
      /cmd=evalsha/.test(await server.run<string>("CLIENT", "LIST"))
    );
    await sleep(1);
    await server.run("CLIENT", "UNPAUSE");
    const { stdout } = await program;
    assert.match(stdout, /█+░+ \d+ % {2}\d+ purged/);
    assert.match(stdout, /█{30} 100 % {2}500 purged\r?\n500 purged/);
  },
);

Deno.test("dead wants --all for all of them, and looks at the queue that is named", async () => {
  await using server = await withLetters();
  const wrong: [args: string[], error: RegExp][] = [
    [["requeue"], /Say which: an index, an id, .* or --all/],
    [["purge"], /Say which/],
    [["purge", "--all", "0"], /--all means all of them/],
    [["purge", "--all", "--reason", "failed"], /--all means all of them/],
    [["requeue", "--older-than", "2w"], /the unit s, m, h or d, such as 2h/],
    [["requeue", "--reason", "flaied"], /Did you mean "failed"/],
    [["show"], /Say which: an index or an id/],
    [["bury"], /Unexpected "bury", expected list, show, requeue, purge/],
  ];
  const ended = await Promise.all(wrong.map(([args]) => dead(server, ...args)));
  for (const [index, { code, stdout, stderr }] of ended.entries()) {
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, wrong[index]![1]);
  }
  assert.equal(await left(server), "abcd");
  const other = await dead(server, "purge", "--all", "--queue", "other");
  assert.equal(other.stdout, "0 purged\n");
  assert.equal(other.stderr, "");
  const missing = await dead(server, "requeue", "99");
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^There is no such dead letter; `dead list`/);
  const word = await dead(server, "requeue", "all");
  assert.match(word.stderr, /^There is no such dead letter; --all means all/);
  const reason = await dead(server, "purge", "failed");
  assert.match(reason.stderr, /; --reason failed means those with this reason/);
  assert.equal(await left(server), "abcd");
  const all = await dead(server, "purge", "--all");
  assert.deepEqual([all.code, all.stdout], [0, "4 purged\n"]);
});

Deno.test("dead, status and doctor look at all queues of the configuration", async () => {
  await using server = await withLetters();
  const config = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(
      config,
      `backend.redis: {queue: ["${QUEUE}", "second"], redis_args: ${
        JSON.stringify(server.args)
      }}`,
    );
    await server.run("RPUSH", "{second}:dead", "rubbish");
    const run = (...args: string[]): Promise<Ended> =>
      runProgram(["cli.ts", ...args, "--config", config]);
    const [list, status, json, doctor, doubtful] = await Promise.all([
      run("dead", "list"),
      run("status"),
      run("status", "--json"),
      run("doctor", "--no-multicast"),
      run("dead", "show", "0"),
    ]);
    const lines = list.stdout.trimEnd().split("\n");
    assert.match(lines[0]!, /^QUEUE +INDEX +ID/);
    assert.match(lines[1]!, /^platypush\/backend\/redis +0 +a /);
    assert.match(lines[5]!, /^second +0 +\w{40} +\? +malformed/);
    assert.match(status.stdout, /dead letters +4,[^]*\n\nqueue +second\n/);
    const counts = json.stdout.trimEnd().split("\n").map((line) =>
      JSON.parse(line).deadLetters.count
    );
    assert.deepEqual(counts, [4, 1]);
    assert.match(doctor.stdout, /4 messages of "platypush[^]*1 message of "s/);
    assert.equal(doubtful.code, 2);
    assert.match(doubtful.stderr, /say which one by `queue`/);
    const shown = await run("dead", "show", "0", "--queue", "second");
    assert.match(shown.stdout, /^message +rubbish$/m);
    assert.equal((await run("dead", "purge", "--all")).stdout, "5 purged\n");
  } finally {
    await Deno.remove(config);
  }
});

Deno.test("dead ends with 3 where there is no server", async () => {
  const url = `redis://127.0.0.1:${freePort()}`;
  const { code, stdout, stderr } = await runProgram(
    ["cli.ts", "dead", "list", "--url", url, "--log-level", "fatal"],
  );
  assert.equal(code, 3);
  assert.equal(stdout, "");
  assert.match(stderr, /^error: Cannot list the dead letters of [^\n]+\n$/);
});
