import { Buffer, isAscii } from "node:buffer";
import { MAX_DEPTH, protoKey, tooDeep, wireValue } from "./json_value.ts";
import { MessageError } from "./message_error.ts";
import { readPythonLiteral } from "./python_literal.ts";
import { PythonLiteralError } from "./python_tokens.ts";

/** The default limit for the size of a message, in bytes. */
export const MAX_SIZE: number = 8 * 1024 * 1024;

const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/**
 * Gives the text of a message, or decodes its UTF-8 bytes. A byte order mark in
 * front of them is dropped.
 *
 * @param maxSize How many bytes it may have.
 * @throws {MessageError} If there are too many, or if they aren't UTF-8.
 */
export function decodeText(
  input: string | Uint8Array,
  maxSize: number,
): string {
  if (typeof input === "string") {
    checkSize(input, maxSize);
    return input;
  }
  if (input.length > maxSize) throw sizeError(input.length, maxSize);
  const text = decoder.decode(input);
  // Deno's strict decoder takes three times as long as its lenient one, so it
  // only gets texts in which the lenient one left its mark of a fault.
  if (!text.includes("\uFFFD")) return text;
  try {
    return strictDecoder.decode(input);
  } catch (cause) {
    throw new MessageError(
      "The message is not UTF-8, which messages are written in",
      "malformed",
      { cause },
    );
  }
}

/**
 * Refuses a text that is too large.
 *
 * @param maxSize The limit, in bytes of UTF-8.
 * @throws {MessageError} If it is over the limit.
 */
function checkSize(text: string, maxSize: number): void {
  // A UTF-16 unit takes at most three bytes in UTF-8.
  if (text.length * 3 <= maxSize) return;
  const size = text.length > maxSize
    ? text.length
    : encoder.encode(text).length;
  if (size > maxSize) throw sizeError(size, maxSize);
}

/**
 * Reads JSON, or else a Python literal. `NaN` and infinities in JSON, which
 * Python's `json.dumps` writes, are read as `null`.
 *
 * @param bigint Gives whole numbers beyond 2^53 as big integers.
 * @returns JSON values only.
 * @throws {MessageError} If it is neither, nests too deeply, or has a key
 * `__proto__`.
 */
export function parseText(text: string, bigint = false): unknown {
  // No JSON starts so, and Python's dicts do; it saves them an exception.
  const isLong = text.length > MAX_JOINABLE;
  if (text.startsWith("{'") || isLong && mayNestTooDeep(text)) {
    return parseLiteral(text, bigint);
  }
  let value: unknown;
  try {
    value = bigint ? parseExactly(text) : JSON.parse(text);
  } catch {
    const json = withoutNonNumbers(text);
    // Without another attempt: each that fails takes longer than to read a message.
    if (json === text) return parseLiteral(text, bigint);
    try {
      value = bigint ? parseExactly(json) : JSON.parse(json);
    } catch {
      return parseLiteral(text, bigint);
    }
    value = wireValue(value);
  }
  if (mayHideProto(text)) refuseProto(value);
  return value;
}

/** A number of at least 16 digits, which a double may not hold. */
const MANY_DIGITS = /[:,[\s-]\d{16}/;

/** Reads JSON whose whole numbers keep all their digits. */
function parseExactly(text: string): unknown {
  return MANY_DIGITS.test(` ${text}`)
    ? JSON.parse(text, exactly as Parameters<typeof JSON.parse>[1])
    : JSON.parse(text);
}

/** Gives a whole number that a double cannot hold as a big integer. */
function exactly(
  _key: string,
  value: unknown,
  { source }: { readonly source?: string },
): unknown {
  return typeof value === "number" && !Number.isSafeInteger(value) &&
      source !== undefined && /^-?\d+$/.test(source)
    ? BigInt(source)
    : value;
}

/** A number that JSON reads as infinity. */
const NON_NUMBER = " 1e999 ";

/** Writes what JSON can read for `NaN` and infinities, as Python's `json.dumps` writes them, outside of strings. */
function withoutNonNumbers(text: string): string {
  let result = "";
  let from = 0;
  let isInString = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x22 /* " */) isInString = !isInString;
    else if (isInString) {
      if (code === 0x5C /* \\ */) index++;
    } else if (code === 0x4E /* N */ || code === 0x49 /* I */) {
      const name = code === 0x4E ? "NaN" : "Infinity";
      if (!text.startsWith(name, index)) continue;
      const hasSign = code === 0x49 && text[index - 1] === "-";
      result += text.slice(from, hasSign ? index - 1 : index) + NON_NUMBER;
      from = index + name.length;
      index = from - 1;
    }
  }
  return result + text.slice(from);
}

function mayHideProto(text: string): boolean {
  // Short patterns are found ten times as fast as the whole name would be; the
  // second is for escapes such as \u005f, in which it can hide.
  return text.includes("__p") || text.includes("\\u00");
}

/** Tells whether brackets outside of strings nest deeper than a message may. */
function mayNestTooDeep(text: string): boolean {
  if (!hasManyBrackets(text)) return false;
  let depth = 0;
  let quote = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (quote !== 0) {
      if (code === 0x5C /* \ */) index++;
      else if (code === quote) quote = 0;
    } else if (code === 0x22 /* " */ || code === 0x27 /* ' */) {
      quote = code;
    } else if (code === 0x7B /* { */ || code === 0x5B /* [ */) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === 0x7D /* } */ || code === 0x5D /* ] */) {
      depth--;
    }
  }
  return false;
}

