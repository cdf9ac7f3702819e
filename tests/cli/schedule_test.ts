import assert from "node:assert/strict";
import { RedisBackend } from "../../mod.ts";
import { UsageError } from "../../src/cli/program.ts";
import { scheduleOf, time } from "../../src/cli/schedule.ts";
import { runProgram } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { at, QUEUE, queued } from "./helpers.ts";

const DELAYED = `{${QUEUE}}:delayed`;

/** The messages that are kept for later, with the seconds until each is due. */
async function delayed(
  server: TestServer,
): Promise<{ left: number; message: Record<string, unknown> }[]> {
  const all = await server.run<[member: string, score: number][]>(
    "ZRANGE",
    DELAYED,
    "0",
    "-1",
    "WITHSCORES",
  );
  return all.map(([member, score]) => ({
    message: JSON.parse(member.replace(/^\S+ /, "")),
    left: (score - Date.now()) / 1000,
  }));
}

Deno.test("What is sent with --delay or --at is kept until it is due", async () => {
  await using server = await TestServer.start();
  const send = async (args: string[], input?: string): Promise<string> => {
    const command = ["cli.ts", "send", ...args, ...at(server)];
    const { code, stdout, stderr } = await runProgram(command, { input });
    assert.deepEqual([code, stderr], [0, ""], stderr);
    return stdout;
  };
  const soon = new Date(Date.now() + 7200_000).toISOString();
  await send(["event", "custom.A", "--at", soon]);
  await send(["event", "custom.B", "--delay", "3h"]);
  const id = await send(["request", "light.on", "--delay", "4h"]);
  const lines = ["custom.C", "custom.D"].map((type) =>
    JSON.stringify({ type: "event", args: { type } })
  );
  await send(["message", "--delay", "5h"], lines.join("\n"));
  await send(["message", lines[0]!, "--delay", "6h"]);
  assert.deepEqual(await queued(server), []);
  const kept = await delayed(server);
  assert.deepEqual(
    kept.map(({ left }) => Math.ceil(left / 3600)),
    [2, 3, 4, 5, 5, 6],
  );
  assert.deepEqual(kept[1]!.message.args, { type: "custom.B" });
  assert.equal(`${kept[2]!.message.id}\n`, id);

  await send(["event", "custom.E", "--delay", "0"]);
  assert.equal((await queued(server)).length, 1);

  // What is due comes to whoever consumes the queue.
  await server.run("DEL", QUEUE, DELAYED);
  await send(["event", "custom.F", "--delay", "0.5"]);
  const { args: redisArgs } = server;
  await using backend = new RedisBackend({ redisArgs, deviceId: "hall" });
  const types: unknown[] = [];
  backend.bus.on(
    { type: "custom.F" },
    ({ args }) => void types.push(args.type),
  );
  await backend.start();
  await until(() => types.length === 1);
});

Deno.test("The time of send request --wait begins when the request is due", async () => {
  await using server = await TestServer.start();
  const { args: redisArgs } = server;
  await using backend = new RedisBackend({ redisArgs, deviceId: "hall" });
  backend.registerAction("light.on", () => "lit");
  await backend.start();
  const args = ["light.on", "--delay", "1", "--wait", "60"];
  const { code, stdout, stderr } = await runProgram(
    ["cli.ts", "send", "request", ...args, ...at(server)],
  );
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).response.output, "lit");
});

Deno.test("Of what is sent with --deduplicate, all but the first tells that it was not sent", async () => {
  await using server = await TestServer.start();
  const send = async (...args: string[]): Promise<[number, string]> => {
    const command = ["cli.ts", "send", ...args, ...at(server)];
    const { code, stdout, stderr } = await runProgram(command);
    assert.equal(stdout, "");
    return [code, stderr];
  };
  const key = ["--deduplicate", "bell"];
  const message = '{"type": "event", "args": {"type": "custom.A"}}';
  const refused =
    'Not sent: another one with the key "bell" was sent before.\n';
  const first = ["event", "custom.A", ...key, "--deduplicate-for", "2h"];
  assert.deepEqual(await send(...first), [0, ""]);
  assert.deepEqual(await send("event", "custom.A", ...key), [1, refused]);
  assert.deepEqual(await send("message", message, ...key), [1, refused]);
  assert.deepEqual(await send("event", "custom.A"), [0, ""]);
  assert.equal((await queued(server)).length, 2);
  const left = await server.run("PTTL", `{${QUEUE}}:duplicates:bell`);
  assert.ok(Number(left) > 3600_000);
});

