import assert from "node:assert/strict";
import {
  type ActionHandler,
  Backend,
  RedisBackend,
  Request,
} from "../../mod.ts";
import { Listener, privateBus, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { answers, Client, push } from "./action_client.ts";

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
      {
        name: "RangeError",
        message: /`timeout` is .*, expected a number of seconds above 0/,
      },
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
        message: /`token` has to be a text that is not empty, or/,
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

Deno.test("Backend tells of many requests that it refuses by the minute, and so of each action that fails", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  const { backend, logger } = listener;
  for (const name of ["first", "second"]) {
    backend.registerAction(name, () => Promise.reject(new Error(`no ${name}`)));
  }
  await backend.start();
  for (let round = 0; round < 3; round++) {
    for (const name of ["first", "second", `${round} is nowhere to be found`]) {
      const { errors } = await client.ask(name);
      assert.equal((errors as string[]).length, 1);
    }
  }
  const told = () =>
    logger.lines.filter((line) => /with an error/.test(line))
      .map((line) =>
        line.replace(/ from .* an error: /, ": ")
          .replace(/; the nearest one is "\w+"/, "")
      );
  const first = [
    'warn: The request for "first": no first.',
    'warn: The request for "second": no second.',
    'warn: The request for "0 is nowhere to be found": There is no action "0 is nowhere to be found".',
  ];
  assert.deepEqual(told(), first);
  await backend.stop();
  assert.deepEqual(told().slice(3), [
    'warn: The request for "first": no first; so were 1 before it.',
    'warn: The request for "second": no second; so were 1 before it.',
    'warn: The request for "2 is nowhere to be found": There is no action "2 is nowhere to be found"; so were 1 before it.',
  ]);
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
  // With all digits on the wire; whoever wants them here asks for big integers.
  assert.equal(await output("large"), 2 ** 64);
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
    `There is no action "${long.slice(0, 99)}…"`,
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
