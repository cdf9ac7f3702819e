import assert from "node:assert/strict";
import {
  Advertiser,
  Backend,
  browse,
  Browser,
  Bus,
  Connection,
  DeadLetters,
  diagnose,
  discover,
  discoverTypes,
  Inbox,
  loadConfig,
  Outbox,
  queueStatus,
  RedisBackend,
  Request,
  resolveConfig,
  startRedis,
} from "../mod.ts";
import { freePort } from "./servers.ts";

/** Nobody is there: what is refused before anything is done does not notice. */
const nowhere = { host: "127.0.0.1", port: freePort() };
/** What no function may be given, in the eyes of the compiler too. */
// deno-lint-ignore no-explicit-any
type Wrong = any;

/** What takes options, with a name that is nearly right, and the right one. */
type Call = readonly [
  call: (options: Wrong) => unknown,
  wrong: string,
  right: string,
];

/** Whatever takes options. */
const callsOf = (backend: RedisBackend, bus: Bus): readonly Call[] => [
  [(options) => new Bus(options), "handlerTimout", "handlerTimeout"],
  [(options) => bus.post([], options), "maxsize", "maxSize"],
  [
    (options) => bus.registerHandler("custom.A", () => {}, {}, options),
    "timout",
    "timeout",
  ],
  [(options) => bus.on({}, () => {}, options), "timout", "timeout"],
  [(options) => new Backend(options), "deviceID", "deviceId"],
  [(options) => new RedisBackend(options), "batchsize", "batchSize"],
  [
    (options) => new RedisBackend({ postEvents: options }),
    "interface",
    "interfaces",
  ],
  [
    (options) => backend.sendRequest({ action: "a" }, options),
    "response_timout",
    "responseTimeout",
  ],
  [(options) => backend.sendTo("peer", [], options), "timout", "timeout"],
  [
    (options) => backend.registerAction("a", () => {}, options),
    "timout",
    "timeout",
  ],
  [(options) => backend.registerService(options), "srv_typ", "srvType"],
  [(options) => Array.fromAsync(browse(options)), "typ", "type"],
  [(options) => discover(options), "timout", "timeout"],
  [(options) => discoverTypes(options), "timout", "timeout"],
  [(options) => new Browser(options), "onchanged", "onChange"],
  [(options) => new Advertiser(options), "hots", "host"],
  [
    async (options) => {
      await using advertiser = new Advertiser({ interfaces: ["127.0.0.1"] });
      const service = { name: "hall", type: "lights", port: 0 };
      await advertiser.register(
        options?.constructor === Object ? { ...service, ...options } : options,
      );
    },
    "propertys",
    "properties",
  ],
  [(options) => startRedis(options), "prot", "port"],
  [(options) => Connection.connect(nowhere, options), "singal", "signal"],
  [(options) => Inbox.open(nowhere, options), "batchsize", "batchSize"],
  [(options) => new Outbox(nowhere, options), "logr", "logger"],
  [(options) => new DeadLetters(nowhere, options), "queu", "queue"],
  [(options) => queueStatus(nowhere, options), "queu", "queue"],
  [(options) => Array.fromAsync(diagnose(options)), "multicat", "multicast"],
  [(options) => loadConfig(undefined, options), "loger", "logger"],
  [(options) => resolveConfig(options), "flag", "flags"],
];

Deno.test("options that there are not are refused by all that takes options, with the nearest one", async () => {
  await using backend = new RedisBackend({ redisArgs: nowhere });
  await using bus = new Bus({ name: "tests/names" });
  for (const [call, wrong, right] of callsOf(backend, bus)) {
    await assert.rejects(
      async () => await call({ [wrong]: 1 }),
      (error: Error) => {
        assert.ok(error instanceof TypeError, `${call}: ${error.stack}`);
        assert.match(
          error.message,
          new RegExp(`^Cannot .*no option \`\\w+\`; .* \`${right}\`$`),
        );
        return true;
      },
      `${call}`,
    );
  }
  assert.equal(bus.subscribers + backend.bus.subscribers, 0);
});

Deno.test("options that are no object are refused", async () => {
  await using backend = new RedisBackend({ redisArgs: nowhere });
  await using bus = new Bus({ name: "tests/names" });
  for (const [call] of callsOf(backend, bus)) {
    const nones = [null, "text", 5, [], Symbol("s"), new Map(), new Date()];
    for (const none of [...nones, Promise.resolve({})]) {
      await assert.rejects(
        async () => await call(none),
        (error: Error) => {
          assert.ok(error instanceof TypeError, `${call}: ${error.stack}`);
          assert.match(
            error.message,
            /^Cannot [^:]+: .*(an object|has to be)/,
            `${call}`,
          );
          return true;
        },
      );
    }
  }
});

Deno.test("times that make no sense are refused by all that waits, before anything is done", async () => {
  const redisArgs = { host: "127.0.0.1", port: freePort() };
  await using backend = new RedisBackend({ redisArgs });
  await using started = new RedisBackend({ redisArgs });
  const starting = assert.rejects(started.start(), { name: "AbortError" });
  await using bus = new Bus({ name: "tests/times" });
  const calls: readonly ((time: number) => Promise<unknown>)[] = [
    (time) => bus.get(time),
    (time) =>
      backend.sendRequest(
        { action: "lights.on" },
        { responseTimeout: time },
      ),
    (time) => backend.sendTo("nobody", [], { timeout: time }),
    (time) => backend.waitStop(time),
    (time) => started.join(time),
    (time) => discover({ timeout: time }),
    (time) => discoverTypes({ timeout: time }),
  ];
  for (const call of calls) {
    for (const time of [NaN, -1, "1", Symbol("1")]) {
      await assert.rejects(
        call(time as number),
        {
          name: "RangeError",
          message: /^Cannot .*: `\w+` is .*, expected a number of seconds/,
        },
        `${call}`,
      );
    }
  }
  await started.stop();
  await starting;
});

