import assert from "node:assert/strict";
import {
  type ActionHandler,
  Backend,
  Bus,
  Event,
  RedisBackend,
  Request,
  type RequestInit,
  type Response,
} from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { Listener, privateBus, QUEUE } from "./helpers.ts";

/** Somebody who asks the device "livingroom". */
class Client implements AsyncDisposable {
  readonly #backend: RedisBackend;

  constructor(server: TestServer) {
    this.#backend = new RedisBackend({
      redisArgs: server.args,
      deviceId: "kitchen",
    });
  }

  ask(
    action: string,
    args: Record<string, unknown> = {},
    init: Partial<RequestInit> = {},
  ): Promise<Response> {
    return this.#backend.sendRequest(
      { target: "livingroom", action, args, ...init },
      { responseTimeout: 20 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend.stop();
  }
}

/** Pushes requests as any program does; their ids are their actions. */
async function push(server: TestServer, ...actions: string[]): Promise<void> {
  await server.run(
    "RPUSH",
    QUEUE,
    ...actions.map((action) =>
      JSON.stringify({
        type: "request",
        target: "livingroom",
        origin: "kitchen",
        id: action,
        action,
      })
    ),
  );
}

async function answers(
  server: TestServer,
  id: string,
): Promise<Record<string, unknown>[]> {
  const key = `platypush/responses/${id}`;
  const texts = await server.run<string[]>("LRANGE", key, "0", "-1");
  return texts.map((text) => JSON.parse(text));
}

Deno.test("Backend answers a request with what its action returns, where Platypush's clients wait", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { subscriberGrace: Infinity });
  const seen: unknown[] = [];
  listener.backend.registerAction("lights.on", async (args, request) => {
    await Promise.resolve();
    seen.push(args, request instanceof Request, request.origin);
    return { on: [args.room] };
  });
  await listener.backend.start();
  await server.run(
    "RPUSH",
    QUEUE,
    JSON.stringify({
      type: "request",
      target: "livingroom",
      origin: "kitchen",
      id: "0123456789abcdef0123456789abcdef",
      action: "lights.on",
      args: { room: "hall" },
      token: null,
    }),
  );
  const key = "platypush/responses/0123456789abcdef0123456789abcdef";
  await until(() => listener.backend.stats().delivered === 1);
  const [{ _timestamp, ...answer }] = await answers(
    server,
    "0123456789abcdef0123456789abcdef",
  ) as [Record<string, unknown>];
  assert.deepEqual(answer, {
    type: "response",
    target: "kitchen",
    origin: "livingroom",
    id: "0123456789abcdef0123456789abcdef",
    response: { output: { on: ["hall"] }, errors: [] },
  });
  assert.equal(typeof _timestamp, "number");
  const ttl = await server.run<number>("TTL", key);
  assert.ok(ttl > 55 && ttl <= 60, `${ttl}`);
  assert.deepEqual(seen, [{ room: "hall" }, true, "kitchen"]);
  assert.equal(listener.backend.stats().answered, 1);
});

Deno.test("Backend executes the action whose name fits best", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  const { backend } = listener;
  const names = ["lights.*", "lights.hue.*", "*", "lights.hue.on", "tv"];
  const ends = new Map(
    names.map((name) => [name, backend.registerAction(name, () => name)]),
  );
  await backend.start();
  const executed = async (action: string): Promise<unknown> =>
    (await client.ask(action)).output;
  assert.equal(await executed("lights.hue.on"), "lights.hue.on");
  assert.equal(await executed("lights.hue.on.now"), "lights.hue.*");
  assert.equal(await executed("lights.hue.off"), "lights.hue.*");
  assert.equal(await executed("lights.off"), "lights.*");
  assert.equal(await executed("lights"), "*");
  assert.equal(await executed("tvs"), "*");
  assert.equal(await executed("lights.*"), "lights.*");
  ends.get("lights.hue.*")!();
  assert.equal(await executed("lights.hue.off"), "lights.*");
});

