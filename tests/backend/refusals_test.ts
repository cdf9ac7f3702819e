import assert from "node:assert/strict";
import { RedisBackend } from "../../mod.ts";
import { Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { answers } from "./action_client.ts";

type Wire = Record<string, unknown>;

/** What is pushed, and the errors that are answered to it. */
type Case = readonly [id: string, wire: Wire | string, errors: RegExp];

const request = { type: "request", target: "livingroom", origin: "kitchen" };

async function answered(
  cases: readonly Case[],
  withAction: boolean,
): Promise<Wire[]> {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const { backend } = listener;
  if (withAction) backend.registerAction("good", () => 1);
  else listener.bus.registerHandler("custom.Nothing", () => {});
  await backend.start();
  await server.run(
    "RPUSH",
    QUEUE,
    ...cases.map(([, wire]) =>
      typeof wire === "string" ? wire : JSON.stringify(wire)
    ),
  );
  const wires: Wire[] = [];
  for (const [id, wire, errors] of cases) {
    const key = `platypush/responses/${id}`;
    await until(async () => await server.run("EXISTS", key) === 1);
    const [answer, ...others] = await answers(server, id) as [Wire];
    assert.deepEqual(others, [], JSON.stringify(wire));
    const response = answer.response as { output: unknown; errors: string[] };
    assert.match(response.errors.join(), errors);
    assert.deepEqual(response.output, { success: false });
    wires.push(answer);
  }
  return wires;
}

const nested = "[".repeat(300) + "]".repeat(300);
const wrong: Case[] = [
  ["1a", { ...request, id: "1a", action: "good", args: 5 }, /"args" is a num/],
  ["1b", { ...request, id: "1b", action: "good", args: "x" }, /"args" is a st/],
  ["1c", { ...request, id: "1c" }, /"action" is missing/],
  ["1d", { ...request, id: "1d", action: null }, /"action" is null/],
  ["1e", { ...request, id: "1e", action: ["good"] }, /"action" is an array/],
  ["1f", { ...request, id: "1f", action: "good", token: {} }, /"token" is an/],
  [
    "1g",
    { ...request, id: "1g", action: "good", _timestamp: [] },
    /"_timestamp" is an array/,
  ],
  [
    "1h",
    { ...request, id: "1h", action: "good", _timestamp: "yesterday" },
    /"_timestamp" is a string/,
  ],
  [
    "1i",
    { ...request, id: "1i", action: "good", origin: 5 },
    /"origin" is a number/,
  ],
  [
    "1j",
    { ...request, id: "1j", action: "good", target: ["livingroom"] },
    /"target" is an array/,
  ],
  [
    "1k",
    { ...request, id: "1k", action: "good", type: "Request" },
    /"type" is "Request"/,
  ],
  ["1l", { id: "1l", action: "good" }, /"type" is missing/],
  ["42", { ...request, id: 42, action: "good", args: 5 }, /"args" is a number/],
  [
    "18446744073709551617",
    `{"type": "request", "id": 18446744073709551617, "action": 5}`,
    /"action" is a number/,
  ],
  [
    "1m",
    `{"type": "request", "id": "1m", "action": "good", "args": ${nested}}`,
    /nested deeper than/,
  ],
  [
    "1n",
    `{"type": "request", "id": "1n", "action": "good", "args": {"__proto__": 1}}`,
    /key "__proto__"/,
  ],
  [
    "1o",
    `{'type': 'request', 'id': '1o', 'action': 'good', 'args': 'x'}`,
    /"args" is a string/,
  ],
  [
    "1p",
    String.raw`{"t\u0079pe": "r\u0065quest", "id": "1p", "acti\u006fn": 5}`,
    /"action" is a number/,
  ],
];

for (const withAction of [true, false]) {
  Deno.test(`A request that is none is answered with what is wrong, with${withAction ? "" : "out"} actions`, async () => {
    const wires = await answered(wrong, withAction);
    assert.equal(wires[0]!.target, "kitchen");
    assert.equal(wires[0]!.origin, "livingroom");
    const find = (id: unknown): Wire =>
      wires.find((wire) => String(wire.id) === id)!;
    // Who has asked is known by the id alone.
    assert.equal(find("1i").target, null);
    assert.equal(find("1l").target, null);
    // A number comes back as the number that it was.
    assert.equal(find("42").id, 42);
    assert.equal(find("1a").id, "1a");
  });
}

Deno.test("What nobody waits for is not answered, nor what is for another device", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  listener.backend.registerAction("good", () => 1);
  await listener.backend.start();
  const pushed = [
    { ...request, args: 5 },
    { ...request, id: null, args: 5 },
    { ...request, id: {}, args: 5 },
    { ...request, id: "1", args: 5, target: "attic" },
    { ...request, id: "2", type: "event" },
    { ...request, id: "3", type: "response" },
    { id: "4" },
    ["5"],
  ].map((wire) => JSON.stringify(wire));
  await server.run("RPUSH", QUEUE, ...pushed, "rubbish");
  await until(() => listener.backend.stats().malformed === pushed.length + 1);
  assert.deepEqual(await server.run("KEYS", "platypush/responses/*"), []);
});

