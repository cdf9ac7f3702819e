import type { Message } from "../message/mod.ts";

/** A part ends at so many messages, or bytes of messages, whichever comes first. */
const MESSAGES = 512;
const BYTES = 2 ** 20;

/** What can be posted: messages, and bytes of what may be one. */
export type Postable = Message | Uint8Array;

/** A message for other isolates. */
export type Wire = string | Uint8Array;

/** Some of the messages of a post, few enough to travel together. */
export interface Part {
  /** The place of the first one in the post. */
  readonly first: number;
  /** The messages. */
  readonly inputs: readonly Postable[];
  /** The same for other isolates, if it was wanted. */
  readonly wire: readonly Wire[] | undefined;
}

/**
 * Cuts a post into parts, each when it is asked for.
 *
 * @param inputs The messages.
 * @param isWired Whether the next part is wanted for other isolates, too.
 */
export function* parts(
  inputs: readonly Postable[],
  isWired: () => boolean,
): Generator<Part> {
  for (let first = 0; first < inputs.length;) {
    const wire: Wire[] | undefined = isWired() ? [] : undefined;
    let end = first;
    for (let bytes = 0; end < inputs.length; end++) {
      if (end - first === MESSAGES || bytes >= BYTES) break;
      if (wire === undefined) continue;
      const message = toWire(inputs[end]!);
      wire.push(message);
      bytes += message.length;
    }
    yield { first, inputs: inputs.slice(first, end), wire };
    first = end;
  }
}

/** A message for other isolates. */
export function toWire(input: Postable): Wire {
  return input instanceof Uint8Array ? input : input.toString();
}
