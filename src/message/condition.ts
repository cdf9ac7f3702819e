import { isDeepStrictEqual } from "node:util";
import { createLogger, type Logger } from "../logger.ts";
import type { Event } from "./event.ts";
import { isRecord, jsonValue, kindOf } from "./json_value.ts";
import { pythonRegex } from "./python_regex.ts";

/**
 * What an event's `args` have to be, as {@linkcode compileCondition} reads it:
 * equal to a value, or as an object of operators says.
 */
export type Condition = Readonly<Record<string, unknown>>;

/** Whether a value, found under a path, is as it should be. */
type Test = (value: unknown, path: string) => boolean;

/**
 * Makes a test of events out of a condition, as in Platypush's event hooks.
 *
 * Each key names one of the event's `args`, which has to be there. Its value is
 * - an object of operators, all of which have to hold:
 *   `$gt`, `$gte`, `$lt`, `$lte` read both sides as numbers, also out of texts
 *   such as `"21.5"`; `$eq`, `$ne` compare as a whole; `$regex` searches a text
 *   for a regular expression in Python's syntax, in linear time;
 * - another object: the event has at least these keys, each as it says;
 * - anything else: what the event's value has to be equal to.
 *
 * `null` in an event matches no operator but `$eq` and `$ne`. An unknown
 * operator never matches and is logged as a warning, once; a value of a type
 * that an operator cannot compare does not match either, and is logged at the
 * level debug since it came from elsewhere.
 *
 * @param condition The condition. It is read once: later changes to it have no
 * effect.
 * @param logger Where to log. The category `["platypush", "redis", "message"]`
 * by default.
 * @returns The test.
 * @throws {TypeError} If the condition is no object, or holds what no event can:
 * `undefined`, functions, a `RegExp`.
 * @throws {RegexError} If a regular expression cannot be used; says why.
 * @throws {MessageError} If the condition contains itself.
 *
 * @example
 * ```ts
 * import { compileCondition, Event } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const isWarm = compileCondition({
 *   type: { $regex: "SensorDataChangeEvent$" },
 *   data: { temperature: { $gte: 21, $lt: 30 } },
 * });
 * const event = new Event({
 *   args: {
 *     type: "platypush.message.event.sensor.SensorDataChangeEvent",
 *     data: { temperature: 21.5, humidity: 40 },
 *   },
 * });
 * assert.ok(isWarm(event));
 * ```
 */
export function compileCondition(
  condition: Condition,
  logger: Logger = createLogger("message"),
): (event: Event) => boolean {
  const expected = jsonValue(condition);
  if (!isRecord(expected)) {
    throw new TypeError(
      `Cannot use the condition: it is ${
        kindOf(expected)
      }, expected an object of what the event's "args" have to be`,
    );
  }
  refuseNonsense(condition, "args");
  const test = compileRecord(expected, "args", logger);
  return (event) => test(event.args, "args");
}

/** Refuses values that no event has, and that would be passed over. */
function refuseNonsense(value: unknown, path: string): void {
  const isNonsense = ["undefined", "function", "symbol"].includes(typeof value);
  if (isNonsense || value instanceof RegExp) {
    const hint = value instanceof RegExp
      ? '; for a regular expression write { $regex: "…" }'
      : "";
    throw new TypeError(
      `Cannot use the condition: "${path}" is ${
        value instanceof RegExp ? "a RegExp" : `of the type ${typeof value}`
      }, expected a JSON value${hint}`,
    );
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    refuseNonsense(item, `${path}.${key}`);
  }
}

const compiled = new WeakMap<Condition, (event: Event) => boolean>();

/** The test of a condition, compiled when it is first used. */
export function testOf(condition: Condition): (event: Event) => boolean {
  let test = compiled.get(condition);
  if (test === undefined) {
    test = compileCondition(condition);
    compiled.set(condition, test);
  }
  return test;
}

function compileValue(expected: unknown, path: string, logger: Logger): Test {
  if (!isRecord(expected)) return (value) => isDeepStrictEqual(value, expected);
  const keys = Object.keys(expected);
  return keys.some((key) => key.startsWith("$"))
    ? every(keys.map((key) => operator(key, expected[key], path, logger)))
    : compileRecord(expected, path, logger);
}

function compileRecord(
  expected: Record<string, unknown>,
  path: string,
  logger: Logger,
): Test {
  return every(
    Object.entries(expected).map(([key, value]): Test => {
      const keyPath = `${path}.${key}`;
      const test = compileValue(value, keyPath, logger);
      return (actual) =>
        isRecord(actual) && Object.hasOwn(actual, key) &&
        test(actual[key], keyPath);
    }),
    isRecord,
  );
}

/** A test that holds when all of them do. */
function every(tests: readonly Test[], first: Test = () => true): Test {
  return (value, path) =>
    first(value, path) && tests.every((test) => test(value, path));
}

function operator(
  name: string,
  expected: unknown,
  path: string,
  logger: Logger,
): Test {
  switch (name) {
    case "$eq":
      return (value) => isDeepStrictEqual(value, expected);
    case "$ne":
      return (value) => !isDeepStrictEqual(value, expected);
    case "$gt":
      return numeric(name, expected, path, logger, (a, b) => a > b);
    case "$gte":
      return numeric(name, expected, path, logger, (a, b) => a >= b);
    case "$lt":
      return numeric(name, expected, path, logger, (a, b) => a < b);
    case "$lte":
      return numeric(name, expected, path, logger, (a, b) => a <= b);
    case "$regex":
      return regex(expected, path, logger);
    default:
      logger.warn(
        `The condition on ${path} has the unknown operator ${
          JSON.stringify(name)
        } and never matches; known are $gt, $gte, $lt, $lte, $eq, $ne and $regex`,
      );
      return () => false;
  }
}

function numeric(
  name: string,
  expected: unknown,
  path: string,
  logger: Logger,
  compare: (actual: number, expected: number) => boolean,
): Test {
  const limit = toNumber(expected);
  if (limit === undefined) {
    logger.warn(
      `The condition on ${path} compares by ${name} with ${
        kindOf(expected)
      } and never matches; expected a number`,
    );
    return () => false;
  }
  return (value, path) => {
    const number = toNumber(value);
    if (number !== undefined) return compare(number, limit);
    logMismatch(logger, name, path, value, "a number");
    return false;
  };
}

function regex(expected: unknown, path: string, logger: Logger): Test {
  if (typeof expected !== "string") {
    logger.warn(
      `The condition on ${path} searches by $regex for ${
        kindOf(expected)
      } and never matches; expected a string`,
    );
    return () => false;
  }
  const search = pythonRegex(expected);
  return (value, path) => {
    if (typeof value === "string") return search(value);
    logMismatch(logger, "$regex", path, value, "a string");
    return false;
  };
}

function logMismatch(
  logger: Logger,
  name: string,
  path: string,
  value: unknown,
  expected: string,
): void {
  if (value === null) return;
  logger.debug(
    `The event's ${path} is ${
      kindOf(value)
    } and does not match ${name}; expected ${expected}`,
  );
}

const NUMBER = /^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*$/i;

/** A number as Python's `float` reads it, or `undefined`. */
function toNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  if (typeof value !== "string" || !NUMBER.test(value)) return undefined;
  return Number(value);
}
