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
        typeof options === "object" && options !== null
          ? { ...service, ...options }
          : options,
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
    for (const none of [null, "text", 5, Symbol("s")]) {
      await assert.rejects(
        async () => await call(none),
        (error: Error) => {
          assert.ok(error instanceof TypeError, `${call}: ${error.stack}`);
          assert.match(
            error.message,
            /^Cannot [^:]+: .*(an object|wrong kind)/,
            `${call}`,
          );
          return true;
        },
      );
    }
  }
});