Deno.test("send refuses times and keys that make no sense, and sends nothing", async () => {
  await using server = await TestServer.start();
  const line = ["--deduplicate", "a"];
  const wrong: [args: string[], error: RegExp][] = [
    [["event", "custom.A", "--delay", "-3"], /a number of seconds, or one/],
    [["request", "a", "--delay", "5", "--at", "23:59"], /both say when/],
    [["event", "custom.A", "--at", "2020-01-31T07:30"], /07:30 is over/],
    [["message", "{}", "--delay", "366d"], /--delay is longer than a year/],
    [["message", ...line], /is for one message, given as an argument/],
  ];
  for (const [args, error] of wrong) {
    const { code, stderr, stdout } = await runProgram(
      ["cli.ts", "send", ...args, ...at(server)],
      { input: "{}" },
    );
    assert.deepEqual([code, stdout], [2, ""], `${args}: ${stderr}`);
    assert.match(stderr, error);
  }
  assert.deepEqual(await server.run("KEYS", "*"), []);
});

Deno.test("What only our own queue can do goes neither to a peer nor to a bus", () => {
  const redis = {
    url: undefined,
    queue: undefined,
    deviceId: undefined,
    config: undefined,
  };
  const own = { to: undefined, unproved: false, bus: false, redis };
  const peer = { ...own, to: "lamp" };
  const bus = { ...own, bus: true };
  const wrong: [...Parameters<typeof scheduleOf>, error: RegExp][] = [
    [peer, { delay: 3 }, {}, /--delay is for our own.*--to sends elsewhere/],
    [bus, { at: new Date() }, {}, /--at is for .*--bus sends elsewhere/],
    [bus, {}, { deduplicate: "a" }, /--deduplicate is for our own queue/],
    [own, {}, { deduplicateFor: 3 }, /give --deduplicate, too/],
    [
      own,
      {},
      { deduplicate: "a", deduplicateFor: 366 * 86400 },
      /--deduplicate-for is longer than a year/,
    ],
  ];
  for (const [destination, when, once, error] of wrong) {
    assert.throws(
      () => scheduleOf(destination, when, once),
      (thrown) => thrown instanceof UsageError && error.test(thrown.message),
    );
  }
  const nothing = Object.values(scheduleOf(peer, {}, {}));
  assert.ok(nothing.every((value) => value === undefined));
});

Deno.test("--at takes a time of a day, the next one, and one of a date", () => {
  const read = (text: string): Date | undefined => {
    const result = time().parse(text);
    return result.success ? result.value : undefined;
  };
  for (const text of ["00:00", "7:30", "12:15:30", "23:59"]) {
    const date = read(text)!;
    const [hours, minutes, seconds = 0] = text.split(":").map(Number);
    assert.deepEqual(
      [date.getHours(), date.getMinutes(), date.getSeconds()],
      [hours, minutes, seconds],
    );
    const hoursLeft = (date.getTime() - Date.now()) / 3600_000;
    // A day may have an hour more, when the clocks go back.
    assert.ok(hoursLeft >= 0 && hoursLeft <= 25, text);
  }
  const year = new Date().getFullYear();
  const later = new Date(Date.now() + 40 * 86_400_000);
  const day = later.toISOString().slice(0, 10);
  assert.deepEqual(read(`${day} 07:30`), new Date(`${day}T07:30`));
  assert.deepEqual(read(`${day}T07:30Z`), new Date(`${day}T07:30Z`));
  assert.deepEqual(read(`${day}T07:30:10+02:00`), new Date(`${day}T05:30:10Z`));
  const none = [
    day,
    `${year + 1}-02-30T07:30`,
    `${day}T24:00`,
    `${day}T7:30`,
    "24:00",
    "07:60",
    "0730",
    "1e9",
    "",
  ];
  for (const text of none) assert.equal(read(text), undefined, text);
});
