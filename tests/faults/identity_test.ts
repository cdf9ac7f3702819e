import assert from "node:assert/strict";
import { Event, Response } from "../../mod.ts";
import { isComplete, parseNotes } from "../../src/redis/history.ts";
import { Listener, QUEUE } from "../listener.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

type Who = [id: string, timestamp: number];

const EVENT = { type: "event", target: "livingroom", args: { type: "custom" } };
const NAMELESS = JSON.stringify(EVENT);

/** Messages that lack something, as different senders write them. */
const LACKING = [
  NAMELESS,
  NAMELESS,
  JSON.stringify({ ...EVENT, id: null, _timestamp: null }),
  JSON.stringify({ ...EVENT, id: "", args: { type: "c", _timestamp: 5 } }),
  JSON.stringify({ ...EVENT, id: "own" }),
  JSON.stringify({ ...EVENT, _timestamp: 1_700_000_000.25 }),
  "{'type': 'event', 'target': 'livingroom', 'args': {'type': 'custom'}}",
];

function isSame(before: Who[], after: Who[]): void {
  assert.deepEqual(after.toSorted(), before.toSorted());
  assert.equal(new Set(before.map(([id]) => id)).size, before.length);
}

/** Listens, and fails with everything so many times. */
function failing(
  server: TestServer,
  times: number,
): [Listener, Map<number, Who[]>] {
  const seen = new Map<number, Who[]>();
  const listener = new Listener(server, { retryPause: 0.01 });
  listener.bus.registerHandler(Event, ({ id, timestamp, redelivered }) => {
    seen.set(redelivered, [...seen.get(redelivered) ?? [], [id, timestamp]]);
    if (redelivered < times) throw new Error("no bulb");
  });
  return [listener, seen];
}

for (
  const [how, push] of [
    [
      "all at once",
      (server: TestServer) => server.run("RPUSH", QUEUE, ...LACKING),
    ],
    ["one by one", async (server: TestServer) => {
      for (const message of LACKING) {
        await server.run("RPUSH", QUEUE, message);
        await until(async () => await server.run("LLEN", QUEUE) === 0);
      }
    }],
  ] as const
) {
  Deno.test(`A message that comes ${how} is the same after it has failed`, async () => {
    await using server = await TestServer.start();
    const [listener, seen] = failing(server, 2);
    await using _listener = listener;
    await listener.backend.start();
    await push(server);
    await until(() => seen.get(2)?.length === LACKING.length);
    isSame(seen.get(0)!, seen.get(1)!);
    isSame(seen.get(0)!, seen.get(2)!);
    assert.ok(seen.get(0)!.some(([id]) => id === "own"));
    assert.ok(seen.get(0)!.some(([, time]) => time === 1_700_000_000.25));
    for (const [id] of seen.get(0)!) assert.match(id, /^[0-9a-f]{32}$|^own$/);
  });

  Deno.test(`A message that comes ${how} is the same in another process after a kill -9, and another one`, async () => {
    await using server = await TestServer.start();
    const lives: Who[][] = [];
    for (let life = 0; life < 3; life++) {
      await using program = new Program([
        "tests/faults/identity_process.ts",
        JSON.stringify(server.args),
      ]);
      if (life === 0) {
        await until(async () =>
          await server.run("EXISTS", `{${QUEUE}}:consumers`) === 1
        );
        await push(server);
      }
      const lines: Who[] = [];
      while (lines.length < LACKING.length) {
        lines.push(JSON.parse(await program.line()));
      }
      lives.push(lines);
      await program.end("SIGKILL");
    }
    isSame(lives[0]!, lives[1]!);
    isSame(lives[0]!, lives[2]!);
  });
}

Deno.test("A message is the same after it was a dead letter", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { maxDeliveries: 1 });
  const seen: Who[] = [];
  listener.bus.registerHandler(Event, ({ id, timestamp, redelivered }) => {
    assert.equal(redelivered, 0);
    seen.push([id, timestamp]);
    throw new Error("no bulb");
  });
  await listener.backend.start();
  const dead = listener.backend.deadLetters();
  await server.run("RPUSH", QUEUE, ...LACKING);
  for (let round = 1; round <= 3; round++) {
    await until(async () =>
      seen.length === round * LACKING.length &&
      await dead.count() === LACKING.length
    );
    if (round < 3) await dead.requeue("all");
  }
  const { length } = LACKING;
  isSame(seen.slice(0, length), seen.slice(length, 2 * length));
  isSame(seen.slice(0, length), seen.slice(2 * length));
});

Deno.test("A response without a time has one for good, too", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { retryPause: 0.01 });
  const seen: number[] = [];
  listener.bus.registerHandler(Response, ({ timestamp }) => {
    if (seen.push(timestamp) < 3) throw new Error("no bulb");
  });
  await listener.backend.start();
  const response = { type: "response", id: "x", target: "livingroom" };
  const content = { output: null, errors: [] };
  await server.run(
    "RPUSH",
    QUEUE,
    JSON.stringify({ ...response, response: content }),
  );
  await until(() => seen.length === 3);
  assert.equal(new Set(seen).size, 1);
});

Deno.test("isComplete is sure only of an id and a time of the message itself", () => {
  const is = (text: string): boolean =>
    isComplete(new TextEncoder().encode(text));
  const named = { type: "event", id: "own", args: { type: "custom" } };
  assert.ok(is(JSON.stringify({ ...named, _timestamp: 1.5 })));
  assert.ok(is(JSON.stringify({ _timestamp: 1.5, ...named })));
  assert.ok(is(` { "id" : "b" , "_timestamp" : 1.5 , "args": {} } `));
  assert.ok(
    is(JSON.stringify({ id: "a", args: "x".repeat(1e6), _timestamp: 1 })),
  );
  const id = "own";
  for (
    const text of [
      NAMELESS,
      JSON.stringify(named),
      JSON.stringify({ ...EVENT, _timestamp: 1.5 }),
      JSON.stringify({ ...EVENT, id: "", _timestamp: 1.5 }),
      JSON.stringify({ args: { id }, _timestamp: 1.5 }),
      JSON.stringify({ a: '"id": "own"', _timestamp: 1.5 }),
      JSON.stringify({ id, args: { _timestamp: 1 } }),
      JSON.stringify({ id, args: { a: {}, _timestamp: 1 } }),
      JSON.stringify({ id, args: [{ a: {}, _timestamp: 1 }] }),
      JSON.stringify({ id, a: '"_timestamp": 1' }),
      JSON.stringify({ id, a: ',"_timestamp": 1}' }),
      JSON.stringify({ ...named, _timestamp: null }),
      "",
      "_timestamp",
    ]
  ) assert.ok(!is(text), text);
});

Deno.test("What older versions have written of a batch is read, and they read the rest of what this one writes", () => {
  assert.deepEqual([...parseNotes("0:1.2.3.4~YQ== 7:1.0.0.0!").histories], [
    [0, {
      deliveries: 1,
      failures: 2,
      deaths: 3,
      crashes: 4,
      retry: "a",
      identity: undefined,
    }],
    [7, {
      deliveries: 1,
      failures: 0,
      deaths: 0,
      crashes: 0,
      retry: undefined,
      identity: undefined,
    }],
  ]);
  assert.deepEqual(parseNotes("@1500 ").histories.size, 0);
  const { time, histories } = parseNotes("@1500 0:1.0.0.0~~ab@2500");
  assert.equal(time, 1.5);
  assert.deepEqual(histories.get(0)?.identity, { id: "ab", timestamp: 2.5 });
});