Deno.test("Backend.registerAction refuses what makes no sense", async () => {
  await using bus = privateBus();
  await using backend = new Backend({ bus });
  for (
    const name of [
      "",
      ".on",
      "lights.",
      "lights..on",
      "lights*",
      "*.on",
      "lights.*.on",
      "lights on",
      "lights\n",
      null,
      5,
    ]
  ) {
    assert.throws(() => backend.registerAction(name as string, () => {}), {
      name: "TypeError",
      message: /^Cannot register the action .*: expected a name such as/,
    });
  }
  assert.throws(
    () => backend.registerAction("lights.on", "on" as unknown as ActionHandler),
    { name: "TypeError", message: /its handler is no function/ },
  );
  for (const timeout of [0, -1, NaN, "5" as unknown as number]) {
    assert.throws(
      () => backend.registerAction("lights.on", () => {}, { timeout }),
      { name: "RangeError", message: /`timeout` is .*, expected seconds/ },
    );
  }
  assert.equal(bus.subscribers, 0);
  const end = backend.registerAction("lights.on", () => {});
  assert.throws(() => backend.registerAction("lights.on", () => {}), {
    message:
      'Cannot register the action "lights.on": it is already registered; unregister it first',
  });
  end();
  assert.equal(bus.subscribers, 0);
  backend.registerAction("lights.on", () => {});
  // A second call ends nothing of somebody else's.
  end();
  assert.equal(bus.subscribers, 1);
  await backend.stop();
  assert.equal(bus.subscribers, 0);
  assert.throws(() => backend.registerAction("tv.on", () => {}), {
    name: "AbortError",
  });
});

Deno.test("Backend refuses options for actions that make no sense", () => {
  for (const Class of [Backend, RedisBackend]) {
    for (const actionConcurrency of [0, 1.5, NaN]) {
      assert.throws(() => new Class({ actionConcurrency }), {
        name: "RangeError",
        message: /`actionConcurrency` is .*, expected a whole number above 0/,
      });
    }
    for (const actionTimeout of [0, -1, NaN]) {
      assert.throws(() => new Class({ actionTimeout }), {
        name: "RangeError",
        message: /`actionTimeout` is .*, expected a number of seconds above 0/,
      });
    }
    for (const token of ["", 5, null]) {
      assert.throws(() => new Class({ token: token as string }), {
        name: "TypeError",
        message: /`token` has to be a text that is not empty, or a function/,
      });
    }
  }
});

Deno.test("Backend answers with the message of what an action throws, and never with a stack", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  const { backend } = listener;
  const thrown: Record<string, unknown> = {
    sync: new TypeError("no light bulb"),
    text: "just a text",
    json: '{"not": "decoded"}',
    silent: new RangeError(),
    nothing: undefined,
  };
  backend.registerAction("fail.sync", () => {
    throw thrown.sync;
  });
  backend.registerAction(
    "fail.*",
    ({ what }) => Promise.reject(thrown[what as string]),
  );
  await backend.start();
  const errors = async (what: string): Promise<unknown> => {
    const action = what === "sync" ? "fail.sync" : "fail.it";
    const response = await client.ask(action, { what });
    assert.deepEqual(response.output, { success: false });
    return response.errors;
  };
  assert.deepEqual(await errors("sync"), ["no light bulb"]);
  assert.deepEqual(await errors("text"), ["just a text"]);
  assert.deepEqual(await errors("json"), ['{"not": "decoded"}']);
  assert.deepEqual(await errors("silent"), ["RangeError"]);
  assert.deepEqual(await errors("nothing"), ["undefined"]);
  await listener.logger.line(
    /warn: The request for "fail.sync" from "kitchen" was answered with an error: no light bulb/,
  );
  // It was answered, and does not come again.
  await until(() => backend.stats().delivered === 5);
  assert.equal(backend.stats().redelivered, 0);
});

Deno.test("Backend answers with whatever an action returns as JSON", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const outputs: Record<string, unknown> = {
    date: new Date(0),
    map: new Map<unknown, unknown>([["a", 1], [2, new Set(["b"])]]),
    bytes: new Uint8Array([1, 2, 255]),
    large: 2n ** 64n,
    nothing: undefined,
    null: null,
    nan: [NaN, 1],
    error: new TypeError("kept"),
    number: "5",
    json: '{"a": 1}',
    text: "grün 😀\n",
    cycle,
    hostile: {
      get toJSON(): unknown {
        throw new Error("not this one");
      },
    },
  };
  listener.backend.registerAction("get", ({ what }) => outputs[String(what)]);
  await listener.backend.start();
  const output = async (what: string): Promise<unknown> => {
    const response = await client.ask("get", { what });
    return response.errors.length > 0 ? response.errors : response.output;
  };
  assert.equal(await output("date"), "1970-01-01T00:00:00.000Z");
  assert.deepEqual(await output("map"), { a: 1, 2: ["b"] });
  assert.equal(await output("bytes"), "AQL/");
  assert.equal(await output("large"), "18446744073709551616");
  assert.deepEqual(await output("nothing"), { success: true });
  assert.deepEqual(await output("null"), { success: true });
  assert.deepEqual(await output("nan"), [null, 1]);
  assert.equal(await output("error"), "TypeError: kept");
  assert.equal(await output("number"), "5");
  assert.equal(await output("json"), '{"a": 1}');
  assert.equal(await output("text"), "grün 😀\n");
  assert.match(String(await output("cycle")), /or contains itself/);
  assert.deepEqual(await output("hostile"), ["not this one"]);
});

