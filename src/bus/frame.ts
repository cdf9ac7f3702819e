import type { Reception } from "../telemetry/mod.ts";
import { type Identities, isGuessed } from "../message/message.ts";
import { jsonText, type Message } from "../message/mod.ts";
import type { Failure } from "./receipt.ts";

/** Anything that can be posted: a message, or bytes of what may be one. */
export type Postable = Message | Uint8Array;

/** A message for other threads. */
export type Wire = string | Uint8Array;

/** Makes of a message what other threads can read; they fill in what it does not say. */
export function toWire(input: Postable): Wire {
  if (input instanceof Uint8Array) return input;
  const [target, origin] = [
    isGuessed(input, "target"),
    isGuessed(input, "origin"),
  ];
  if (!target && !origin) return input.toString();
  return jsonText({
    ...input.toJSON(),
    ...(target && { target: null }),
    ...(origin && { origin: null }),
  });
}

/** Tells a receiver what it has to know of a post to build its messages. */
export interface FrameOptions {
  /** Fills in the target and origin of messages that lack them. */
  readonly deviceId?: string;
  /** The only target whose messages are accepted; all are where it is missing. */
  readonly target?: string;
  /** The number of times that each message of the frame was delivered before. */
  readonly redelivered?: readonly number[];
  /** Who still has to get each message of the frame, as its earlier receipt tells. */
  readonly retries?: readonly (string | undefined | null)[];
  /** For how many seconds a message is valid. */
  readonly maxAge?: number;
  /** The ids and times of messages that lack them. */
  readonly identities?: Identities;
  /** The size limit of a message in bytes. */
  readonly maxSize?: number;
  /** Whole numbers beyond 2^53 are given as big integers. */
  readonly bigint?: boolean;
  /** Says how the messages came here, where their handling is to be traced. */
  readonly reception?: Reception;
  /** The number of messages that passed before, and that who watches did not get. */
  readonly skipped?: number;
}

/** Cuts out what options say of some of the messages. */
export function cutOptions(
  { redelivered, retries, identities, ...rest }: FrameOptions,
  first: number,
  end: number,
): FrameOptions {
  return {
    ...rest,
    ...(redelivered && { redelivered: redelivered.slice(first, end) }),
    ...(identities &&
      { identities: { ...identities, first: identities.first + first } }),
    ...(retries && { retries: retries.slice(first, end) }),
  };
}

/** Some of the messages of a post, few enough to travel together. */
export interface Chunk {
  /** The place of the first one in the post. */
  readonly first: number;
  /** The place behind the last one. */
  readonly end: number;
  /** The messages. */
  readonly inputs: readonly Postable[];
  /** The same for other threads, where anybody there wants them. */
  readonly wire: readonly Wire[] | undefined;
  /** The options of the post, as far as they concern these messages. */
  readonly options: FrameOptions;
}

/** Holds what a frame carries, as the receiver sees it. */
export interface Frame {
  /** The frame's number on its link. */
  readonly number: number;
  /** The options with which the receiver builds the messages. */
  readonly options: FrameOptions;
  /** The messages, in memory of the frame: they are there until the next one is read. */
  readonly messages: readonly Uint8Array[];
}

/** Bytes of a frame before the lengths of its messages. */
const FRAME_HEADER = 16;

/** Bytes of a report before its failures. */
const REPORT_HEADER = 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const NOTHING = new Uint8Array();
/** Fills up what would begin at an odd place. */
const GAP = new Uint8Array(7);

/** Stretches of so many bytes on average are not copied into a frame. */
const LARGE = 2 ** 11;

/** So many bytes may be between two messages of a stretch: Redis writes the length of the next one there. */
const BETWEEN = 16;

/**
 * Makes a frame of messages.
 *
 * ```text
 * u32  bytes of the whole frame
 * u32  number of the frame
 * u32  count of messages
 * u32  bytes of the options
 * u32  place and bytes of message 1, of message 2, ...
 *      options (JSON, where there are any), message 1, message 2, ...
 *      up to 7 bytes, so that the next frame begins at a multiple of 8
 * ```
 *
 * Messages that have come together, by a socket or in one text, are next to each
 * other in memory. Such a stretch is copied at once, with what is between them.
 *
 * Bytes go to and from shared memory ten times faster where they are as far from a
 * multiple of 8 as before. So there are up to 7 bytes before a large stretch, too.
 *
 * @param number Tells the frame from the publisher's others.
 * @param messages Texts or bytes of what may be messages.
 * @param options How the receiver is to build them.
 * @returns The frame, in pieces to be written one after the other: large
 * ones are not copied.
 */
