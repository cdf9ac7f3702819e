/**
 * Thrown for input that is no message. Its text names what was wrong and what
 * would be right, and never quotes a value that could be a secret.
 *
 * @example
 * ```ts
 * import { Message, MessageError } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.throws(
 *   () => Message.build('{"type": "event", "args": 5}'),
 *   (error) => error instanceof MessageError && error.reason === "malformed",
 * );
 * ```
 */
export class MessageError extends Error {
  /** The class's name, as for every error. */
  override readonly name = "MessageError";

  /** The kind of the fault, which dead letters carry on. */
  readonly reason: "malformed" | "too-large";

  /**
   * Makes an error.
   *
   * @param message A sentence: what was wrong and what was expected.
   * @param reason `"malformed"`, or `"too-large"` for input over the size limit.
   * @param options The `cause`, where there is one.
   */
  constructor(
    message: string,
    reason: MessageError["reason"] = "malformed",
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = reason;
  }
}
