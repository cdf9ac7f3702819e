import { Message, MessageError, type WireMessage } from "../message/mod.ts";
import { BusError } from "./errors.ts";
import type { FrameOptions } from "./frame.ts";
import type { Failure } from "./receipt.ts";
import { toError } from "./to_error.ts";

/** What arrives on a bus: a message, or what one may be built from. */
export type Received = Message | string | Uint8Array | WireMessage;

/**
 * Builds a message for the subscribers of this isolate.
 *
 * @param input What has arrived.
 * @param index Its place in the post.
 * @param options How to build it.
 * @returns The message, or why there is none.
 */
export function receive(
  input: Received,
  index: number,
  options: FrameOptions,
): Message | Failure {
  let message: Message;
  try {
    message = Message.build(input, options);
  } catch (error) {
    const reason = error instanceof MessageError ? error.reason : "failed";
    return { index, reason, error: toError(error) };
  }
  const { target, redelivered } = options;
  if (target !== undefined && message.target !== target) {
    const error = new BusError(
      `Message ${message.id} is for "${message.target}", expected "${target}"`,
    );
    return { index, reason: "foreign", error };
  }
  if (redelivered !== undefined) message.redelivered = redelivered[index]!;
  return message;
}
