import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Rows } from "../options.ts";
import { INDEX, oneOf, oneOrMore, SECONDS, TEXT } from "../kinds.ts";
import { FIRST_TIME, formatHistory, isComplete } from "./history.ts";
import { QueueKeys } from "./queue_keys.ts";
import { withoutToken } from "./without_secrets.ts";

/** Listed by key, so that the compiler finds one that is missing here. */
const REASONS: Readonly<Record<DeadLetter["reason"], true>> = {
  malformed: true,
  "too-large": true,
  foreign: true,
  expired: true,
  failed: true,
  dropped: true,
  crashed: true,
};

/**
 * Every reason for which a message may be a dead letter.
 *
 * @example
 * ```ts
 * import { DEAD_LETTER_REASONS, type DeadLetterFilter } from "@platypush/redis";
 *
 * const typed = "failed"; // by a person
 * const reason = DEAD_LETTER_REASONS.find((reason) => reason === typed);
 * if (reason === undefined) throw new TypeError(`"${typed}" is no reason`);
 * const filter: DeadLetterFilter = { reason, olderThan: 3600 };
 * console.assert(filter.reason === "failed");
 * ```
 */
export const DEAD_LETTER_REASONS: readonly DeadLetter["reason"][] = Object.keys(
  REASONS,
) as DeadLetter["reason"][];

/** A message that could not be handled, and why, as {@linkcode DeadLetters} lists it. */
export interface DeadLetter {
  /**
   * Names this dead letter, for {@linkcode DeadLetters.requeue} and
   * {@linkcode DeadLetters.purge}. A message without an id of its own was
   * delivered with this one.
   */
  readonly id: string;
  /** The queue on which the message arrived. */
  readonly queue: string;
  /**
   * Its place among the dead letters of its queue when it was read, the oldest
   * being 0. It changes as others come and go; the id does not.
   */
  readonly index: number;
  /**
   * Why it could not be handled; {@linkcode DEAD_LETTER_REASONS} lists all:
   *
   * - `malformed`: it is no message.
   * - `too-large`: it is over the size limit.
   * - `foreign`: it is meant for another device.
   * - `expired`: it is older than it may be.
   * - `failed`: a handler threw, rejected, or took longer than its time limit.
   * - `dropped`: a subscriber went away before it had handled the message.
   * - `crashed`: consumers died while they had it in hand.
   */
  readonly reason:
    | "malformed"
    | "too-large"
    | "foreign"
    | "expired"
    | "failed"
    | "dropped"
    | "crashed";
  /** The message of the error, or its first 4,095 characters and an ellipsis. */
  readonly error: string;
  /** When it became a dead letter, in seconds since the epoch. */
  readonly time: number;
  /**
   * When it was delivered first, in seconds since the epoch; `undefined` where
   * it was delivered at most once, or an older version of this module has buried
   * it.
   */
  readonly received: number | undefined;
  /** The number of times that it was delivered. */
  readonly deliveries: number;
  /**
   * The number of bytes that the message had. Where the payload has fewer, it
   * alone took more than {@linkcode DeliveryOptions.maxDeadLetterBytes}: then its text
   * is at {@linkcode DeadLetter.key}.
   */
  readonly size: number;
  /** The message as it arrived, byte for byte; empty where it is kept apart. */
  readonly payload: Uint8Array;
  /**
   * The key in Redis at which a text that is too large for the others is kept
   * apart, as the only element of a list. It is `undefined` for all others, and
   * where a newer one has taken the place.
   */
  readonly key: string | undefined;
}

/** Tells whether a dead letter has its message in it, which is not too large for that. */
export function hasPayload({ payload, size }: DeadLetter): boolean {
  return payload.length >= size;
}

/** Tells whether the message of a dead letter is still there, in it or at its key. */
export function isWhole(letter: DeadLetter): boolean {
  return hasPayload(letter) || letter.key !== undefined;
}

