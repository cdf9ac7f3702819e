import {
  type DnsMessage,
  type DnsRecord,
  fold,
  labelsOf,
  type QuestionType,
} from "./dns_message.ts";

const TYPES: Record<QuestionType, number> = {
  A: 1,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  NSEC: 47,
  ANY: 255,
};
const TOP_BIT = 0x8000;
const encoder = new TextEncoder();

/**
 * Writes a message as it travels (RFC 1035, section 4; RFC 6762, section 18).
 *
 * The encoder below `multicast-dns` splits names at every dot, so that an
 * instance named `living.room` could not be asked for; this one does not.
 *
 * @param message What to send.
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
    writer.uint16(TYPES[type]);
    writer.uint16(unicast ? TOP_BIT | 1 : 1);
  }
  for (const record of [...answers, ...authorities, ...additionals]) {
    writer.name(record.name);
    writer.uint16(TYPES[record.type]);
    writer.uint16(record.flush ? TOP_BIT | 1 : 1);
    writer.uint32(record.ttl);
    writer.sized(() => writeData(writer, record));
  }
  return writer.finish();
}

/** The type and data of a record as probes compare them (RFC 6762, section 8.2). */
export function comparableData(record: DnsRecord): Uint8Array {
  const writer = new Writer(false);
  writer.uint16(TYPES[record.type]);
  writeData(writer, record);
  return writer.finish();
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
function typeBits(types: readonly QuestionType[]): Uint8Array {
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
  #buffer = new Uint8Array(512);
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
