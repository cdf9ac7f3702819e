import assert from "node:assert/strict";
import { Inbox } from "../../mod.ts";
import { runProgram } from "../programs.ts";
import { buryMany } from "../redis/dead_letters.ts";
import { freePort, TestServer } from "../servers.ts";

Deno.test("status prints how everything stands, for people and as JSON", async () => {
  await using server = await TestServer.start({ config: ["maxmemory 64mb"] });
  const { url } = server;
  await server.run("RPUSH", "jobs", "a", "b", "c", "d", "e");
  await using inbox = await Inbox.open(server.args, {
    queue: "jobs",
    consumer: "hall",
    batchSize: 1,
    maxInFlight: 2,
  });
  const batch = await inbox.next();
  await inbox.next();
  await batch!.settle([
    { index: 0, reason: "malformed", error: new Error("no") },
  ]);
  await inbox.pause();
  const args = ["cli.ts", "status", "--queue", "jobs", "--url", url];
  const [people, json] = await Promise.all([
    runProgram(args),
    runProgram([...args, "--json"]),
  ]);
  assert.equal(people.code, 0, people.stderr);
  assert.match(people.stdout, /^queue +jobs$/m);
  assert.match(people.stdout, /^waiting +3$/m);
  assert.match(people.stdout, /^in hand +1$/m);
  assert.match(people.stdout, /^dead letters +1, the oldest for \d+ s$/m);
  assert.match(people.stdout, /^server +\w+ \d+\.\d+\S* at \S/m);
  assert.match(people.stdout, /^memory +[\d.]+ (Mi|Ki)B of 64 MiB$/m);
  assert.match(people.stdout, /^CONSUMER +HEARTBEAT +IN HAND$/m);
  assert.match(people.stdout, /^hall\.\w+ +\d+ s left +1$/m);
  const status = JSON.parse(json.stdout);
  assert.equal(json.stdout.split("\n").length, 2);
  assert.deepEqual(
    [status.length, status.inFlight, status.deadLetters.count],
    [3, 1, 1],
  );
  assert.equal(status.server.maxMemory, 64 * 2 ** 20);
  assert.equal(status.consumers.length, 1);
  await inbox.stop(0);
});

Deno.test("status tells when little room is left for what is kept", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 8_000);
  await server.run("HSET", "{queue}:subscribers", "lights", "1");
  const missed = Array(8_000).fill("0 1.0.0.0 m");
  await server.run("RPUSH", "{queue}:missed:lights", ...missed);
  const { code, stdout, stderr } = await runProgram(
    ["cli.ts", "status", "--queue", "queue", "--url", server.url],
  );
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /^dead letters +8000, .*; they take more than 80 % .*maxDeadLetters/m,
  );
  assert.match(
    stdout,
    /^missed +8000, by the subscriber lights; they take more than 80 % .*maxMissed/m,
  );
});

Deno.test("status and doctor hold what is kept against the limits of the configuration", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 8_000);
  const folder = await Deno.makeTempDir();
  try {
    const config = `${folder}/config.yaml`;
    await Deno.writeTextFile(
      config,
      "backend.redis:\n  queue: queue\n  max_dead_letters: 20000\n  max_dead_letter_bytes: 1000000000\n",
    );
    const options = ["--config", config, "--url", server.url];
    const [status, doctor] = await Promise.all([
      runProgram(["cli.ts", "status", ...options]),
      runProgram(["cli.ts", "doctor", "--no-multicast", ...options]),
    ]);
    for (const { stdout, stderr } of [status, doctor]) {
      assert.match(stdout, /8,?000/, stderr);
      assert.doesNotMatch(stdout, /80 %/);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("status ends with 3 where there is no server, and with 1 where the queue is no list", async () => {
  await using server = await TestServer.start();
  await server.run("SET", "jobs", "text");
  const { url } = server;
  const none = `redis://:secret@127.0.0.1:${freePort()}`;
  const [away, wrong] = await Promise.all([
    runProgram(["cli.ts", "status", "--url", none]),
    runProgram(["cli.ts", "status", "--url", url, "--queue", "jobs"]),
  ]);
  assert.equal(away.code, 3);
  assert.match(away.stderr, /^error: Cannot connect to Redis at [^\n]+\n$/);
  assert.ok(!away.stderr.includes("secret"));
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /"jobs" at \S+: the key exists, but is no list/);
});
