import { Buffer } from "node:buffer";
// Loaded by the first packet, as most programs are not on the network.
import defer * as dnsPacket from "dns-packet";
import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  fold,
} from "./dns_message.ts";
import type { Labels } from "./labels.ts";
import { labelsOf } from "./names.ts";

/**
 * Messages as they travel (RFC 1035, section 4; RFC 6762, section 18).
 *
 * @module
 */

const TYPES: Readonly<Record<DnsRecord["type"] | "ANY", number>> = {
  A: 1,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  NSEC: 47,
  ANY: 255,
};
/** In a class: asks for a direct answer, or replaces what is cached. */
const TOP_BIT = 0x8000;
const INTERNET = 1;
const encoder = new TextEncoder();

/** A message as it came: only what is of the Internet's class, and of types that are read here. */
export type ReceivedMessage = Required<DnsMessage>;

/**
 * Reads a packet.
 *
 * @param packet The bytes as they came.
 * @returns The message; `undefined` where it is none or was cut, or tells of an
 * error or of another operation, which are passed over (RFC 6762, sections 18.3,
 * 18.11).
 */
export function decodeMessage(packet: Uint8Array): ReceivedMessage | undefined {
  if (!holdsAll(packet)) return undefined;
  let raw: RawMessage;
  try {
    raw = dnsPacket.decode(
      Buffer.from(packet.buffer, packet.byteOffset, packet.length),
    );
  } catch {
    return undefined;
  }
  if (raw.opcode !== "QUERY" || raw.rcode !== "NOERROR") return undefined;
  return {
    type: raw.type,
    id: raw.id,
    truncated: raw.flag_tc,
    questions: raw.questions.flatMap(readQuestion),
    answers: raw.answers.filter(isRead),
    authorities: raw.authorities.filter(isRead),
    additionals: raw.additionals.filter(isRead),
  };
}

/** The bytes that the data of these types take. */
const SIZES: Readonly<Record<number, number>> = {
  [TYPES.A]: 4,
  [TYPES.AAAA]: 16,
};

/**
 * Tells whether all that a packet counts is in it: past its end, `dns-packet`
 * reads addresses and texts that nobody has sent.
 */
function holdsAll(packet: Uint8Array): boolean {
  const { questions, total } = countsOf(packet);
  let at = 12;
  for (let i = 0; i < total && at <= packet.length; i++) {
    at = afterName(packet, at);
    if (i >= questions) {
      const size = uint16(packet, at + 8);
      if (size !== (SIZES[uint16(packet, at)] ?? size)) return false;
      at += 6 + size;
    }
    at += 4;
  }
  return at <= packet.length;
}

/** Counts the questions, and all that is in a packet. */
function countsOf(packet: Uint8Array): { questions: number; total: number } {
  const questions = uint16(packet, 4);
  const records = uint16(packet, 6) + uint16(packet, 8) + uint16(packet, 10);
  return { questions, total: questions + records };
}

function uint16(packet: Uint8Array, at: number): number {
  return packet[at]! << 8 | packet[at + 1]!;
}

/** Finds where a name ends, which may do so with a pointer to the rest of it. */
function afterName(packet: Uint8Array, at: number): number {
  while (packet[at]! > 0 && packet[at]! < 0xc0) at += packet[at]! + 1;
  return at + (packet[at]! >= 0xc0 ? 2 : 1);
}

/** A message as `dns-packet` decodes it. */
interface RawMessage {
  id: number;
  type: "query" | "response";
  flag_tc: boolean;
  opcode: string;
  rcode: string;
  questions: { name: string; type: string; class: string }[];
  answers: RawRecord[];
  authorities: RawRecord[];
  additionals: RawRecord[];
}

type RawRecord = DnsRecord & { class?: string };

/** The top bit of the class asks for a direct answer; decoded, such a class has no name. */
const CLASSES: Readonly<Record<string, boolean>> = {
  IN: false,
  ANY: false,
  [`UNKNOWN_${TOP_BIT | INTERNET}`]: true,
  [`UNKNOWN_${TOP_BIT | TYPES.ANY}`]: true,
};

function readQuestion(
  { name, type, class: classOf }: RawMessage["questions"][number],
): DnsQuestion[] {
  const unicast = CLASSES[classOf];
  return unicast === undefined ? [] : [{ name, type, unicast }];
}

/** The types of which something is read, which NSEC is not: absence shows by itself. */
const READ: ReadonlySet<string> = new Set(["PTR", "SRV", "TXT", "A", "AAAA"]);

function isRead(record: RawRecord): record is DnsRecord {
  return record.class === "IN" && READ.has(record.type);
}

/**
 * Tells whether a packet may be about a name with one of these labels, without
 * decoding it: most of what travels on a network concerns others.
 *
 * @param packet The bytes as they came.
 * @param known Sets of labels with which the names that concern us begin.
 * @returns `false` where no name in it has such a label at its beginning.
 */
export function mayConcern(
  packet: Uint8Array,
  known: readonly Labels[],
): boolean {
  const { questions, total } = countsOf(packet);
  let at = 12;
  for (let i = 0; i < total && at < packet.length; i++) {
    // Names begin with what tells them apart: an instance and its type, or a host.
    const second = afterLabel(packet, at);
    for (const start of [target(packet, at), target(packet, second)]) {
      // Most labels are told apart by their lengths, for which none is decoded.
      const length = packet[start] ?? 0;
      if (!known.some((labels) => labels.hasLength(length))) continue;
      const label = labelAt(packet, start);
      if (known.some((labels) => labels.has(label))) return true;
    }
    at = afterName(packet, at);
    at += i < questions ? 4 : 10 + uint16(packet, at + 8);
  }
  return false;
}

