import assert from "node:assert/strict";
import { MessageError } from "../../src/message/mod.ts";

/** The text of a small event, with further fields. */
export function eventText(fields: Record<string, unknown> = {}): string {
  return JSON.stringify({ type: "event", args: { type: "x" }, ...fields });
}

/** Asserts that a function throws a MessageError with such a text. */
export function refuses(
  build: () => unknown,
  text: RegExp,
  reason: MessageError["reason"] = "malformed",
): void {
  assert.throws(build, (error) => {
    assert.ok(error instanceof MessageError, String(error));
    assert.match(error.message, text);
    assert.equal(error.reason, reason);
    assert.equal(error.name, "MessageError");
    return true;
  });
}
