import assert from "node:assert/strict";
import {
  attribute,
  Bus,
  Connection,
  defineEventType,
  Event,
  eventStream,
  HubBus,
  Inbox,
  inTraceOf,
  jsonText,
  matchesFilter,
  type Message,
  MessageError,
  Outbox,
  parsePythonLiteral,
  peerRedisArgs,
  pool,
  RedisBackend,
  RedisError,
  RedisOnce,
  Request,
  Response,
  type ServiceChange,
  summarize,
  zeroconfEvent,
} from "../mod.ts";
import { serviceType } from "../src/zeroconf/mod.ts";

const circle: Record<string, unknown> = {};
circle["itself"] = circle;
const event = new Event({ args: { type: "custom" } });

/** Registers an action of such a name with a backend. */
async function registerAction(name: unknown): Promise<void> {
  await using backend = new RedisBackend();
  Reflect.apply(backend.registerAction, backend, [name, () => 1]);
}

/** What plain JavaScript can call, and what the error says of it. */
const CALLS: Readonly<Record<string, [() => unknown, RegExp]>> = {
  "`new RedisOnce()`": [
    () => Reflect.construct(RedisOnce, []),
    /Cannot make one by `new RedisOnce\(\)`, .*; expected `await RedisOnce\.open/,
  ],
  "`new RedisOnce()` with a connection": [
    () => Reflect.construct(RedisOnce, [{}]),
    /Cannot make one by `new RedisOnce\(\)`/,
  ],
  "`new Inbox()`": [
    () => Reflect.construct(Inbox, []),
    /Cannot make one by `new Inbox\(\)`, .*; expected `await Inbox\.open/,
  ],
  "`new Connection()`": [
    () => Reflect.construct(Connection, [{}]),
    /Cannot make one by `new Connection\(\)`, .*; expected `await Connection\.connect/,
  ],
  "`new HubBus()`": [
    () => Reflect.construct(HubBus, [{}]),
    /Cannot make one by `new HubBus\(\)`, .*; expected `await HubBus\.open/,
  ],
  "a value that JSON has nothing for": [
    () => jsonText(undefined),
    /it is missing, and JSON has nothing for that/,
  ],
  "a filter that is none": [
    () => matchesFilter(event, null as never),
    /the filter is null, expected an object/,
  ],
  "a summary of no message": [
    () => summarize({} as Message),
    /expected a message/,
  ],
  "a service type that is no text": [
    () => serviceType(undefined as never),
    /expected a text/,
  ],
  "a peer that is none": [
    () => peerRedisArgs(undefined as never, {}),
    /`peer` is missing, expected an object/,
  ],
  "no arguments of our own to reach a peer": [
    () => peerRedisArgs({} as never, null as never),
    /`own` has to be an object/,
  ],
  "nothing to do in the trace of a message": [
    () => inTraceOf(event, undefined as never),
    /`work` is missing, expected a function/,
  ],
  "an event of no change": [
    () => zeroconfEvent({} as ServiceChange),
    /expected \{ kind, service \}/,
  ],
  "a message that is taken back from nowhere": [
    async () => {
      await using outbox = new Outbox({});
      await outbox.takeBack(undefined as never, "x");
    },
    /`queue` is missing/,
  ],
  "an event type that is derived from nothing": [
    () => Reflect.apply(defineEventType, undefined, ["x"]),
    /in `extends`, expected the name of a type/,
  ],
  "a stream of no bus": [
    () => Reflect.apply(eventStream, undefined, []),
    /expected a bus/,
  ],
  "an attribute without a path": [
    () => attribute(event, 5 as unknown as string),
    /its path is a number, expected a text/,
  ],
  "a literal that is no text": [
    () => parsePythonLiteral(5 as unknown as string),
    /it is a number, expected its text/,
  ],
  "a pool of a module that is no address": [
    () => pool(circle as unknown as URL),
    /Cannot start a pool: what is of the type object is no address/,
  ],
  "a pool of a symbol": [
    () => pool(Symbol("worker") as unknown as URL),
    /Cannot start a pool: what is of the type symbol is no address/,
  ],
  "an action whose name is no text": [
    () => registerAction(circle),
    /Cannot register the action whose name is of the type object: expected a name/,
  ],
  "an action of a bus whose name is a symbol": [
    async () => {
      await using bus = new Bus({ name: "test/refused" });
      Reflect.apply(bus.registerAction, bus, [Symbol("on"), () => 1]);
    },
    /Cannot register the action whose name is of the type symbol: expected a name/,
  ],
  "an action whose name is a whole number": [
    () => registerAction(1n),
    /Cannot register the action whose name is of the type bigint: expected a name/,
  ],
  "a value that contains itself": [
    () => jsonText(circle),
    /it contains itself/,
  ],
  "a time for which nothing is remembered": [
    () =>
      new RedisBackend({ deviceId: "hall" }).sendEvent(
        { args: { type: "custom" } },
        { deduplicateFor: 5 },
      ),
    /`deduplicateFor` says more of `deduplicate`, .* give it, too/,
  ],
};

for (const [what, [call, expected]] of Object.entries(CALLS)) {
  Deno.test(`The error for ${what} says what was expected`, async () => {
    await assert.rejects(async () => await call(), (error: Error) => {
      assert.ok(error instanceof TypeError, `${error}`);
      assert.match(error.message, /^Cannot /);
      assert.match(error.message, expected);
      return true;
    });
  });
}

Deno.test("The error for a message without fields says what was expected", () => {
  for (const kind of [Event, Request, Response]) {
    assert.throws(() => Reflect.construct(kind, []), (error: Error) => {
      assert.ok(error instanceof MessageError, `${error}`);
      assert.match(error.message, /missing, expected/);
      return true;
    });
  }
});

Deno.test("Connection.connect() needs no arguments", async () => {
  const signal = AbortSignal.abort();
  // What was refused would be a TypeError.
  await assert.rejects(
    Reflect.apply(Connection.connect, Connection, [undefined, { signal }]),
    RedisError,
  );
});
