import assert from "node:assert/strict";
import {
  Backend,
  Event,
  MessageError,
  RedisBackend,
  Request,
  Response,
} from "../../mod.ts";
import { Listener, privateBus, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

function sender(server: TestServer): RedisBackend {
  return new RedisBackend({ redisArgs: server.args, deviceId: "livingroom" });
}

async function queued(
  server: TestServer,
  queue = QUEUE,
): Promise<Record<string, unknown>[]> {
  const texts = await server.run<string[]>("LRANGE", queue, "0", "-1");
  return texts.map((text) => JSON.parse(text));
}

/** Sends a request whose response a signal ends the wait for. */
function ask(backend: RedisBackend): [AbortController, Promise<Response>] {
  const abort = new AbortController();
  const { signal } = abort;
  const request = { action: "count" };
  return [abort, backend.sendRequest(request, { signal, responseTimeout: 60 })];
}

Deno.test("Backend sends events before it was started", async () => {
  await using server = await TestServer.start();
  await using backend = sender(server);
  const sent = await backend.sendEvent({ args: { type: "custom.Motion" } });
  const given = new Event({
    args: { type: "a.B" },
    target: "hall",
    origin: "x",
  });
  assert.equal(await backend.sendEvent(given, "other"), given);
  assert.deepEqual(await queued(server), [{ ...sent.toJSON() }]);
  assert.equal(sent.target, "livingroom");
  assert.equal(sent.origin, "livingroom");
  assert.deepEqual(await queued(server, "other"), [given.toJSON()]);
});

Deno.test("Backend sends several messages at once, all or none", async () => {
  await using server = await TestServer.start();
  await using backend = sender(server);
  const event = { type: "event", args: { type: "custom.Motion" } };
  await backend.sendMessage([event, JSON.stringify(event), new Event(event)]);
  const messages = await queued(server);
  assert.deepEqual(messages.map(({ target }) => target), [
    "livingroom",
    "livingroom",
    "livingroom",
  ]);
  await assert.rejects(
    backend.sendMessage([event, { type: "rubbish" }]),
    MessageError,
  );
  assert.equal((await queued(server)).length, 3);
});

Deno.test("Backend of any class sends through Redis", async () => {
  await using server = await TestServer.start();
  await using backend = new Backend({ redisArgs: server.args });
  await backend.sendEvent({ args: { type: "custom.Motion" } });
  assert.equal((await queued(server)).length, 1);
});

Deno.test("Backend sends a request and gets the response", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  listener.bus.registerHandler(Request, async (request) => {
    const { n } = request.args;
    const outcome = n === 0 ? { errors: ["no zero"] } : { output: { n } };
    await listener.backend.sendResponse(outcome, request);
  });
  await listener.backend.start();
  await using client = new RedisBackend({
    redisArgs: server.args,
    deviceId: "kitchen",
  });
  const answers: Response[] = [];
  const ask = (n: number): Promise<Response> =>
    client.sendRequest(
      { target: "livingroom", action: "count", args: { n } },
      { onResponse: (response) => answers.push(response) },
    );
  const responses = await Promise.all([ask(0), ask(1), ask(2)]);
  assert.deepEqual(responses.map(({ output }) => output), [
    { success: false },
    { n: 1 },
    { n: 2 },
  ]);
  assert.deepEqual(responses[0]!.errors, ["no zero"]);
  assert.equal(responses[0]!.target, "kitchen");
  assert.equal(responses[0]!.origin, "livingroom");
  assert.deepEqual(new Set(answers), new Set(responses));
});

Deno.test("Backend lets a response wait for 60 s, under the request's id", async () => {
  await using server = await TestServer.start();
  await using backend = sender(server);
  const request = new Request({ action: "count", origin: "kitchen" });
  const given = new Response({ target: "nobody", id: "other", output: 5 });
  const sent = await backend.sendResponse(given, request);
  const key = `platypush/responses/${request.id}`;
  assert.deepEqual(await queued(server, key), [sent.toJSON()]);
  assert.equal(sent.id, request.id);
  assert.equal(sent.target, "kitchen");
  const ttl = await server.run<number>("TTL", key);
  assert.ok(ttl > 55 && ttl <= 60, `${ttl}`);
});