Deno.test("Backend answers a request for an unknown action with the nearest one", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  listener.backend.registerAction("lights.on", () => {});
  listener.backend.registerAction("shutter.*", () => {});
  await listener.backend.start();
  const error = async (action: string): Promise<unknown> =>
    (await client.ask(action)).errors[0];
  assert.equal(
    await error("light.onn"),
    'There is no action "light.onn"; the nearest one is "lights.on"',
  );
  assert.equal(
    await error("lights.on.now"),
    'There is no action "lights.on.now"; the nearest one is "lights.on"',
  );
  const long = "a.".repeat(50_000);
  assert.equal(
    await error(long),
    `There is no action "${long.slice(0, 100)}…"`,
  );
});

Deno.test("Backend leaves requests alone while no action is registered", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { token: "secret" });
  const { backend, bus } = listener;
  bus.registerHandler(Request, async (request) => {
    await backend.sendResponse({ output: "by hand" }, request);
  });
  await backend.start();
  await push(server, "one");
  await until(() => backend.stats().delivered === 1);
  const end = backend.registerAction("lights.on", () => {});
  end();
  await push(server, "two");
  await until(() => backend.stats().delivered === 2);
  for (const id of ["one", "two"]) {
    const responses = (await answers(server, id)).map(({ response }) =>
      response
    );
    assert.deepEqual(responses, [{ output: "by hand", errors: [] }]);
  }
  assert.equal(backend.stats().answered, 0);
});

Deno.test("Backend does not answer for another device", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const executed: string[] = [];
  listener.backend.registerAction("*", ({ from }) => executed.push(`${from}`));
  const request = (target: string): Record<string, unknown> => ({
    type: "request",
    target,
    id: target,
    action: "lights.on",
    args: { from: target },
  });
  await listener.bus.post([request("attic"), request("livingroom")]);
  await listener.bus.flush();
  await until(() => listener.backend.stats().answered === 1);
  assert.deepEqual(executed, ["livingroom"]);
  assert.deepEqual(await answers(server, "attic"), []);
});

Deno.test("Backend executes only requests with the right token, and keeps it out of logs and answers", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { token: "s3cret" });
  await using client = new Client(server);
  let executed = 0;
  listener.backend.registerAction("lights.on", () => ++executed);
  await listener.backend.start();
  const refused = async (token: string | null): Promise<unknown> =>
    (await client.ask("lights.on", {}, { token })).errors;
  assert.deepEqual(await refused(null), ["Refused: the token is missing"]);
  assert.deepEqual(await refused("s3cret "), ["Refused: the token is wrong"]);
  assert.deepEqual(await refused("gu3ss"), ["Refused: the token is wrong"]);
  // What actions there are is not for those without it.
  const unknown = await client.ask("lights.off", {}, { token: "gu3ss" });
  assert.deepEqual(unknown.errors, ["Refused: the token is wrong"]);
  assert.equal(executed, 0);
  const good = await client.ask("lights.on", {}, { token: "s3cret" });
  assert.deepEqual([good.output, good.errors], [1, []]);
  await listener.logger.line(
    /warn: .*"lights.on" from "kitchen" .*: Refused: the token is wrong/,
  );
  assert.doesNotMatch(listener.logger.lines.join("\n"), /s3cret|gu3ss/);
});

Deno.test("Backend lets a function check the token", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    token: async (token, { action }) => {
      await Promise.resolve();
      if (token === "broken") throw new Error("secret database is gone");
      if (token === "yes") return "yes" as unknown as boolean;
      return token === `may ${action}`;
    },
  });
  await using client = new Client(server);
  listener.backend.registerAction("*", (_args, { action }) => action);
  await listener.backend.start();
  const ask = async (
    action: string,
    token: string | null,
  ): Promise<unknown> => {
    const { output, errors } = await client.ask(action, {}, { token });
    return errors[0] ?? output;
  };
  assert.equal(await ask("lights.on", "may lights.on"), "lights.on");
  assert.equal(
    await ask("tv.on", "may lights.on"),
    "Refused: the token is wrong",
  );
  assert.equal(await ask("tv.on", null), "Refused: the token is missing");
  assert.equal(await ask("tv.on", "yes"), "Refused: the token is wrong");
  assert.equal(
    await ask("tv.on", "broken"),
    "Refused: the token could not be checked",
  );
  await listener.logger.line(
    /error: The token check has failed: secret database is gone/,
  );
});

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
  assert.equal(delivered, 0);
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