Deno.test("A request that does not say who asks is answered to whoever waits for its id", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  listener.backend.registerAction("good", () => 1);
  await listener.backend.start();
  const origins = [null, undefined, "", "kitchen"];
  for (const [at, origin] of origins.entries()) {
    const wire = { type: "request", id: `id${at}`, action: "good", origin };
    await server.run("RPUSH", QUEUE, JSON.stringify(wire));
    await until(() => listener.backend.stats().answered === at + 1);
    const [answer] = await answers(server, `id${at}`);
    assert.equal(answer!.target, origin || null);
    assert.equal(answer!.origin, "livingroom");
  }
});

Deno.test("A request whose id is a number is answered with that number", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    token: "123456789012345678901",
  });
  const ids: unknown[] = [];
  listener.backend.registerAction("good", (_args, { id }) => ids.push(id));
  await listener.backend.start();
  const texts = ["42", "1.5", "18446744073709551617"];
  for (const [at, id] of texts.entries()) {
    await server.run(
      "RPUSH",
      QUEUE,
      `{"type": "request", "id": ${id}, "action": "good", "token": 123456789012345678901}`,
    );
    await until(() => listener.backend.stats().answered === at + 1);
    const [text] = await server.run<[string]>(
      "LRANGE",
      `platypush/responses/${id}`,
      "0",
      "-1",
    );
    assert.match(text, new RegExp(`"id":${id.replace(".", "\\.")},`));
    assert.match(text, /"errors":\[\]/);
  }
  assert.deepEqual(ids, texts);
});

Deno.test("A response that does not say for whom it is is for who waits for it", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    deviceId: "hall",
  });
  for (const [at, target] of [undefined, null, ""].entries()) {
    const id = `id${at}`;
    await server.run(
      "RPUSH",
      `platypush/responses/${id}`,
      JSON.stringify({ type: "response", target, response: { output: 5 } }),
    );
    const response = await backend.sendRequest({ id, action: "a" });
    assert.deepEqual([response.output, response.target], [5, "hall"]);
  }
});

Deno.test("An output that JSON has no value for is an error, on either side", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const outputs = [
    NaN,
    Infinity,
    -Infinity,
    new Date(NaN),
    () => 1,
    Symbol("on"),
    { toJSON: () => undefined },
  ];
  listener.backend.registerAction("get", ({ at }) => outputs[Number(at)]);
  await listener.backend.start();
  await using client = new RedisBackend({
    redisArgs: server.args,
    deviceId: "kitchen",
  });
  for (const at of outputs.keys()) {
    const { output, errors } = await client.sendRequest(
      { target: "livingroom", action: "get", args: { at } },
      { responseTimeout: 60 },
    );
    assert.deepEqual(output, { success: false });
    assert.match(String(errors), /^The output is .*JSON/);
  }
  // As Platypush writes them, and others.
  for (const output of ["NaN", "Infinity", "-Infinity", "1e400"]) {
    await server.run(
      "RPUSH",
      `platypush/responses/${output}`,
      `{"type": "response", "target": "kitchen", "response": {"output": ${output}, "errors": ["x"]}}`,
    );
    const response = await client.sendRequest({
      id: output,
      action: "a",
    });
    assert.deepEqual(response.output, { success: false });
    assert.deepEqual(response.errors, [
      "x",
      "The output is NaN or infinite, and JSON has no such number",
    ]);
  }
});
