/** Tells whether a reply is a whole number. */
export function isNumber(reply: unknown): reply is number {
  return typeof reply === "number";
}

/** Tells whether a reply is one text. */
export function isText(reply: unknown): reply is string | Uint8Array {
  return typeof reply === "string" || reply instanceof Uint8Array;
}

/** Tells whether a reply is a list of nothing but texts. */
export function isTexts(reply: unknown): reply is (string | Uint8Array)[] {
  return Array.isArray(reply) && reply.every(isText);
}

/** Tells whether a reply is one message, as bytes, or none. */
export function isPayload(reply: unknown): reply is Uint8Array | null {
  return reply === null || reply instanceof Uint8Array;
}

/** Tells whether a reply is a list of messages, as bytes. */
export function isPayloads(reply: unknown): reply is Uint8Array[] {
  return Array.isArray(reply) &&
    reply.every((payload) => payload instanceof Uint8Array);
}
