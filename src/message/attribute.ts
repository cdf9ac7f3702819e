import type { Message } from "./message.ts";

/**
 * Reads an attribute of a message.
 *
 * @param message The message.
 * @param path Names with dots between them, as in `args.data.temperature`;
 * a number is an index of an array. Names that contain a dot cannot be reached.
 * The first name is a property of the message or one of its
 * {@linkcode Message.extra} keys.
 * @returns The value, or `undefined` where there is none. Only own properties
 * count, so nothing inherited is ever reached.
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
