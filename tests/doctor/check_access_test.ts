import assert from "node:assert/strict";
import { commandsFor } from "../../src/doctor/deeds.ts";
import { TestServer } from "../servers.ts";
import { problems, SOUND } from "./findings.ts";

Deno.test("diagnose names the commands and keys that a user lacks", async () => {
  const all = "~queue ~{queue}:* ~platypush/responses/*";
  const users = {
    whole: `${all} +@all`,
    sender:
      `${all} -@all +@connection +@transaction +rpush +lrange +ltrim +unlink +expire`,
    keyless: "~queue +@all",
    nomulti: `${all} +@all -multi -blmove -lset`,
    blind: `${all} +@all -multi -acl`,
    nodiscard: `${all} +@all -discard`,
    mute: `${all} +@all -info -config`,
  };
  await using server = await TestServer.start({
    config: [
      ...SOUND,
      ...Object.entries(users).map(([name, rules]) =>
        `user ${name} on >secret resetkeys ${rules}`
      ),
    ],
  });
  const look = (username: string): Promise<string[]> =>
    problems({ ...server.args, username, password: "secret" });
  assert.deepEqual(await look("whole"), []);
  const sender = (await look("sender")).filter((line) =>
    line.includes(" access:")
  );
  assert.equal(sender.length, 8, sender.join("\n"));
  assert.match(
    sender[0]!,
    /^failure access: The user "sender" may not take messages: it may not run .*\bblmove\b.*ACL SETUSER sender \+eval .*\+blmove/,
  );
  assert.match(sender[1]!, /^warning access: .* at most once: .*blpop, blmpop/);
  assert.match(
    sender[2]!,
    /^warning .* delay and cancel messages: .*.*zadd, .*zrem/,
  );
  assert.match(sender[3]!, /^failure .* requests .*: .*lrem, eval, evalsha\./);
  assert.match(sender[4]!, /^warning .* dead letters: .*llen, lset, lrem/);
  assert.match(
    sender[5]!,
    /^warning .* requeue dead letters that are larger .*: .*lmove/,
  );
  const keyless = await look("keyless");
  assert.match(
    keyless[0]!,
    /may not take messages: it may not touch \{queue\}:\*\. \| ACL SETUSER keyless ~\{queue\}:\*$/,
  );
  for (const line of keyless) assert.doesNotMatch(line, /send messages/);
  assert.deepEqual(
    (await look("nomulti")).map((line) => line.slice(0, 60)),
    [
      'failure access: The user "nomulti" may not take messages: it may not run blmove. | ACL SETUSER nomulti +blmove',
      'warning access: The user "nomulti" may not look after dead letters: it may not run lset. | ACL SETUSER nomulti +lset',
      "warning writing: This could not be looked at: Cannot run MULTI: NOPERM",
    ].map((line) => line.slice(0, 60)),
  );
  assert.match(
    (await look("blind"))[0]!,
    /^warning access: What the user "blind" may do could not be found out/,
  );
  assert.deepEqual(await look("nodiscard"), [
    (await look("nodiscard"))[0]!,
  ]);
  assert.match((await look("nodiscard"))[0]!, /^warning writing: .*DISCARD/);
  assert.deepEqual((await look("mute")).map((line) => line.split(":")[0]), [
    "warning memory",
    "warning persistence",
  ]);
});

Deno.test("diagnose knows every command that scripts call", async () => {
  const known = new Set(
    Object.values(commandsFor("queue")).flatMap((commands) =>
      commands.map(([name]) => name!)
    ),
  );
  const folder = new URL("../../src/redis/", import.meta.url);
  const called = new Set<string>();
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile) continue;
    const text = (await Deno.readTextFile(new URL(name, folder)))
      .replace(/^ *\*.*$/gm, "");
    const inScripts =
      /redis\.p?call\('([A-Z]+)'|add\((?:\{[^}]*\}|undo),\s*'([A-Z]+)'/g;
    for (const [, command, added] of text.matchAll(inScripts)) {
      called.add((command ?? added)!);
    }
    for (const [, command] of text.matchAll(/\[\s*"(B?[LRHZ]?[A-Z]+)",/g)) {
      called.add(command!);
    }
  }
  for (
    const optional of [
      "CLIENT",
      "COMMAND",
      // Connecting says itself what it lacks.
      "AUTH",
      "HELLO",
      "SELECT",
      "SETNAME",
      // Without it, little is told of the server.
      "INFO",
      "PING",
      "SCAN",
      // An answer.
      "READONLY",
      "SENTINEL",
      "CLUSTER",
    ]
  ) called.delete(optional);
  assert.ok(called.size > 25);
  assert.deepEqual([...called].filter((name) => !known.has(name)), []);
});
