import { Buffer, isAscii } from "node:buffer";
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
  /** The messages, as text where that is cheaper than bytes. */
  readonly messages: readonly Wire[];
}

/** Bytes of a frame before the lengths of its messages. */
const FRAME_HEADER = 16;

/** Bytes of a report before its failures. */
const REPORT_HEADER = 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const NOTHING = new Uint8Array();
/** Fills frames up. */
const NOTHING_MORE = new Uint8Array(7);

/** Messages of so many bytes on average are not copied into a frame. */
const LARGE = 2 ** 12;

/**
 * Makes a frame of messages.
 *
 * ```text
 * u32  bytes of the whole frame
 * u32  number of the frame
 * u32  count of messages
 * u32  bytes of the options
 * u32  bytes of message 1, of message 2, …
 *      options (JSON, where there are any), message 1, message 2, …
 *      up to 7 bytes, so that the next frame begins at a multiple of 8
 * ```
 *
 * @param number Tells the frame from the publisher's others.
 * @param messages Texts or bytes of what may be messages.
 * @param options How the receiver is to build them.
 * @returns The frame, in pieces to be written one after the other: large
 * messages are not copied.
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
  const start = FRAME_HEADER + 4 * encoded.length;
  const bytes = encoded.reduce((sum, { length }) => sum + length, 0);
  // Bytes go to and from shared memory several times faster in whole words.
  const size = Math.ceil((start + head.length + bytes) / 8) * 8;
  const isLarge = bytes > LARGE * encoded.length;
  const frame = new Uint8Array(isLarge ? start + head.length : size);
  const words = new Uint32Array(frame.buffer, 0, start / 4);
  words.set([size, number, encoded.length, head.length]);
  words.set(encoded.map(({ length }) => length), FRAME_HEADER / 4);
  frame.set(head, start);
  let at = start + head.length;
  if (isLarge) {
    return [frame, ...encoded, NOTHING_MORE.subarray(0, size - bytes - at)];
  }
  for (const message of encoded) {
    frame.set(message, at);
    at += message.length;
  }
  return [frame];
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
  const lengths = new Uint32Array(frame.buffer, FRAME_HEADER, count);
  const start = FRAME_HEADER + 4 * count;
  const body = start + fixed[3]!;
  return {
    number: fixed[1]!,
    options: start === body
      ? {}
      : JSON.parse(decoder.decode(frame.subarray(start, body))),
    messages: split(frame.subarray(body), lengths),
  };
}

/** Cuts the messages out of a frame, as text when all of it is ASCII, as bytes otherwise. */
function split(body: Uint8Array, lengths: Uint32Array): Wire[] {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.length);
  const text = isAscii(buffer) ? buffer.toString("latin1") : undefined;
  const messages = new Array<Wire>(lengths.length);
  let at = 0;
  for (let i = 0; i < lengths.length; i++) {
    const end = at + lengths[i]!;
    messages[i] = text === undefined
      // The frame's memory will be used for another one.
      ? body.slice(at, end)
      : text.substring(at, end);
    at = end;
  }
  return messages;
}

/** Tells what became of a frame. */
export interface Report {
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