/** Gives the history with which a dead letter is new, but keeps its identity if it has none of its own. */
export function renew({ id, received, payload }: DeadLetter): string {
  if (received === undefined || isComplete(payload)) return "";
  const identity = { id, timestamp: received };
  return formatHistory({ ...FIRST_TIME, identity });
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const LINE_END = 10;

/**
 * Writes a dead letter as the JSON that is kept in Redis: with the message as
 * text under `message`, or under `base64` where it is not UTF-8.
 */
export function encodeDeadLetter(
  letter:
    & Omit<DeadLetter, "index" | "received" | "size" | "key">
    & Partial<DeadLetter>,
): string {
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
 * Writes what stands in front of a message that is too large to be carried here:
 * Redis itself puts it before the message, with a line end between them.
 *
 * Alone, it is a dead letter of whose message only the size is left.
 *
 * @param letter All but the payload.
 * @param size The number of bytes of the message; 0 where Redis fills it in.
 */
export function encodeEnvelope(
  letter:
    & Omit<DeadLetter, "index" | "payload" | "received" | "size" | "key">
    & Partial<DeadLetter>,
  size = 0,
): string {
  return JSON.stringify({ ...letter, size });
}

/**
 * Reads an element of the list of dead letters. One that this module has not
 * written becomes a dead letter too, with itself as the message: whoever looks
 * sees it, and can purge it.
 *
 * @param queue The queue whose list it is.
 * @param index Where it is in the list.
 * @returns The dead letter. Where its text is not in the list, the key is the one at
 * which it is, if it is still there.
 */
export function decodeDeadLetter(
  bytes: Uint8Array,
  queue: string,
  index: number,
): DeadLetter {
  try {
    const end = bytes.indexOf(LINE_END);
    const head = end < 0 ? bytes : bytes.subarray(0, end);
    const { message, base64, size, ...letter } = JSON.parse(
      decoder.decode(head),
    );
    const { id, reason, error, time, received, deliveries } = letter;
    const payload = typeof message === "string"
      ? encoder.encode(message)
      : typeof base64 === "string"
      ? new Uint8Array(Buffer.from(base64, "base64"))
      : end < 0
      ? new Uint8Array()
      : bytes.subarray(end + 1);
    const isWhole = typeof (message ?? base64) === "string" || end >= 0;
    if (
      [id, reason, error].every((value) => typeof value === "string") &&
      [time, deliveries].every((value) => typeof value === "number") &&
      (isWhole || typeof size === "number")
    ) {
      return withoutToken({
        id,
        queue,
        index,
        reason,
        error,
        time,
        received: typeof received === "number" ? received : undefined,
        deliveries,
        size: isWhole ? payload.length : size,
        payload,
        key: isWhole ? undefined : `${new QueueKeys(queue).text}:${id}`,
      });
    }
  } catch {
    // It is none.
  }
  return strangeLetter(bytes, queue, index);
}

/** Makes a dead letter of an element that this module has not written. */
function strangeLetter(
  bytes: Uint8Array,
  queue: string,
  index: number,
): DeadLetter {
  return withoutToken({
    id: createHash("sha1").update(bytes).digest("hex"),
    queue,
    index,
    reason: "malformed",
    error: "Somebody else put this into the list; it tells no reason.",
    time: 0,
    received: undefined,
    deliveries: 0,
    size: bytes.length,
    payload: bytes,
    key: undefined,
  });
}

/**
 * Which of the {@linkcode DeadLetters} are meant: those to which everything said
 * here applies.
 */
export interface DeadLetterFilter {
  /** Those of this queue, or these. */
  readonly queue?: string | readonly string[] | undefined;
  /**
   * The one with this id, or those with these. Where several have the same, as
   * after a restore, all of them are listed; each time that it is named, one of
   * them is requeued or purged, the oldest first.
   */
  readonly id?: string | readonly string[] | undefined;
  /**
   * The one at this place among the dead letters of its queue, or those at
   * these; the oldest is at 0. It takes one queue for that.
   */
  readonly index?: number | readonly number[] | undefined;
  /** Those that have this reason, or one of these. */
  readonly reason?:
    | DeadLetter["reason"]
    | readonly DeadLetter["reason"][]
    | undefined;
  /** Those that have been dead letters for longer than so many seconds. */
  readonly olderThan?: number | undefined;
  /** Those that have been dead letters for at most so many seconds. */
  readonly newerThan?: number | undefined;
}

/** Everything that a filter may say. */
export const DEAD_LETTER_FILTER: Rows<DeadLetterFilter> = {
  queue: oneOrMore(TEXT),
  id: oneOrMore(TEXT),
  index: oneOrMore(INDEX),
  reason: oneOrMore(oneOf(...DEAD_LETTER_REASONS)),
  olderThan: SECONDS,
  newerThan: SECONDS,
};

/** An empty filter would mean all dead letters, which has to be said as `"all"`. */
export function isEmpty(filter: DeadLetterFilter): boolean {
  return Object.values(filter).every((value) => value === undefined);
}

/**
 * Makes the function that tells whether a dead letter is meant.
 *
 * @param now The time from which ages count, in seconds since the epoch.
 */
export function matcher(
  filter: DeadLetterFilter,
  now: number,
): (letter: DeadLetter) => boolean {
  const { olderThan = -Infinity, newerThan = Infinity } = filter;
  const queues = setOf(filter.queue);
  const ids = setOf(filter.id);
  const indexes = setOf(filter.index);
  const reasons = setOf(filter.reason);
  return ({ queue, id, index, reason, time }) =>
    now - time > olderThan && now - time <= newerThan &&
    (queues?.has(queue) ?? true) && (ids?.has(id) ?? true) &&
    (indexes?.has(index) ?? true) && (reasons?.has(reason) ?? true);
}

/** Makes a set of what was given as one value or as several. */
export function setOf<Value extends string | number>(
  value: Value | readonly Value[] | undefined,
): ReadonlySet<Value> | undefined {
  if (value === undefined) return undefined;
  return new Set(typeof value === "object" ? value : [value]);
}
