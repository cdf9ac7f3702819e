import { isRecord, kindOf } from "./json_value.ts";
import type { Message } from "./message.ts";

/**
 * Reads an attribute of a message.
 *
 * @param message The message whose attributes are looked at.
 * @param path Names with dots between them, as in `args.data.temperature`;
 * a number is an index of an array. Names that contain a dot cannot be reached.
 * The first name is a property of the message or one of its
 * {@linkcode Message.extra} keys.
 * @returns The value, or `undefined` where there is none. Only own properties
 * count, so nothing inherited is ever reached.
 * @throws {TypeError} If the path is no text.
 *
 * @example
 * ```ts
 * import { attribute, Event } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const event = new Event({ args: { type: "custom.Sensor", values: [20, 21] } });
 * assert.equal(attribute(event, "args.values.1"), 21);
 * assert.equal(attribute(event, "args.constructor"), undefined);
 * ```
 */
export function attribute(message: Message, path: string): unknown {
  if (typeof path !== "string") {
    throw new TypeError(
      `Cannot look up an attribute: its path is ${
        kindOf(path)
      }, expected a text such as "args.type"`,
    );
  }
  const names = path.split(".");
  const [first] = names;
  let value: unknown = Object.hasOwn(message, first!) ? message : message.extra;
  for (const name of names) {
    if (
      typeof value !== "object" || value === null || !Object.hasOwn(value, name)
    ) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/**
 * Says, for {@linkcode matchesFilter}, what attributes of a message have to be,
 * by their path: `{ "args.type": "custom.Motion" }`.
 */
export type Filter = Readonly<Record<string, unknown>>;

/**
 * Compares attributes of a message, as handlers on the bus are filtered.
 *
 * @param message The message whose attributes are looked at.
 * @param filter JSON values by path (see {@linkcode attribute}). An object
 * matches one that has at least its keys, with matching values. An array
 * matches one of the same length with matching items. `undefined` matches an
 * attribute that is not there, and anything else what is equal to it.
 * @returns Whether all attributes match; true for an empty filter.
 * @throws {TypeError} The filter is no object.
 *
 * @example
 * ```ts
 * import { Event, matchesFilter } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const event = new Event({
 *   args: { type: "custom.Sensor", data: { temperature: 21.5, room: "hall" } },
 * });
 * assert.ok(matchesFilter(event, { "args.data": { room: "hall" } }));
 * assert.ok(!matchesFilter(event, { "args.data.room": "kitchen" }));
 * ```
 */
export function matchesFilter(message: Message, filter: Filter): boolean {
  if (!isRecord(filter)) {
    throw new TypeError(
      `Cannot match the message: the filter is ${
        kindOf(filter)
      }, expected an object such as { "args.type": "custom.Motion" }`,
    );
  }
  for (const path of Object.keys(filter)) {
    if (!matchesValue(attribute(message, path), filter[path])) return false;
  }
  return true;
}

/**
 * @param expected What it has to be, or to contain where it is an object.
 * @returns Whether it matches.
 */
function matchesValue(actual: unknown, expected: unknown): boolean {
  if (typeof expected !== "object" || expected === null) {
    return actual === expected;
  }
  if (typeof actual !== "object" || actual === null) return false;
  if (Array.isArray(expected)) {
    return Array.isArray(actual) && actual.length === expected.length &&
      expected.every((item, index) => matchesValue(actual[index], item));
  }
  if (Array.isArray(actual)) return false;
  return Object.entries(expected).every(([key, value]) =>
    Object.hasOwn(actual, key)
      ? matchesValue((actual as Record<string, unknown>)[key], value)
      : value === undefined
  );
}
