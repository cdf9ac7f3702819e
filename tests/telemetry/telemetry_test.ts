import assert from "node:assert/strict";
import { Inbox } from "../../src/redis/mod.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { type CollectedSpan, Collector } from "./collector.ts";

const QUEUE = "platypush/backend/redis";
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const TRACEPARENT = `00-${TRACE}-${PARENT}-01`;

function event(type: string, more: Record<string, unknown> = {}): string {
  const target = "livingroom";
  return JSON.stringify({ type: "event", target, args: { type }, ...more });
}

async function startApp(
  server: TestServer,
  env: Record<string, string>,
  ...mode: string[]
): Promise<Program> {
  const args = JSON.stringify(server.args);
  await using stack = new AsyncDisposableStack();
  const app = stack.use(
    new Program(["tests/telemetry/app.ts", args, ...mode], { env }),
  );
  assert.equal(await app.line(), "ready");
  stack.move();
  return app;
}

/** Waits for a span by its name and its trace. */
async function spanOf(
  collector: Collector,
  name: string,
  traceId: string,
  parent?: string,
): Promise<CollectedSpan> {
  return await collector.span(
    `${name} of ${parent}`,
    (span) =>
      span.name === name && span.traceId === traceId &&
      (parent === undefined || span.parentSpanId === parent),
  );
}

/** Waits for the two spans of a message, one for each thread that handles it. */
async function processSpans(
  collector: Collector,
  id: string,
): Promise<[here: CollectedSpan, inWorker: CollectedSpan]> {
  const isIts = (span: CollectedSpan): boolean =>
    span.name === `process ${QUEUE}` &&
    span.attributes["messaging.message.id"] === id;
  const inner = (span: CollectedSpan, name: string): boolean =>
    collector.spans.some((other) =>
      other.name.startsWith(name) && other.parentSpanId === span.spanId
    );
  return [
    await collector.span(
      "the span of the handler",
      (span) => isIts(span) && inner(span, "app"),
    ),
    await collector.span(
      "the span of the worker",
      (span) => isIts(span) && inner(span, "worker"),
    ),
  ];
}

Deno.test("With OTEL_DENO, what a backend counts arrives as metrics", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using _app = await startApp(server, collector.env);
  await server.run("RPUSH", QUEUE, event("custom.One"), event("custom.Two"));
  await server.run("RPUSH", QUEUE, event("custom.Bad"), "rubbish");
  await server.run("RPUSH", QUEUE, event("custom.One", { target: "attic" }));
  const { unix_socket_path: path, port } = server.args;
  const place = path === undefined
    ? { "server.address": "127.0.0.1", "server.port": port }
    : { "server.address": path };
  const queue = { ...place, "messaging.destination.name": QUEUE };
  const counts = {
    "messaging.client.consumed.messages": 5,
    "platypush.redis.delivered": 2,
    "platypush.redis.acknowledged": 2,
    "platypush.redis.malformed": 1,
    "platypush.redis.foreign": 1,
    "platypush.redis.dead_lettered": 3,
    "platypush.redis.redelivered": 0,
    "platypush.redis.retried": 0,
    "platypush.redis.reconnects": 0,
  };
  for (const [name, expected] of Object.entries(counts)) {
    const metric = await collector.metric(name, (n) => n === expected, queue);
    assert.ok(metric.isMonotonic);
    assert.match(metric.unit, /^\{(message|reconnect)\}$/);
    assert.equal(metric.attributes["messaging.system"], "redis");
  }
  await collector.metric("platypush.redis.in_flight", (n) => n === 0, queue);
  await collector.metric("platypush.redis.queue.length", (n) => n === 0, queue);
  await collector.metric("platypush.redis.subscribers", (n) => n === 2);
  await collector.metric("platypush.redis.answered", (n) => n === 0, place);
});

Deno.test("The lag of a queue that nobody reads arrives as gauges", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  const old = { _timestamp: Date.now() / 1000 - 1000 };
  await server.run("RPUSH", QUEUE, event("custom.One", old), "rubbish", "x");
  await using _app = await startApp(server, collector.env, "idle");
  const attributes = { "messaging.destination.name": QUEUE };
  const length = await collector.metric(
    "platypush.redis.queue.length",
    (n) => n === 3,
    attributes,
  );
  assert.equal(length.unit, "{message}");
  const age = await collector.metric(
    "platypush.redis.queue.age",
    (n) => n >= 1000 && n < 1100,
    attributes,
  );
  assert.equal(age.unit, "s");
  await collector.metric("platypush.redis.subscribers", (n) => n === 0);
  await server.run("LPOP", QUEUE, "3");
  await collector.metric("platypush.redis.queue.length", (n) => n === 0);
});

