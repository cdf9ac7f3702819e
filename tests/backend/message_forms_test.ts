import assert from "node:assert/strict";
import {
  Event,
  HubBus,
  MessageError,
  type MessageInput,
  RedisBackend,
  Request,
  Response,
} from "../../mod.ts";
import { QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";

type Wire = Record<string, unknown>;

const encoder = new TextEncoder();

/** A message in all its forms: texts, bytes, the object, and what is given. */
function formsOf(wire: Wire, ...others: MessageInput[]): MessageInput[] {
  const json = JSON.stringify(wire);
  const python = json.replaceAll('"', "'").replaceAll("true", "True");
  return [wire, json, python, encoder.encode(json), ...others];
}

async function withBackend(
  act: (backend: RedisBackend, server: TestServer) => Promise<void>,
): Promise<void> {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    deviceId: "hall",
  });
  await act(backend, server);
}

async function taken(server: TestServer, key = QUEUE): Promise<Wire> {
  const text = await server.run<string>("LPOP", key);
  assert.equal(await server.run("EXISTS", key), 0);
  return JSON.parse(text);
}

const common = { target: "attic", origin: "sensor", id: "0a", _timestamp: 5 };

Deno.test("send_event takes an event in every form, and keeps all of it", () =>
  withBackend(async (backend, server) => {
    const args = { type: "custom.Motion", seen: true };
    const wire = { type: "event", ...common, args, _level: 20, extra: [1] };
    const { _timestamp: timestamp, ...fields } = common;
    const instance = Event.build(wire);
    for (const form of formsOf(wire, instance)) {
      const sent = await backend.send_event(form);
      assert.ok(sent instanceof Event);
      assert.deepEqual(await taken(server), wire);
    }
    const made = { args, timestamp, ...fields, _level: 20 };
    await backend.sendEvent(made);
    const { extra: _extra, ...rest } = wire;
    assert.deepEqual(await taken(server), rest);
    await backend.sendEvent({ args, extra: { _level: 20 }, id: "0b" }, null);
    const { target, origin, _level } = await taken(server);
    assert.deepEqual([target, origin, _level], ["hall", "hall", 20]);
  }));

Deno.test("send_request takes a request in every form, and keeps all of it", () =>
  withBackend(async (backend, server) => {
    const wire = {
      type: "request",
      ...common,
      action: "light.on",
      args: { on: true },
      token: "s",
      _level: 20,
    };
    const none = { response_timeout: 0 } as const;
    for (const form of formsOf(wire, Request.build(wire))) {
      await backend.send_request(form, none);
      assert.deepEqual(await taken(server), wire);
    }
    const { type: _type, _timestamp: timestamp, ...fields } = wire;
    await backend.sendRequest({ ...fields, timestamp }, none);
    assert.deepEqual(await taken(server), wire);
  }));

Deno.test("send_response takes a response in every form, and keeps all of it", () =>
  withBackend(async (backend, server) => {
    const request = new Request({ action: "a", origin: "remote", id: "42" });
    const key = "platypush/responses/42";
    const response = { output: { success: false }, errors: ["no bulb"] };
    const wire = { type: "response", ...common, response, _level: 20 };
    const expected = { ...wire, target: "remote", id: "42" };
    for (const form of formsOf(wire, Response.build(wire))) {
      const sent = await backend.send_response(form, request);
      assert.deepEqual(sent.errors, ["no bulb"]);
      assert.deepEqual(await taken(server, key), expected);
    }
    const { type: _type, _timestamp: timestamp, response: _, ...fields } = wire;
    await backend.sendResponse({ ...fields, ...response, timestamp }, request);
    assert.deepEqual(await taken(server, key), expected);
    await backend.sendResponse(
      `{"errors": ["no bulb"], "origin": "sensor", "_timestamp": 5, "_level": 20}`,
      request,
    );
    assert.deepEqual(await taken(server, key), expected);
    for (
      const [form, output] of [
        [{ success: false }, { success: false }],
        [{ response: { success: false } }, { success: false }],
        [{ response: { output: '{"a": 1}' } }, { a: 1 }],
        [{ output: '{"a": 1}' }, '{"a": 1}'],
        [{ response: { output: { a: 1 } } }, { a: 1 }],
        [{}, { success: true }],
      ] as [Wire, unknown][]
    ) {
      const sent = await backend.sendResponse(form, request);
      assert.deepEqual(sent.output, output);
      assert.equal(sent.origin, "hall");
      await taken(server, key);
    }
  }));

