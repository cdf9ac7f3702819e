import assert from "node:assert/strict";
import { Backend, Bus, Event } from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { answers, Client, push } from "./action_client.ts";

Deno.test("Backend executes so many actions at a time, in order, while other messages go on", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { actionConcurrency: 2 });
  const { backend, bus } = listener;
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<void>>();
  backend.registerAction("*", async (_args, { action }) => {
    const end = Promise.withResolvers<void>();
    ends.set(action, end);
    begun.push(action);
    await end.promise;
    if (action === "b") throw new Error("not b");
  });
  const event = Promise.withResolvers<void>();
  bus.registerHandler(Event, () => event.resolve());
  await backend.start();
  await push(server, "a", "b", "c", "d", "e");
  await server.run(
    "RPUSH",
    QUEUE,
    '{"type": "event", "target": "livingroom", "args": {"type": "custom.X"}}',
  );
  await inTime(event.promise, "the event behind the requests");
  assert.deepEqual(begun, ["a", "b"]);
  const { actionsRunning, actionsWaiting, delivered } = backend.stats();
  assert.deepEqual([actionsRunning, actionsWaiting], [2, 3]);
  // Of the requests none is: the event may have come in a batch of its own.
  assert.ok(delivered <= 1, `${delivered} are delivered`);
  for (const action of ["b", "a", "c", "e", "d"]) {
    await until(() => ends.has(action));
    assert.equal(backend.stats().actionsRunning, Math.min(2, begun.length));
    ends.get(action)!.resolve();
  }
  await until(() => backend.stats().delivered === 6);
  assert.deepEqual(begun, ["a", "b", "c", "d", "e"]);
  assert.equal(backend.stats().actionsRunning, 0);
  assert.equal(backend.stats().answered, 5);
});

Deno.test("Backend answers with an error when an action takes too long, and goes on with the next", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    actionConcurrency: 1,
    actionTimeout: 0.05,
  });
  const { backend } = listener;
  await using client = new Client(server);
  const late = Promise.withResolvers<string>();
  const reasons: unknown[] = [];
  backend.registerAction("slow", (_args, _request, { signal }) => {
    signal.addEventListener("abort", () => reasons.push(signal.reason.name));
    return late.promise;
  });
  backend.registerAction("fast", () => "at once");
  backend.registerAction("patient", async () => {
    // For longer than other actions may.
    await new Promise((resolve) => setTimeout(resolve, 80));
    return "done";
  }, { timeout: Infinity });
  await backend.start();
  const [slow, fast] = await Promise.all([
    client.ask("slow"),
    client.ask("fast"),
  ]);
  assert.deepEqual(slow.errors, [
    'The action "slow" has not finished within 0.05 s',
  ]);
  assert.equal(fast.output, "at once");
  assert.deepEqual(reasons, ["TimeoutError"]);
  assert.equal((await client.ask("patient")).output, "done");
  late.resolve("too late");
  await until(() => backend.stats().delivered === 3);
  assert.equal(backend.stats().answered, 3);
});

Deno.test("Backend gives actions their own time limit, not that of the bus's handlers", async () => {
  await using server = await TestServer.start();
  await using bus = new Bus({
    name: crypto.randomUUID(),
    deviceId: "livingroom",
    handlerTimeout: 0.02,
    stallTimeout: 0.04,
  });
  await using listener = new Listener(server, { bus, actionConcurrency: 1 });
  await using client = new Client(server);
  let executed = 0;
  listener.backend.registerAction("slow", async () => {
    executed++;
    // Several beats, each of which would end a handler that took so long.
    await new Promise((resolve) => setTimeout(resolve, 100));
  });
  await listener.backend.start();
  const responses = await Promise.all([client.ask("slow"), client.ask("slow")]);
  assert.deepEqual(responses.flatMap(({ errors }) => errors), []);
  await until(() => listener.backend.stats().delivered === 2);
  assert.equal(executed, 2);
});

Deno.test("Backend acknowledges a request once its response was sent", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  listener.backend.registerAction("*", () => {
    begun.resolve();
    return go.promise;
  });
  await listener.backend.start();
  await push(server, "one");
  await begun.promise;
  // The server refuses the response until it has memory again.
  await server.run("CONFIG", "SET", "maxmemory", "1");
  go.resolve();
  await until(async () =>
    /errorstat_OOM:count=[2-9]/.test(await server.run("INFO", "errorstats"))
  );
  assert.equal(listener.backend.stats().delivered, 0);
  assert.deepEqual(await answers(server, "one"), []);
  await server.run("CONFIG", "SET", "maxmemory", "0");
  await until(() => listener.backend.stats().delivered === 1);
  assert.equal((await answers(server, "one")).length, 1);
});