Deno.test("Backend gives up waiting for a response in time", async () => {
  await using server = await TestServer.start();
  await using backend = sender(server);
  // The time is for the answer: the connection is there.
  await backend.sendRequest({ action: "count" }, { response_timeout: 0 });
  await assert.rejects(
    backend.sendRequest({ action: "count" }, { response_timeout: 0.5 }),
    { name: "TimeoutError", message: /No response .* within 0.5 s/ },
  );
});

Deno.test("Backend waits for no response where there is no time for one", async () => {
  await using server = await TestServer.start();
  await using backend = sender(server);
  const request = { action: "count" };
  const answers = [
    await backend.sendRequest(request, { responseTimeout: 0 }),
    await backend.sendRequest(request, { responseTimeout: null }),
    await backend.send_request(request, { response_timeout: null }),
  ];
  assert.deepEqual(answers, [undefined, undefined, undefined]);
  assert.equal((await queued(server)).length, 3);
});

Deno.test("Backend ends the wait for a response when the signal is aborted", async () => {
  await using server = await TestServer.start();
  await using backend = sender(server);
  const [abort, waiting] = ask(backend);
  await server.run("BLPOP", QUEUE, "0");
  const reason = new Error("nobody is interested any more");
  abort.abort(reason);
  await assert.rejects(waiting, reason);
  const early = backend.sendRequest({ action: "count" }, {
    signal: abort.signal,
  });
  await assert.rejects(early, reason);
  assert.equal((await queued(server)).length, 0);
});

Deno.test("A wait that a signal ends because of its own time rejects with its reason, and the request stays sent", async () => {
  await using server = await TestServer.start();
  await using backend = sender(server);
  const [abort, waiting] = ask(backend);
  await until(async () => (await queued(server)).length === 1);
  // As `AbortSignal.timeout()` has it.
  const reason = new DOMException("late", "TimeoutError");
  abort.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  assert.equal((await queued(server)).length, 1);
});

Deno.test("A request that nobody waits for does not end the process", async () => {
  await using server = await TestServer.start();
  const backend = sender(server);
  backend.send_request({ action: "count" }, { response_timeout: 0.01 });
  backend.send_request({ action: "count" }, { queue_name: "" });
  // Both have failed by then; an unhandled rejection fails the test.
  await assert.rejects(
    backend.send_request({ action: "count" }, { response_timeout: 0.05 }),
  );
  await backend.stop();
});

Deno.test("Backend that is stopped tells who waits for a response", async () => {
  await using server = await TestServer.start();
  const backend = sender(server);
  const waiting = backend.sendRequest({ action: "count" });
  const rejected = assert.rejects(waiting, { name: "RedisError" });
  await server.run("BLPOP", QUEUE, "0");
  await backend.stop();
  await rejected;
});

Deno.test("Backend posts what its class takes in, for its own device", async () => {
  await using bus = privateBus();
  await using backend = new Backend({ bus, deviceId: "livingroom" });
  const seen: unknown[] = [];
  bus.registerHandler(Event, ({ args }) => seen.push(args.n));
  const message = (n: number, target?: string): Record<string, unknown> => ({
    type: "event",
    args: { type: "custom.Count", n },
    ...(target && { target }),
  });
  await backend.onMessage(message(1));
  await backend.onMessage(JSON.stringify(message(2, "livingroom")));
  await backend.onMessage(message(3, "kitchen"));
  await backend.onMessage(
    new TextEncoder().encode(JSON.stringify(message(4))),
  );
  await backend.on_message(Event.build(message(5, "livingroom")));
  await assert.rejects(backend.onMessage("rubbish"), MessageError);
  await bus.flush();
  assert.deepEqual(seen, [1, 2, 4, 5]);
});
