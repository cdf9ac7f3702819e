/**
 * Why a message could not be built, as a {@linkcode MessageError} tells and
 * dead letters carry on: it is none, or it is over the size limit.
 */
export type MessageErrorReason = "malformed" | "too-large";

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

  /** The kind of the fault. */
  readonly reason: MessageErrorReason;

  /**
   * Makes an error.
   *
   * @param message A sentence: what was wrong and what was expected.
   * @param reason `"malformed"`, or `"too-large"` for input over the size limit.
   * @param options The `cause`, where there is one.
   */
  constructor(
    message: string,
    reason: MessageErrorReason = "malformed",
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = reason;
  }
}