Deno.test("Backend executes a request no second time because its response cannot be sent at all", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  let executed = 0;
  listener.backend.registerAction("*", () => executed++);
  await listener.backend.start();
  await server.run("SET", "platypush/responses/one", "no list");
  await push(server, "one");
  await listener.logger.line(
    /error: Request "one" was executed, but its response is lost: Cannot respond/,
  );
  await until(() => listener.backend.stats().delivered === 1);
  assert.equal(executed, 1);
  assert.equal(listener.backend.stats().answered, 0);
});

Deno.test("Backend that stops answers what is in hand, and waits for it", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { actionConcurrency: 1 });
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const aborted: boolean[] = [];
  listener.backend.registerAction("*", async (_args, { action }, context) => {
    begun.resolve();
    await go.promise;
    aborted.push(context.signal.aborted);
    return action;
  });
  await listener.backend.start();
  await push(server, "one", "two");
  await begun.promise;
  const stopping = listener.backend.stop();
  go.resolve();
  await stopping;
  for (const id of ["one", "two"]) {
    const [answer] = await answers(server, id);
    assert.deepEqual(answer?.response, { output: id, errors: [] });
  }
  assert.deepEqual(aborted, [false, false]);
  assert.equal(await server.run("LLEN", QUEUE), 0);
});

Deno.test("Backend that stops gives back what is not answered in time", async () => {
  await using server = await TestServer.start();
  const waiting = Promise.withResolvers<void>();
  const reasons: unknown[] = [];
  {
    await using listener = new Listener(server, {
      actionConcurrency: 1,
      stopTimeout: 0.05,
    });
    const begun = Promise.withResolvers<void>();
    listener.backend.registerAction("zero", () => {});
    listener.backend.registerAction("*", (_args, _request, { signal }) => {
      signal.addEventListener("abort", () => reasons.push(signal.reason.name));
      begun.resolve();
      return waiting.promise;
    });
    await push(server, "zero", "one", "two");
    await listener.backend.start();
    await begun.promise;
    await until(() => listener.backend.stats().actionsWaiting === 1);
    await listener.backend.stop();
    await listener.logger.line(/warn: Not everything in hand was handled/);
    assert.equal(listener.backend.stats().delivered, 1);
  }
  assert.deepEqual(reasons, ["AbortError"]);
  assert.deepEqual(await answers(server, "one"), []);
  waiting.resolve();
  // The next one gets them, and is told that they were delivered before.
  await using next = new Listener(server);
  const redelivered: Record<string, number> = {};
  next.backend.registerAction("*", (_args, request) => {
    redelivered[request.action] = request.redelivered;
  });
  await next.backend.start();
  await until(() => next.backend.stats().delivered === 2);
  assert.deepEqual(redelivered, { one: 1, two: 1 });
  assert.equal((await answers(server, "one")).length, 1);
});

Deno.test("Backend of any class answers requests, and waits for them when it stops", async () => {
  await using server = await TestServer.start();
  await using bus = new Bus({ name: crypto.randomUUID(), deviceId: "door" });
  const backend = new Backend({
    redisArgs: server.args,
    bus,
    deviceId: "door",
  });
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  backend.registerAction("door.open", async () => {
    begun.resolve();
    await go.promise;
    return "open";
  });
  await backend.onMessage({ type: "request", action: "door.open", id: "one" });
  await begun.promise;
  const stopping = backend.stop();
  go.resolve();
  await stopping;
  const [answer] = await answers(server, "one");
  assert.deepEqual(answer?.response, { output: "open", errors: [] });
  const receipt = await bus.post({ type: "request", action: "door.open" });
  assert.deepEqual(await receipt.handled, []);
});

Deno.test("Backend of any class leaves behind what does not finish in time", async () => {
  await using server = await TestServer.start();
  await using bus = new Bus({ name: crypto.randomUUID(), deviceId: "door" });
  const backend = new Backend({
    redisArgs: server.args,
    bus,
    deviceId: "door",
    stopTimeout: 0.02,
  });
  const begun = Promise.withResolvers<void>();
  const never = Promise.withResolvers<void>();
  backend.registerAction("door.open", () => {
    begun.resolve();
    return never.promise;
  });
  const receipt = await bus.post({ type: "request", action: "door.open" });
  await begun.promise;
  await backend.stop();
  const [failure] = await receipt.handled;
  assert.equal(failure?.reason, "dropped");
  assert.match(failure.error.message, /stopped before it had answered request/);
  never.resolve();
});