Deno.test("send_response takes the request in every form that has an id", () =>
  withBackend(async (backend, server) => {
    const wire = { type: "request", origin: "remote", id: "42", action: "a" };
    for (const form of formsOf(wire, Request.build(wire))) {
      await backend.sendResponse({ output: 5 }, form);
      const { target } = await taken(server, "platypush/responses/42");
      assert.equal(target, "remote");
    }
    for (
      const request of [{ action: "a" }, `{"type":"request","action":"a"}`]
    ) {
      await assert.rejects(backend.sendResponse({}, request), {
        name: "MessageError",
        message: /"id" is missing: nobody waits for a response without it/,
      });
    }
  }));

Deno.test("send_event, send_request and send_response refuse what is something else, and say why", () =>
  withBackend(async (backend, server) => {
    const request = new Request({ action: "a" });
    const event = new Event({ args: { type: "custom.A" } });
    const calls: [() => Promise<unknown>, RegExp][] = [
      [() => backend.sendEvent(request), /is of the type "request", expected/],
      [
        () => backend.sendEvent({ type: "custom.Motion", room: "hall" }),
        /"type" is "custom.Motion", expected "event"/,
      ],
      [() => backend.sendEvent("rubbish"), /neither JSON nor a Python literal/],
      [() => backend.sendEvent([event] as never), /is an array, expected/],
      [() => backend.sendEvent(null as never), /is null, expected an object/],
      [
        () =>
          backend.sendEvent({ ...event.toJSON(), timestamp: 1, _timestamp: 2 }),
        /"timestamp" and "_timestamp", which say the same/,
      ],
      [() => backend.sendRequest(event), /is of the type "event", expected/],
      [() => backend.sendRequest({ args: {} }), /"action" is missing/],
      [
        () => backend.sendResponse(event, request),
        /is of the type "event", expected Response/,
      ],
      [
        () => backend.sendResponse({ type: "event" }, request),
        /"args" is missing/,
      ],
      [
        () => backend.sendResponse({ output: 1, response: {} }, request),
        /"response" and "output", which say the same/,
      ],
      [
        () => backend.sendResponse({ errors: [1], success: true }, request),
        /"errors" and "success", which say the same/,
      ],
      [
        () => backend.sendResponse({ response: "no" }, request),
        /"response" is a string, expected an object/,
      ],
      [
        () => backend.sendResponse("no bulb", request),
        /neither JSON nor a Python literal/,
      ],
      [
        () => backend.sendResponse({ output: NaN }, request),
        /output is NaN or infinite, and JSON has no such number/,
      ],
      [
        () => backend.sendResponse({}, event),
        /is of the type "event", expected Request/,
      ],
    ];
    for (const [call, message] of calls) {
      await assert.rejects(call(), (error) => {
        assert.ok(error instanceof MessageError, String(error));
        assert.match(error.message, message);
        return true;
      });
    }
    assert.deepEqual(await server.run("KEYS", "*"), []);
  }));

Deno.test("send_message takes any text, and bytes", () =>
  withBackend(async (backend, server) => {
    const texts = ["rubbish", "", `{"type": "no message"}`, "5"];
    await backend.send_message(texts, null);
    await backend.sendMessage(Uint8Array.of(0, 255), "bytes");
    assert.deepEqual(await server.run("LRANGE", QUEUE, "0", "-1"), texts);
    assert.equal(await server.run("LLEN", "bytes"), 1);
    // What is one is filled in.
    await backend.sendMessage(`{"type": "request", "action": "a"}`, "filled");
    assert.equal((await taken(server, "filled")).target, "hall");
  }));

Deno.test("HubBus sends a request in every form", async () => {
  await using server = await TestServer.start();
  await using bus = await HubBus.open({
    name: crypto.randomUUID(),
    redisArgs: server.args,
    deviceId: "hall",
  });
  // It answers itself what it has asked: the response waits already.
  const response = { type: "response", response: { output: 5 } };
  for (let at = 0; at < 5; at++) {
    const id = `id${at}`;
    const args = { on: true };
    const wire = { type: "request", ...common, id, action: "light.on", args };
    const form = formsOf(wire, Request.build(wire))[at]!;
    await server.run(
      "RPUSH",
      `platypush/responses/${id}`,
      JSON.stringify(response),
    );
    const answer = await bus.sendRequest(form);
    assert.deepEqual([answer.output, answer.target], [5, "sensor"]);
  }
});
