/**
 * Makes an id for a message.
 *
 * @returns 32 random hexadecimal digits, the form in which Platypush writes ids.
 *
 * @example
 * ```ts
 * import { newId } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.match(newId(), /^[0-9a-f]{32}$/);
 * ```
 */
export function newId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