/** Searches for brackets alone, which is far quicker than a look at each character. */
function hasManyBrackets(text: string): boolean {
  let count = 0;
  for (const bracket of ["{", "["]) {
    let index = text.indexOf(bracket);
    while (index !== -1) {
      if (++count > MAX_DEPTH) return true;
      index = text.indexOf(bracket, index + 1);
    }
  }
  return false;
}

/** Throws if a key, not only a string, is `__proto__`. */
function refuseProto(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (Object.hasOwn(value, "__proto__")) throw protoKey();
  for (const item of Object.values(value)) refuseProto(item);
}

function parseLiteral(text: string, bigint: boolean): unknown {
  try {
    return wireValue(readPythonLiteral(text, bigint));
  } catch (error) {
    if (!(error instanceof PythonLiteralError)) throw error;
    if (mayNestTooDeep(text)) throw tooDeep();
    throw new MessageError(
      `The message is neither JSON nor a Python literal: ${error.message}`,
      "malformed",
      { cause: error },
    );
  }
}

function sizeError(size: number, maxSize: number): MessageError {
  return new MessageError(
    `The message has ${size} bytes, more than the ${maxSize} that are allowed; send less, or raise maxSize`,
    "too-large",
  );
}

/**
 * The largest length, in UTF-16 units, of a text that is read together with
 * others; it then cannot nest deeper than a message may.
 */
const MAX_JOINABLE: number = 2 * MAX_DEPTH;

/**
 * Stands between two texts. It is a secret of this process, so that no text can
 * make up for the marks that another one has swallowed.
 */
const MARK = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 3;
const BETWEEN = `,${MARK},`;
const BETWEEN_BYTES = Buffer.from(BETWEEN);
const OPEN = "[".charCodeAt(0);
const CLOSE = "]".charCodeAt(0);
const QUOTE = "'".charCodeAt(0);

let joined: Buffer = Buffer.alloc(0);
const joinedDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * So many are read together at most. So the joined string stays small: V8 puts a
 * large one into memory of its own, each time anew.
 */
const TOGETHER = 128;

/**
 * Reads together those of many inputs that are short texts.
 *
 * @returns Their JSON values, each in its place; the other places are empty.
 */
export function parseTogether(
  inputs: readonly unknown[],
  maxSize: number,
): unknown[] {
  const wires = new Array<unknown>(inputs.length);
  // A character takes up to three bytes.
  if (maxSize < 3 * MAX_JOINABLE) return wires;
  const kind = typeof inputs[0];
  const places: number[] = [];
  const texts: (string | Uint8Array)[] = [];
  for (let place = 0; place < inputs.length; place++) {
    const input = inputs[place]!;
    if (typeof input !== kind || !isJoinable(input)) continue;
    places.push(place);
    texts.push(input);
  }
  for (let first = 0; first < texts.length; first += TOGETHER) {
    const some = texts.slice(first, first + TOGETHER) as string[];
    const values = parseTexts(some);
    values?.forEach((value, index) => wires[places[first + index]!] = value);
  }
  return wires;
}

/** Tells whether something is a text that {@linkcode parseTexts} is meant for. */
function isJoinable(input: unknown): input is string | Uint8Array {
  const isText = typeof input === "string" || input instanceof Uint8Array;
  if (!isText || input.length > MAX_JOINABLE) return false;
  // Python's dicts start so; they would spoil it for the others.
  return typeof input === "string"
    ? !input.startsWith("{'")
    : input[1] !== QUOTE;
}

/**
 * Reads many short JSON texts as the items of one array: V8 then expects each
 * object to be like the one before, which saves a seventh of the time.
 *
 * @param texts All of them strings or all of them UTF-8 bytes.
 * @returns What they say, or `undefined` when there is anything that only a look
 * at each text can tell: then at least one of them is no JSON, or unsafe.
 */
export function parseTexts(
  texts: readonly string[] | readonly Uint8Array[],
): unknown[] | undefined {
  const text = typeof texts[0] === "string"
    ? `[${texts.join(BETWEEN)}]`
    : joinBytes(texts as readonly Uint8Array[]);
  if (text.includes("\uFFFD") || mayHideProto(text)) return undefined;
  let values: unknown[];
  try {
    values = JSON.parse(text);
  } catch {
    return undefined;
  }
  const count = texts.length;
  if (values.length !== 2 * count - 1) return undefined;
  for (let index = 1; index < count; index++) {
    if (values[2 * index - 1] !== MARK) return undefined;
    values[index] = values[2 * index];
  }
  values.length = count;
  return values;
}

function joinBytes(texts: readonly Uint8Array[]): string {
  let size = 2 + BETWEEN_BYTES.length * (texts.length - 1);
  for (const text of texts) size += text.length;
  // Used again: a new one would have to be cleared each time.
  if (joined.length < size) joined = Buffer.allocUnsafeSlow(size);
  const bytes = joined.subarray(0, size);
  bytes[0] = OPEN;
  let at = 1;
  for (const text of texts) {
    if (at > 1) {
      bytes.set(BETWEEN_BYTES, at);
      at += BETWEEN_BYTES.length;
    }
    bytes.set(text, at);
    at += text.length;
  }
  bytes[at] = CLOSE;
  return isAscii(bytes)
    ? bytes.toString("latin1")
    : joinedDecoder.decode(bytes);
}