Deno.test("Metrics of what was counted arrive while Redis does not answer", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using _app = await startApp(server, collector.env, "idle");
  await collector.metric("platypush.redis.subscribers", (n) => n === 0);
  Deno.kill(server.pid, "SIGSTOP");
  try {
    const before = collector.collections;
    await collector.metric(
      "platypush.redis.subscribers",
      () => collector.collections > before + 1,
    );
  } finally {
    Deno.kill(server.pid, "SIGCONT");
  }
});

Deno.test("What a backend has counted is not forgotten when it stops", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using app = await startApp(server, collector.env, "stay");
  await server.run("RPUSH", QUEUE, event("custom.Stop"));
  assert.equal(await app.line(), "handled custom.Stop");
  assert.equal(await app.line(), "stopped");
  const before = collector.collections;
  await collector.metric(
    "platypush.redis.delivered",
    (n, collection) => n === 1 && collection > before + 1,
  );
});

Deno.test("Handling a message continues the trace that its traceparent names, in workers too", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using _app = await startApp(server, collector.env);
  const id = "1".repeat(32);
  const before = Date.now();
  await server.run(
    "RPUSH",
    QUEUE,
    event("custom.Motion", { id, traceparent: TRACEPARENT }),
  );
  for (const span of await processSpans(collector, id)) {
    assert.equal(span.traceId, TRACE);
    assert.equal(span.parentSpanId, PARENT);
    assert.equal(span.kind, 5);
    assert.equal(span.status.code, 0);
    assert.ok(Number(span.startTimeUnixNano) / 1e6 >= before - 1);
    assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano));
    assert.deepEqual(span.attributes, {
      "messaging.system": "redis",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": QUEUE,
      "messaging.message.id": id,
      "platypush.message.type": "event",
      "platypush.event.type": "custom.Motion",
    });
  }
  const [here, inWorker] = await processSpans(collector, id);
  assert.notEqual(here.spanId, inWorker.spanId);
  const handler = await spanOf(
    collector,
    "app custom.Motion",
    TRACE,
    here.spanId,
  );
  await spanOf(collector, "app inner", TRACE, handler.spanId);
  // The span ends when the handler has, and not when it was called.
  assert.ok(BigInt(here.endTimeUnixNano) >= BigInt(handler.endTimeUnixNano));
});

Deno.test("A Python literal carries its traceparent too, and what is none starts a trace", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using _app = await startApp(server, collector.env);
  const [python, none, rubbish, number] = [..."2345"].map((n) => n.repeat(32));
  await server.run(
    "RPUSH",
    QUEUE,
    `{'type': 'event', 'id': '${python}', 'args': {'type': 'a', 'x': None}, 'traceparent': '${TRACEPARENT}'}`,
    event("custom.Motion", { id: none }),
    event("custom.Motion", { id: rubbish, traceparent: "00-x-y-01" }),
    event("custom.Motion", { id: number, traceparent: { a: 1 } }),
  );
  const [continued] = await processSpans(collector, python!);
  assert.equal(continued.parentSpanId, PARENT);
  const traces = new Set([TRACE]);
  for (const id of [none, rubbish, number]) {
    const [span] = await processSpans(collector, id!);
    assert.equal(span.parentSpanId, "");
    traces.add(span.traceId);
  }
  assert.equal(traces.size, 4);
});

Deno.test("The span of a message whose handler fails tells of the error, and not what the message says", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using _app = await startApp(server, collector.env);
  const id = "6".repeat(32);
  const args = { type: "custom.Bad", text: "hunter2" };
  await server.run("RPUSH", QUEUE, event("", { id, args, token: "hunter3" }));
  const [here, inWorker] = await processSpans(collector, id);
  assert.deepEqual(here.status, { code: 2, message: "no light bulb" });
  assert.equal(here.attributes["error.type"], "TypeError");
  assert.equal(inWorker.status.code, 0);
  await collector.metric("platypush.redis.dead_lettered", (n) => n === 1);
  assert.doesNotMatch(collector.text, /hunter/);
});

