import { Buffer } from "node:buffer";

/** Why a message could not be handled. */
export type FailureReason =
  | "malformed"
  | "too-large"
  | "foreign"
  | "failed"
  | "dropped";

/** A message that could not be handled, and why. */
export interface DeadLetter {
  /** Names this dead letter, for {@link DeadLetters.requeue} and {@link DeadLetters.purge}. */
  readonly id: string;
  /** The queue on which the message arrived. */
  readonly queue: string;
  /** Why it could not be handled. */
  readonly reason: FailureReason;
  /** What the error said. */
  readonly error: string;
  /** When it became a dead letter, in seconds since the epoch. */
  readonly time: number;
  /** How often it was delivered. */
  readonly deliveries: number;
  /** The message as it arrived, byte for byte. */
  readonly payload: Uint8Array;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * Writes a dead letter as the JSON that is kept in Redis: with the message as
 * text under `message`, or under `base64` where it is not UTF-8.
 */
export function encodeDeadLetter(letter: DeadLetter): string {
  const { payload, ...rest } = letter;
  try {
    return JSON.stringify({ ...rest, message: decoder.decode(payload) });
  } catch {
    const bytes = Buffer.from(
      payload.buffer,
      payload.byteOffset,
      payload.byteLength,
    );
    return JSON.stringify({ ...rest, base64: bytes.toString("base64") });
  }
}

/**
 * Reads a dead letter.
 *
 * @returns The dead letter, or `undefined` for what is none.
 */
export function decodeDeadLetter(json: string): DeadLetter | undefined {
  try {
    const { message, base64, ...rest } = JSON.parse(json);
    const payload = typeof message === "string"
      ? encoder.encode(message)
      : new Uint8Array(Buffer.from(base64, "base64"));
    return typeof rest.id === "string" ? { ...rest, payload } : undefined;
  } catch {
    return undefined;
  }
}
