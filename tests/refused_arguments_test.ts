import assert from "node:assert/strict";
import {
  attribute,
  defineEventType,
  Event,
  eventStream,
  jsonText,
  parsePythonLiteral,
  RedisBackend,
  RedisOnce,
} from "../mod.ts";

const circle: Record<string, unknown> = {};
circle["itself"] = circle;
const event = new Event({ args: { type: "custom" } });

/** What plain JavaScript can call, and what the error says of it. */
const CALLS: Readonly<Record<string, [() => unknown, RegExp]>> = {
  "`new RedisOnce()`": [
    () => Reflect.construct(RedisOnce, []),
    /expected `await RedisOnce\.open/,
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
