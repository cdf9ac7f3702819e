import assert from "node:assert/strict";
import {
  Event,
  Message,
  RedisBackend,
  Request,
  Response,
  type WireMessage,
} from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { Listener } from "../listener.ts";
import { run } from "../namespaces.ts";
import { PYTHON, whyNoRedisPy } from "../python.ts";
import { TestServer } from "../servers.ts";
import { testUnless } from "../test_unless.ts";
import { until } from "../until.ts";

const PROGRAM = new URL("./redis_python.py", import.meta.url).pathname;
const reason = await whyNoRedisPy();

function testWithPython(
  name: string,
  fn: (server: TestServer) => Promise<void>,
): void {
  testUnless(reason, name, async () => {
    await using server = await TestServer.start();
    await fn(server);
  });
}

/** Runs a part of the program in Python; returns what it says. */
async function python<T>(
  server: TestServer,
  part: string,
  ...args: string[]
): Promise<T[]> {
  const { success, stdout, stderr } = await inTime(
    run(PYTHON, PROGRAM, part, JSON.stringify(server.args), ...args),
    `the end of ${part} in Python`,
  );
  assert.ok(success, stderr);
  return stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** What subscribers see of a message. */
function seen(message: Message): WireMessage {
  const { type, target, origin, id, timestamp: _timestamp } = message;
  const common = { type, target, origin, id, _timestamp };
  if (message instanceof Event) return { ...common, args: message.args };
  if (message instanceof Request) {
    const { action, args, token } = message;
    return { ...common, action, args, token };
  }
  const { output, errors } = message as Response;
  return { ...common, response: { output, errors } };
}

testWithPython(
  "RedisBackend takes what Python pushes, as JSON and as literals",
  async (server) => {
    await using listener = new Listener(server);
    await listener.start();
    const sent = await python<[string, WireMessage]>(server, "produce");
    assert.ok(sent.length > 100, `${sent.length}`);
    const messages = await listener.messages(sent.length);
    messages.forEach((message, index) => {
      const [name, expected] = sent[index]!;
      assert.deepEqual(seen(message), expected, name);
    });
    assert.equal(listener.backend.stats().malformed, 0);
  },
);

testWithPython(
  "Python reads what RedisBackend sends, and what it writes is the same again",
  async (server) => {
    await using backend = new RedisBackend({
      redisArgs: server.args,
      deviceId: "livingroom",
    });
    const values = {
      text: 'it\'s "grün" 😀 \\ \u2028\0\n',
      "ключ": ["", "{'a': 1}", '{"a": 1}', "null", "5"],
      numbers: [0, -1, 0.1, 1e21, 5e-324, 2 ** 53, -(2 ** 53)],
      big: [2n ** 53n - 1n, 2n ** 64n + 1n],
      "no numbers": [NaN, Infinity, -Infinity, undefined],
      missing: undefined,
      date: new Date(1795450970250),
      map: new Map<unknown, unknown>([["a", new Set([1])], [null, true]]),
      bytes: new Uint8Array([0, 255, 39]),
      nested: JSON.parse(`${"[".repeat(100)}${"]".repeat(100)}`),
      error: new RangeError("too far"),
    };
    const expected = {
      text: 'it\'s "grün" 😀 \\ \u2028\0\n',
      "ключ": ["", "{'a': 1}", '{"a": 1}', "null", "5"],
      numbers: [0, -1, 0.1, 1e21, 5e-324, 2 ** 53, -(2 ** 53)],
      big: [9007199254740991, 2 ** 64],
      "no numbers": [null, null, null, null],
      date: "2026-11-23T16:22:50.250Z",
      map: { a: [1], null: true },
      bytes: "AP8n",
      nested: values.nested,
      error: "RangeError: too far",
    };
    const common = {
      target: "python",
      origin: "livingroom",
      timestamp: 1795450970.25,
      extra: { _logging_level: 20 },
    };
    const messages = [
      new Event({ ...common, id: "e", args: { type: "custom.Ours", values } }),
      new Request({ ...common, id: "r", action: "a.b", args: { values } }),
      new Request({ ...common, id: "t", action: "a.b", token: "t" }),
      new Response({ ...common, id: "o", output: { values } }),
      new Response({ ...common, id: "f", errors: ["{}", { values }] }),
    ];
    await backend.sendMessage(messages, "to/python");
    const echoes = await python<[string, string]>(
      server,
      "consume",
      "to/python",
      String(messages.length),
    );
    const wire = (id: string, type: string): WireMessage => ({
      type,
      target: "python",
      origin: "livingroom",
      id,
      _timestamp: 1795450970.25,
      _logging_level: 20,
    });
    // Here it is rounded; Python reads and writes all digits.
    assert.ok(echoes[0]![0].includes("18446744073709551617"), echoes[0]![0]);
    const request = { action: "a.b", args: {}, token: null };
    assert.deepEqual(echoes.map(([json]) => JSON.parse(json)), [
      {
        ...wire("e", "event"),
        args: { type: "custom.Ours", values: expected },
      },
      { ...wire("r", "request"), ...request, args: { values: expected } },
      { ...wire("t", "request"), ...request, token: "t" },
      {
        ...wire("o", "response"),
        response: { output: { values: expected }, errors: [] },
      },
      {
        ...wire("f", "response"),
        // A text that is JSON is decoded by whoever receives it.
        response: {
          output: { success: false },
          errors: ['"{}"', { values: expected }],
        },
      },
    ]);
    echoes.forEach((texts, index) => {
      // As it is read here, where it is not asked for all digits.
      const sent = seen(Message.build(String(messages[index]!)));
      for (const text of texts) {
        assert.deepEqual(seen(Message.build(text)), sent, text.slice(0, 200));
      }
    });
  },
);

testWithPython(
  "Python asks for actions and gets the responses where Platypush's clients wait",
  async (server) => {
    // The requests say that they were made at a fixed time.
    await using listener = new Listener(server, {
      token: "s3cret",
      actionMaxAge: Infinity,
    });
    const { backend } = listener;
    backend.registerAction("echo", ({ value }) => value);
    backend.registerAction("fail.*", (_args, { action }) => {
      throw new Error(`Cannot ${action}`);
    });
    await backend.start();
    const token = "s3cret";
    const values = [
      { "schlüssel": ["😀", "it's", null, true, 0.1] },
      "a text",
      "5",
      '{"a": 1}',
      "null",
      0,
      false,
      [],
    ];
    const requests = [
      ...values.map((value) => ({ action: "echo", args: { value }, token })),
      { action: "echo", args: {}, token },
      { action: "fail.now", token },
      { action: "ecko", args: {}, token },
      { action: "echo", args: {}, token: "guess" },
      { action: "echo", args: {} },
    ];
    const responses = await python<[unknown, unknown[]]>(
      server,
      "ask",
      JSON.stringify(requests),
    );
    const failed = (error: string): unknown => [{ success: false }, [error]];
    assert.deepEqual(responses, [
      ...values.map((value) => [value, []]),
      [{ success: true }, []],
      failed("Cannot fail.now"),
      failed('There is no action "ecko"; the nearest one is "echo"'),
      failed("Refused: the token is wrong"),
      failed("Refused: the token is missing"),
    ]);
  },
);

testWithPython(
  "RedisBackend asks Python, and understands whatever way it answers in",
  async (server) => {
    await using backend = new RedisBackend({
      redisArgs: server.args,
      deviceId: "livingroom",
    });
    const args = { "schlüssel": ["😀", "it's", null, true, 0.1, 2 ** 53] };
    const ways = [
      "plain",
      "text",
      "literal",
      "short",
      "short failure",
      "failure",
    ];
    const answering = python(
      server,
      "answer",
      "to/python",
      String(ways.length),
    );
    const responses = await Promise.all(
      ways.map((action) =>
        backend.sendRequest(
          { target: "python", action, args },
          { queueName: "to/python", responseTimeout: 20 },
        )
      ),
    );
    await answering;
    assert.deepEqual(
      responses.map(({ output, errors }) => [output, errors]),
      [
        [args, []],
        [args, []],
        [args, []],
        [{ success: true }, []],
        [{ success: false }, ["The request failed without an error text"]],
        [{ success: false }, ["no\nlight", "Traceback"]],
      ],
    );
    assert.ok(responses.every(({ origin }) => origin === "python"));
    await until(async () =>
      (await server.run<unknown[]>("KEYS", "platypush/responses/*")).length ===
        0
    );
  },
);