export function encodeFrame(
  number: number,
  messages: readonly Wire[],
  options: FrameOptions,
): Uint8Array[] {
  const encoded = encodeAll(messages);
  const { retries, ...others } = options;
  // Hardly ever does one of them come again.
  const isAgain = retries?.some((retry) => typeof retry === "string");
  const json = JSON.stringify(isAgain ? options : others);
  const head = json === "{}" ? NOTHING : encoder.encode(json);
  const { length: count } = encoded;
  const start = FRAME_HEADER + 8 * count;
  const stretches = stretchesOf(encoded);
  const bytes = stretches.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const isLarge = bytes > LARGE * stretches.length;
  const places = new Uint32Array(2 * count);
  const pieces: Uint8Array[] = [];
  let at = start + head.length;
  let i = 0;
  for (const { bytes, end } of stretches) {
    const gap = isLarge ? (bytes.byteOffset - at) & 7 : 0;
    at += gap;
    for (; i < end; i++) {
      const { byteOffset, length } = encoded[i]!;
      places[2 * i] = at + byteOffset - bytes.byteOffset;
      places[2 * i + 1] = length;
    }
    pieces.push(GAP.subarray(0, gap), bytes);
    at += bytes.length;
  }
  const size = Math.ceil(at / 8) * 8;
  const frame = new Uint8Array(isLarge ? start + head.length : size);
  const words = new Uint32Array(frame.buffer, 0, start / 4);
  words.set([size, number, count, head.length]);
  words.set(places, FRAME_HEADER / 4);
  frame.set(head, start);
  if (isLarge) return [frame, ...pieces, GAP.subarray(0, size - at)];
  let end = start + head.length;
  for (const piece of pieces) {
    frame.set(piece, end);
    end += piece.length;
  }
  return [frame];
}

/** Messages that are next to each other in memory. */
interface Stretch {
  /** All of them, with what is between them. */
  readonly bytes: Uint8Array;
  /** The place behind the last one. */
  readonly end: number;
}

function stretchesOf(messages: readonly Uint8Array[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (let i = 0; i < messages.length;) {
    const first = messages[i++]!;
    const { buffer, byteOffset, length } = first;
    let to = byteOffset + length;
    for (; i < messages.length; i++) {
      const next = messages[i]!;
      const between = next.byteOffset - to;
      if (next.buffer !== buffer || between < 0 || between > BETWEEN) break;
      to += between + next.length;
    }
    const bytes = to === byteOffset + length
      ? first
      : new Uint8Array(buffer, byteOffset, to - byteOffset);
    stretches.push({ bytes, end: i });
  }
  return stretches;
}

/** Turns every message into bytes. */
function encodeAll(messages: readonly Wire[]): Uint8Array[] {
  // One conversion for all messages is several times faster than one for each,
  // and in ASCII a character's place is also its byte's.
  const text = messages.filter((message) => typeof message === "string")
    .join("");
  const bytes = encoder.encode(text);
  let at = 0;
  return messages.map((message) => {
    if (typeof message !== "string") return message;
    if (bytes.length !== text.length) return encoder.encode(message);
    return bytes.subarray(at, at += message.length);
  });
}

/** Reads a frame that {@linkcode encodeFrame} has made. */
export function decodeFrame(frame: Uint8Array): Frame {
  const fixed = new Uint32Array(frame.buffer, 0, FRAME_HEADER / 4);
  const count = fixed[2]!;
  const places = new Uint32Array(frame.buffer, FRAME_HEADER, 2 * count);
  const start = FRAME_HEADER + 8 * count;
  const body = start + fixed[3]!;
  const messages = new Array<Uint8Array>(count);
  for (let i = 0; i < count; i++) {
    const from = places[2 * i]!;
    messages[i] = frame.subarray(from, from + places[2 * i + 1]!);
  }
  return {
    number: fixed[1]!,
    options: start === body
      ? {}
      : JSON.parse(decoder.decode(frame.subarray(start, body))),
    messages,
  };
}

/** Tells what became of a frame. */
interface Report {
  /** The frame's number. */
  readonly number: number;
  /** The failures, each with its place in the frame. */
  readonly failures: readonly Failure[];
}

/**
 * Makes a report.
 *
 * ```text
 * u32  bytes of the whole report
 * u32  number of the frame
 *      failures (JSON, where there are any)
 * ```
 */
export function encodeReport({ number, failures }: Report): Uint8Array {
  const body = failures.length === 0
    ? NOTHING
    : encoder.encode(JSON.stringify(failures.map(({ error, ...failure }) => ({
      ...failure,
      error: { name: error.name, message: error.message },
    }))));
  const report = new Uint8Array(REPORT_HEADER + body.length);
  new Uint32Array(report.buffer, 0, 2).set([report.length, number]);
  report.set(body, REPORT_HEADER);
  return report;
}

/** Reads a report that {@linkcode encodeReport} has made. */
export function decodeReport(report: Uint8Array): Report {
  const number = new Uint32Array(report.buffer, 4, 1)[0]!;
  if (report.length === REPORT_HEADER) return { number, failures: [] };
  const failures: Failure[] = JSON.parse(
    decoder.decode(report.subarray(REPORT_HEADER)),
  );
  return {
    number,
    failures: failures.map(({ error, ...failure }) => ({
      ...failure,
      error: Object.assign(new Error(error.message), { name: error.name }),
    })),
  };
}
