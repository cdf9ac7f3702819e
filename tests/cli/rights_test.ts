import assert from "node:assert/strict";
import { main } from "../../src/cli/mod.ts";
import { commandsFor, type Deed } from "../../src/doctor/deeds.ts";
import { letter } from "../redis/dead_letters.ts";
import { TestServer } from "../servers.ts";
import { QUEUE } from "./helpers.ts";

/** What a command line does in Redis. */
interface Case {
  readonly args: readonly string[];
  readonly deeds: readonly Deed[];
  /** The rights that only another case of the same work needs. */
  readonly unneeded?: readonly string[];
}

const PREFIX = `{${QUEUE}}:`;
const PATTERNS = [`~${QUEUE}`, `~${PREFIX}*`];
const event = ["send", "event", "custom.A"];
const CASES: readonly Case[] = [
  { args: ["status"], deeds: ["survey"] },
  {
    args: ["dead", "list"],
    deeds: ["list dead letters"],
    unneeded: [`~${QUEUE}`],
  },
  {
    args: ["dead", "show", "0"],
    deeds: ["list dead letters"],
    unneeded: [`~${QUEUE}`],
  },
  { args: ["dead", "purge", "--all"], deeds: ["purge dead letters"] },
  {
    args: ["dead", "requeue", "--all"],
    deeds: ["requeue dead letters"],
    // For messages with a history, and to take back what is refused half way.
    unneeded: ["+hget", "+hset", "+hdel", "+expire", "+ltrim"],
  },
  { args: event, deeds: ["send"], unneeded: [`~${PREFIX}*`] },
  {
    args: ["send", "request", "a"],
    deeds: ["send"],
    unneeded: [`~${PREFIX}*`],
  },
  {
    args: [...event, "--delay", "9", "--deduplicate", "b"],
    deeds: ["schedule"],
    unneeded: ["+rpush", "+del"],
  },
  { args: ["pause"], deeds: ["pause"], unneeded: [`~${QUEUE}`] },
  { args: ["pause", QUEUE], deeds: ["pause"], unneeded: [`~${QUEUE}`] },
  { args: ["resume"], deeds: ["resume"], unneeded: [`~${QUEUE}`] },
];

/** Runs a command line here, since so many processes would take minutes. */
async function run(
  args: readonly string[],
): Promise<{ code: number; said: string }> {
  const { write } = Deno.stdout;
  const { writeSync } = Deno.stderr;
  const decoder = new TextDecoder();
  let said = "";
  Deno.exitCode = 0;
  Deno.stdout.write = (bytes) => Promise.resolve(bytes.length);
  Deno.stderr.writeSync = (bytes) => {
    said += decoder.decode(bytes);
    return bytes.length;
  };
  try {
    await main(args);
    return { code: Deno.exitCode, said: said.trimEnd() };
  } finally {
    Object.assign(Deno.stdout, { write });
    Object.assign(Deno.stderr, { writeSync });
    Deno.exitCode = 0;
  }
}

/** Everything in Redis, to be compared. */
async function contents(server: TestServer): Promise<string> {
  const keys = await server.run<string[]>("KEYS", "*");
  const dumps = await Promise.all(
    keys.toSorted().map(async (key) => {
      const type = await server.run<string>("TYPE", key);
      const looks: Record<string, string[]> = {
        list: ["LRANGE", key, "0", "-1"],
        hash: ["HGETALL", key],
        zset: ["ZRANGE", key, "0", "-1", "WITHSCORES"],
        string: ["GET", key],
      };
      return [key, await server.run(...looks[type]! as [string])];
    }),
  );
  return JSON.stringify(dumps);
}

/** Tries a command line as a user that may only do what some rules say. */
async function attempt(
  server: TestServer,
  { args }: Case,
  rules: readonly string[],
): Promise<{ code: number; said: string; isSame: boolean }> {
  const url = new URL(server.url);
  url.username = "listener";
  url.password = "secret";
  await server.run("FLUSHALL");
  await server.run("SCRIPT", "FLUSH");
  await server.run("RPUSH", `${PREFIX}dead`, letter("a"), letter("b"));
  await server.run("HSET", `${PREFIX}consumers`, "hall.1", "alive");
  if (args[0] === "resume") await server.run("SET", `${PREFIX}paused`, "{}");
  const user = ["listener", "reset", "on", ">secret", "+hello", "+ping"];
  await server.run("ACL", "SETUSER", ...user, ...rules);
  const before = await contents(server);
  const options = ["--url", url.href, "--device-id", "hall"];
  const ended = await run([...args, ...options]);
  return { ...ended, isSame: await contents(server) === before };
}

// Whether the user may find out what it may do.
for (const asking of [["+multi", "+discard", "+acl|whoami"], []]) {
  const how = asking.length > 0 ? "" : ", also to a user who may not ask";
  Deno.test(`Each right that is missing is told in one line, whose rules grant it, and nothing is half done${how}`, async () => {
    await using server = await TestServer.start();
    for (const each of CASES) {
      const name = each.args.join(" ");
      const commands = each.deeds.flatMap((deed) =>
        commandsFor(QUEUE)[deed].map(([word]) => `+${word!.toLowerCase()}`)
      );
      const all = [...new Set(commands), ...PATTERNS];
      const whole = await attempt(server, each, [...asking, ...all]);
      assert.deepEqual([whole.code, whole.said], [0, ""], name);
      const unneeded: string[] = [];
      for (const rule of all) {
        const rules = [...asking, ...all.filter((other) => other !== rule)];
        const { code, said, isSame } = await attempt(server, each, rules);
        if (code === 0) {
          unneeded.push(rule);
          continue;
        }
        const what = `${name} without ${rule}: ${said}`;
        assert.deepEqual([code, isSame], [1, true], what);
        const [, advised = ""] =
          /^error: Cannot [^\n;]+: the user "listener" may not (?:run|touch) [^\n;]+; ACL SETUSER listener ([^\n;]+)$/
            .exec(said) ?? [];
        const told = advised.split(" ");
        if (asking.length > 0) assert.deepEqual(told, [rule], what);
        else assert.ok(told.includes(rule), what);
        const granted = await attempt(server, each, [...rules, ...told]);
        assert.equal(granted.code, 0, what);
      }
      assert.deepEqual(
        unneeded.toSorted(),
        each.unneeded?.toSorted() ?? [],
        name,
      );
    }
  });
}

Deno.test("A request whose response may not be read is taken back, and the right is told", async () => {
  await using server = await TestServer.start();
  const all = ["+rpush", "+lrange", "+lrem", ...PATTERNS];
  const responses = "~platypush/responses/*";
  const ask: Case = {
    args: ["send", "request", "a", "--wait", "60"],
    deeds: [],
  };
  for (
    const [missing, rules] of [
      ["+lrange", [responses, ...all]],
      [responses, all],
    ] as const
  ) {
    const { code, said, isSame } = await attempt(
      server,
      ask,
      ["+multi", "+discard", "+unlink", "+ltrim", ...rules]
        .filter((rule) => rule !== missing),
    );
    assert.deepEqual([code, isSame], [1, true], said);
    assert.ok(said.includes(`; ACL SETUSER listener ${missing}. Nobody`), said);
  }
  const { said } = await attempt(server, ask, ["+rpush", ...PATTERNS]);
  assert.match(said, /The request was sent, and may be executed$/);
  assert.equal(await server.run("LLEN", QUEUE), 1);
});