/** Follows a pointer, once: what points on is left to the decoder. */
function target(packet: Uint8Array, at: number): number {
  const length = packet[at] ?? 0;
  return length >= 0xc0 ? (length & 0x3f) << 8 | packet[at + 1]! : at;
}

function afterLabel(packet: Uint8Array, at: number): number {
  const start = target(packet, at);
  return start + (packet[start] ?? 0) + 1;
}

function labelAt(packet: Uint8Array, start: number): string {
  const end = start + 1 + Math.min(packet[start] ?? 0, 63);
  return fold(decoder.decode(packet.subarray(start + 1, end)));
}

const decoder = new TextDecoder();

/**
 * Writes a message.
 *
 * The encoder of `dns-packet` splits names at every dot, so that an instance
 * named `living.room` could not be asked for; this one does not.
 *
 * @returns The packet, with names compressed.
 */
export function encodeMessage(message: DnsMessage): Uint8Array {
  const { questions = [], answers = [], authorities = [], additionals = [] } =
    message;
  const writer = new Writer();
  const response = message.type === "response";
  writer.uint16(message.id ?? 0);
  writer.uint16((response ? 0x8400 : 0) | (message.truncated ? 0x0200 : 0));
  for (const part of [questions, answers, authorities, additionals]) {
    writer.uint16(part.length);
  }
  for (const { name, type, unicast } of questions) {
    writer.name(name);
    writer.uint16(numberOf(type));
    writer.uint16(unicast ? TOP_BIT | INTERNET : INTERNET);
  }
  for (const record of [...answers, ...authorities, ...additionals]) {
    writer.name(record.name);
    writer.uint16(TYPES[record.type]);
    writer.uint16(record.flush ? TOP_BIT | INTERNET : INTERNET);
    writer.uint32(record.ttl);
    writer.sized(() => writeData(writer, record));
  }
  return writer.finish();
}

const comparable = new WeakMap<DnsRecord, Uint8Array>();

/** The type and data of a record as probes compare them (RFC 6762, section 8.2). */
export function comparableData(record: DnsRecord): Uint8Array {
  let data = comparable.get(record);
  if (data === undefined) {
    const writer = new Writer(false);
    writer.uint16(TYPES[record.type]);
    writeData(writer, record);
    data = writer.finish();
    comparable.set(record, data);
  }
  return data;
}

/** A type that is not read here comes as `UNKNOWN_` and its number, or by a name of its own. */
function numberOf(type: string): number {
  const known = TYPES[type as keyof typeof TYPES];
  return known ?? Number(/^UNKNOWN_(\d+)$/.exec(type)?.[1] ?? 0);
}

function writeData(writer: Writer, { name, type, data }: DnsRecord): void {
  switch (type) {
    case "PTR":
      return writer.name(data);
    case "SRV":
      writer.uint16(data.priority);
      writer.uint16(data.weight);
      writer.uint16(data.port);
      return writer.name(data.target);
    case "TXT":
      for (const string of data.length > 0 ? data : [new Uint8Array()]) {
        writer.string(string);
      }
      return;
    case "A":
      return writer.bytes(data.split(".").map(Number));
    case "AAAA":
      return writer.bytes(ipv6Bytes(data));
    case "NSEC":
      // The next name is the own one (RFC 6762, section 6.1).
      writer.name(name);
      writer.bytes([0]);
      return writer.string(typeBits(data));
  }
}

/** One bit for each type below 256 (RFC 4034, section 4.1.2). */
function typeBits(types: readonly DnsRecord["type"][]): Uint8Array {
  const numbers = types.map((type) => TYPES[type]);
  const bits = new Uint8Array((Math.max(...numbers) >> 3) + 1);
  for (const number of numbers) bits[number >> 3]! |= 0x80 >> (number & 7);
  return bits;
}

function ipv6Bytes(address: string): number[] {
  const [head = "", tail] = address.split("%", 1)[0]!.split("::");
  const words = (text: string): number[] =>
    text === "" ? [] : text.split(":").flatMap((word) => {
      if (!word.includes(".")) return [parseInt(word, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = word.split(".").map(Number);
      return [a << 8 | b, c << 8 | d];
    });
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const zeros = Array(8 - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after].flatMap((word) => [
    word >> 8,
    word & 0xff,
  ]);
}

class Writer {
  readonly #compress: boolean;
  #buffer = new Uint8Array(256);
  #length = 0;
  #names = new Map<string, number>();

  constructor(compress = true) {
    this.#compress = compress;
  }

  bytes(bytes: ArrayLike<number>): void {
    while (this.#length + bytes.length > this.#buffer.length) {
      const larger = new Uint8Array(this.#buffer.length * 2);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  uint16(value: number): void {
    this.bytes([value >> 8 & 0xff, value & 0xff]);
  }

  uint32(value: number): void {
    this.uint16(value >>> 16);
    this.uint16(value & 0xffff);
  }

  string(bytes: Uint8Array): void {
    this.bytes([bytes.length]);
    this.bytes(bytes);
  }

  sized(write: () => void): void {
    const at = this.#length;
    this.uint16(0);
    write();
    const size = this.#length - at - 2;
    this.#buffer.set([size >> 8, size & 0xff], at);
  }

  name(name: string): void {
    const labels = name === "" || name === "." ? [] : labelsOf(name);
    for (let i = 0; i < labels.length; i++) {
      const rest = fold(labels.slice(i).join("\0"));
      const earlier = this.#names.get(rest);
      if (this.#compress && earlier !== undefined) {
        return this.uint16(0xc000 | earlier);
      }
      if (this.#length < 0x4000) this.#names.set(rest, this.#length);
      this.string(encoder.encode(labels[i]!).subarray(0, 63));
    }
    this.bytes([0]);
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}
