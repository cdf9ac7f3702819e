import { MessageError } from "./message_error.ts";

/** The largest depth of objects and arrays in a message, itself included. */
export const MAX_DEPTH = 200;

/**
 * Turns a value into one that JSON can carry. Parts that already are JSON are
 * kept, not copied; so most values come back as they are.
 *
 * | JavaScript | on the wire |
 * |---|---|
 * | `Date`, and whatever else has a `toJSON` method | what `toJSON` returns: for a date ISO 8601 in UTC, for an invalid one `null` |
 * | `Map` | an object; keys are strings, numbers, booleans, big integers or `null`, written as text |
 * | `Set` | an array |
 * | `BigInt` | a number; in the message it stays a `BigInt` where a double cannot hold it |
 * | `Uint8Array`, `ArrayBuffer` | a string, Base64 |
 * | other typed arrays | an array of numbers |
 * | `Error` | a string, `TypeError: what happened`, without the stack |
 * | `undefined`, functions, symbols | left out of objects, `null` in arrays |
 * | `NaN`, `Infinity`, `-Infinity` | `null` |
 * | a value that contains itself, or a promise, which nobody has awaited | a {@linkcode MessageError} |
 * | an object of a class | its own enumerable properties |
 *
 * @param value Anything that may or may not be JSON.
 * @param level How many objects and arrays are around the value.
 * @returns The JSON value, or `undefined` where JSON has no value for it.
 * @throws {MessageError} For a key `__proto__`, for a `Map` whose keys are
 * objects, for a promise, and for nesting deeper than 200 levels, cycles included.
 *
 * @example
 * ```ts
 * import { jsonValue } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(
 *   jsonValue({ at: new Date(0), rooms: new Set(["hall"]), count: 2n ** 64n }),
 *   {
 *     at: "1970-01-01T00:00:00.000Z",
 *     rooms: ["hall"],
 *     count: 2n ** 64n, // on the wire 18446744073709551616
 *   },
 * );
 * ```
 */
export function jsonValue(value: unknown, level = 0): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : null;
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    case "object":
      return value === null ? null : jsonObject(value, level + 1);
    default:
      return undefined;
  }
}

function jsonObject(value: object, level: number): unknown {
  if (level > MAX_DEPTH) throw tooDeep("or contains itself");
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") {
    return jsonValue(toJSON.call(value), level);
  }
  if (Array.isArray(value)) return jsonArray(value, level);
  // Nearly all objects are plain, and need not be compared with all classes.
  if (Object.getPrototypeOf(value) === Object.prototype) {
    return jsonRecord(value as Record<string, unknown>, level);
  }
  if (value instanceof Map) return jsonRecord(recordOf(value), level);
  if (value instanceof Set) return jsonArray([...value], level);
  if (value instanceof Error) return String(value);
  if (value instanceof Promise) {
    throw new MessageError(
      "Cannot write a promise: its value is not there yet; await it first",
    );
  }
  if (value instanceof Uint8Array) return base64(value);
  if (value instanceof ArrayBuffer) return base64(new Uint8Array(value));
  if (ArrayBuffer.isView(value) && Symbol.iterator in value) {
    return jsonArray([...value as Iterable<unknown>], level);
  }
  return jsonRecord(value as Record<string, unknown>, level);
}

function jsonArray(value: readonly unknown[], level: number): unknown[] {
  let copy: unknown[] | undefined;
  for (let index = 0; index < value.length; index++) {
    const converted = jsonValue(value[index], level) ?? null;
    if (converted === value[index]) continue;
    copy ??= value.slice();
    copy[index] = converted;
  }
  return copy ?? value as unknown[];
}

function jsonRecord(
  value: Record<string, unknown>,
  level: number,
): Record<string, unknown> {
  // Objects of a class may inherit accessors under the names of their own keys.
  const prototype = Object.getPrototypeOf(value);
  let copy = prototype === Object.prototype || prototype === null
    ? undefined
    : { ...value };
  for (const key in copy ?? value) {
    if (key === "__proto__") throw protoKey();
    const before = value[key];
    if (typeof before === "string") continue;
    const converted = jsonValue(before, level);
    if (converted === before && converted !== undefined) continue;
    copy ??= { ...value };
    if (converted === undefined) delete copy[key];
    else copy[key] = converted;
  }
  return copy ?? value;
}

function recordOf(map: ReadonlyMap<unknown, unknown>): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (const [key, value] of map) {
    if (
      key === null ||
      ["string", "number", "boolean", "bigint"].includes(typeof key)
    ) {
      if (key === "__proto__") throw protoKey();
      record[String(key)] = value;
    } else {
      throw new MessageError(
        "Cannot write a Map whose key is neither text nor number, boolean or null: JSON has no other keys",
      );
    }
  }
  return record;
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  // A call takes a limited number of arguments.
  for (let start = 0; start < bytes.length; start += 8192) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(binary);
}

/**
 * Turns a message for the wire into JSON values. The output of a response stays a
 * number that JSON does not have, where it is one: `null` would say that there is
 * no output.
 */
export function wireValue(wire: unknown): unknown {
  const value = jsonValue(wire);
  const output = outputOf(wire);
  if (typeof output !== "number" || outputOf(value) === output) return value;
  const { response } = value as { response: object };
  return { ...value as object, response: { ...response, output } };
}

function outputOf(wire: unknown): unknown {
  const response = isRecord(wire) ? wire["response"] : undefined;
  return isRecord(response) ? response["output"] : undefined;
}

export function tooDeep(detail = "which no message needs"): MessageError {
  return new MessageError(
    `The message is nested deeper than ${MAX_DEPTH} levels, ${detail}`,
  );
}

/** The error for a key that could reach an object's prototype. */
export function protoKey(): MessageError {
  return new MessageError(
    'The message has a key "__proto__", which is refused because it could change the prototype of objects it is copied into; use another name',
  );
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Gives an object as it is, and an empty one in place of all else. */
export function asRecord(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

/** Names the kind of a JSON value, with its article, for errors that must not quote it. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (value === "") return "an empty string";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Makes `JSON.stringify` write a number with just these digits. */
const { rawJSON } = JSON as unknown as { rawJSON(digits: string): unknown };

/** Puts what `JSON.stringify` can write in place of the big integers in a value. */
export function writable(value: unknown): unknown {
  if (typeof value === "bigint") return rawJSON(String(value));
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(writable);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, writable(item)]),
  );
}

/** Goes through a value; that one contains itself is found by going too deep. */
function written(value: unknown): unknown {
  try {
    return writable(value);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new TypeError(
      "Cannot write the value as JSON: it contains itself, or is nested too deeply; expected what `jsonValue` gives",
      { cause },
    );
  }
}

/**
 * Writes a JSON value as text, with all digits of the big integers in it.
 *
 * @param value What {@linkcode jsonValue} gives, such as a message's `args`.
 * @returns The text, as `JSON.stringify` writes it.
 * @throws {TypeError} If the value contains itself, or JSON has nothing for it.
 *
 * @example
 * ```ts
 * import { jsonText } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.equal(jsonText({ id: 2n ** 64n }), '{"id":18446744073709551616}');
 * ```
 */
export function jsonText(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // There is hardly ever a big integer, and to look for one takes time.
    text = JSON.stringify(written(value));
  }
  if (text !== undefined) return text;
  throw new TypeError(
    `Cannot write the value as JSON: it is ${
      kindOf(value)
    }, and JSON has nothing for that; expected what \`jsonValue\` gives`,
  );
}