Deno.test("What a handler sends carries on its trace", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using _app = await startApp(server, collector.env);
  const id = "7".repeat(32);
  const tracing = { id, traceparent: TRACEPARENT, tracestate: "vendor=1" };
  await server.run("RPUSH", QUEUE, event("custom.Relay", tracing));
  const [, relayed] = await server.run<[string, string]>(
    "BLPOP",
    "elsewhere",
    "20",
  );
  const handler = await spanOf(collector, "app custom.Relay", TRACE);
  const sending = await spanOf(
    collector,
    "send elsewhere",
    TRACE,
    handler.spanId,
  );
  assert.equal(sending.kind, 4);
  assert.equal(sending.attributes["messaging.operation.type"], "send");
  const { traceparent } = JSON.parse(relayed);
  assert.equal(traceparent, `00-${TRACE}-${sending.spanId}-01`);
  const [, forwarded] = await server.run<[string, string]>(
    "BLPOP",
    "forwarded",
    "20",
  );
  assert.equal(JSON.parse(forwarded).traceparent, TRACEPARENT);
});

Deno.test("An action runs in the trace of its request, and so is its response sent", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  await using _app = await startApp(server, collector.env);
  const id = "8".repeat(32);
  await server.run(
    "RPUSH",
    QUEUE,
    JSON.stringify({
      type: "request",
      target: "livingroom",
      origin: "kitchen",
      action: "echo",
      id,
      traceparent: TRACEPARENT,
    }),
  );
  const [, text] = await server.run<[string, string]>(
    "BLPOP",
    `platypush/responses/${id}`,
    "20",
  );
  const { response, traceparent } = JSON.parse(text);
  const processing = await collector.span(
    "the span of the action",
    ({ spanId }) => response.output.carrier.traceparent?.includes(spanId),
  );
  assert.equal(processing.parentSpanId, PARENT);
  assert.equal(processing.attributes["platypush.request.action"], "echo");
  const sending = await spanOf(
    collector,
    "send platypush/responses/{id}",
    TRACE,
    processing.spanId,
  );
  assert.equal(traceparent, `00-${TRACE}-${sending.spanId}-01`);
  await collector.metric("platypush.redis.answered", (n) => n === 1);
});

Deno.test("A request that is sent in a span, with a delay, is taken back out of the queue when nobody takes it", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  // It brings what is due to the queue, and takes nothing.
  await using _inbox = await Inbox.open(server.args, {
    queue: QUEUE,
    paused: true,
  });
  const when = ["--delay", "1", "--wait", "2"];
  await using program = new Program(
    ["cli.ts", "send", "request", "light.on", ...when, "--url", server.url],
    { env: collector.env },
  );
  const { stderr } = await program.end();
  assert.match(stderr, /was taken back/);
  assert.equal(await server.run("LLEN", QUEUE), 0);
});

Deno.test("With OTEL_DENO_TRACING=false there are metrics, and no spans", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  const env = { ...collector.env, OTEL_DENO_TRACING: "false" };
  await using app = await startApp(server, env);
  await server.run("RPUSH", QUEUE, event("custom.One"));
  await collector.metric("platypush.redis.delivered", (n) => n === 1);
  await server.run("RPUSH", QUEUE, event("custom.Stop"));
  const { code, stderr } = await app.end();
  assert.equal(code, 0, stderr);
  assert.deepEqual(collector.spans, []);
});

Deno.test("Without OTEL_DENO nothing is collected, and nothing is added to messages", async () => {
  await using server = await TestServer.start();
  await using collector = new Collector();
  const { OTEL_DENO: _, ...off } = collector.env;
  await using app = await startApp(server, off);
  const more = { traceparent: TRACEPARENT };
  await server.run("RPUSH", QUEUE, event("custom.Relay", more));
  await server.run("RPUSH", QUEUE, event("custom.Stop"));
  const { code, stderr } = await app.end();
  assert.equal(code, 0, stderr);
  const [relayed] = await server.run<string[]>("LRANGE", "elsewhere", "0", "0");
  assert.deepEqual(Object.keys(JSON.parse(relayed!)).sort(), [
    "_timestamp",
    "args",
    "id",
    "origin",
    "target",
    "type",
  ]);
  assert.equal(collector.requests, 0);
});