Deno.test("options of the wrong kind are refused by all that takes options, and so are arguments", async () => {
  await using backend = new RedisBackend({ redisArgs: nowhere });
  await using bus = new Bus({ name: "tests/kinds" });
  await using outbox = new Outbox(nowhere);
  await using dead = new DeadLetters(nowhere, { queue: "queue" });
  const refuses = async (
    call: (value: Wrong) => unknown,
    ...values: unknown[]
  ): Promise<void> => {
    for (const value of values) {
      await assert.rejects(async () => await call(value), {
        name: "TypeError",
        message: /^Cannot [^:]+: `\w+` (is missing, expected|has to be) /,
      }, `${call} with ${Deno.inspect(value)}`);
    }
  };
  for (
    const value of [new Map([["hall", 5]]), new Date(), Promise.resolve({})]
  ) {
    await refuses((redisArgs) => new RedisBackend({ redisArgs }), value);
    await refuses((maxAge) => new RedisBackend({ maxAge }), value);
    await refuses((peers) => new RedisBackend({ peers }), value);
  }
  const service = { name: "hall", type: "lights", port: 0 };
  const request = new Request({ target: "a", origin: "b", action: "c" });
  const advertise = async (options: Wrong): Promise<void> => {
    await using advertiser = new Advertiser({ interfaces: ["127.0.0.1"] });
    await advertiser.register({ ...service, ...options });
  };
  await refuses((srvName) => backend.registerService({ srvName }), 5, [5]);
  for (const name of ["name", "label", "deviceId"]) {
    await refuses((value) => new Bus({ [name]: value }), 5, {}, null);
  }
  for (const value of [5, [5], null]) {
    await refuses((logger) => new Bus({ logger }), value);
    await refuses((logger) => new Outbox(nowhere, { logger }), value);
    await refuses((logger) => new Browser({ logger }), value);
    await refuses((logger) => loadConfig(undefined, { logger }), value);
    await refuses((onChange) => new Browser({ onChange }), value);
    await refuses((signal) => discover({ signal }), value);
    await refuses((signal) => queueStatus(nowhere, { signal }), value);
    await refuses((path) => resolveConfig({ path }), value);
    await refuses((path) => loadConfig(path), value);
    await refuses((directory) => startRedis({ directory }), value);
    await refuses((onRename) => advertise({ onRename }), value);
    await refuses((type) => advertise({ type }), value);
    await refuses((token) => new RedisBackend({ token }), value);
    await refuses((peer) => backend.sendTo(peer, []), value);
    for (const [response, to] of [[value, request], [{ output: 1 }, value]]) {
      await assert.rejects(
        backend.sendResponse(response as Wrong, to as Wrong),
        { name: "MessageError", message: /expected an object|without it/ },
      );
    }
    await refuses((queue) => outbox.push(queue, "text"), value);
    await refuses((payload) => outbox.push("queue", payload), value);
    await refuses((payload) => outbox.push("queue", ["a", payload]), value);
    await refuses((id) => outbox.pushResponse(id, "text"), value);
    await refuses((payload) => outbox.pushResponse("id", payload), value);
    await refuses((id) => outbox.waitForResponse(id, 1), value);
  }
  await refuses(
    (onResponse) => backend.sendRequest({ action: "a" }, { onResponse }),
    5,
    [5],
  );
  for (const value of [undefined, ""]) {
    await refuses((peer) => backend.sendTo(peer, []), value);
    await refuses((queue) => outbox.push(queue, "text"), value);
    await refuses((queue) => Inbox.open(nowhere, { queue }), value);
    await refuses((queue) => new DeadLetters(nowhere, { queue }), value);
  }
  await refuses((payload) => outbox.push("queue", payload), undefined);
  await refuses((port) => advertise({ port }), undefined);
  await refuses((time) => outbox.waitForResponse("id", time), undefined);
  await refuses((plain) => new Bus({ plain }), "yes", 1, null);
  await refuses((daemon) => new Browser({ daemon }), "yes", 1, null);
  await refuses((target) => bus.post([], { target }), 5, null);
  await refuses((redelivered) => bus.post([], { redelivered }), 5, ["a"]);
  await refuses((interfaces) => new Browser({ interfaces }), "lo", [5]);
  await refuses((config) => startRedis({ config }), "save", [5]);
  await refuses((properties) => advertise({ properties }), "a=b", ["a=b"]);
  await refuses((id) => dead.purge({ id }), 5, [5]);
  await refuses((options) => new RedisBackend({ redisArgs: options }), []);
});

Deno.test("options that make sense are taken, be they as unusual as may be", async () => {
  const log = Object.assign(() => {}, console);
  await using bus = new Bus({ name: "tests/unusual", label: "", logger: log });
  await (await bus.post([], { maxSize: Infinity })).handled;
  // Of a shell variable that is not set.
  await using backend = new RedisBackend({ queue: "", deviceId: "", bus });
  assert.equal(backend.deviceId, Deno.hostname());
});
