import { buildAll } from "../message/message.ts";
import { Message, MessageError, type WireMessage } from "../message/mod.ts";
import { BusError } from "./errors.ts";
import type { FrameOptions } from "./frame.ts";
import type { Failure } from "./receipt.ts";

/** What arrives on a bus: a message, or what one may be built from. */
export type Received = Message | string | Uint8Array | WireMessage;

/**
 * Builds messages for the subscribers of this isolate.
 *
 * @param inputs What has arrived.
 * @param options How to build them.
 * @returns For each input the message, or why there is none.
 */
export function receiveAll(
  inputs: readonly Received[],
  options: FrameOptions,
): (Message | Failure)[] {
  return buildAll(inputs, options).map((built, index) =>
    accept(built, index, options)
  );
}

/**
 * Builds one message; otherwise like {@linkcode receiveAll}.
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
  return accept(buildAll([input], options)[0]!, index, options);
}

function accept(
  built: Message | Error,
  index: number,
  { target, redelivered }: FrameOptions,
): Message | Failure {
  if (built instanceof Error) {
    const reason = built instanceof MessageError ? built.reason : "failed";
    return { index, reason, error: built };
  }
  if (target !== undefined && built.target !== target) {
    const error = new BusError(
      `Message ${built.id} is for "${built.target}", expected "${target}"`,
    );
    return { index, reason: "foreign", error };
  }
  if (redelivered !== undefined) built.redelivered = redelivered[index]!;
  return built;
}
