import { formatPythonFloat } from "./python_text.ts";

/** Says where a text is no Python literal, and what was expected there. */
export class PythonLiteralError extends SyntaxError {
  /** The class's name, as for every error. */
  override readonly name = "PythonLiteralError";

  /**
   * @param text The text; its one character at the offset is named, no more,
   * since there may be secrets in it.
   */
  constructor(text: string, offset: number, expected: string) {
    const found = text.codePointAt(offset);
    super(
      `expected ${expected}, at character ${offset}, which is ${
        found === undefined
          ? "the end"
          : JSON.stringify(String.fromCodePoint(found))
      }`,
    );
  }
}

/** A string literal, prefix and quotes included, as it was found in a text. */
interface PythonString {
  /** Its text; of bytes, one character each. */
  readonly text: string;
  /** True if its prefix has a `b`. */
  readonly isBytes: boolean;
  /** The offset behind it. */
  readonly end: number;
}

const BACKSLASH = 0x5C;
const LINE_FEED = 0x0A;
const CARRIAGE_RETURN = 0x0D;

const PREFIX = /^(?:u|r|b|br|rb)?$/i;

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  "\n": "",
  "\r": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/**
 * Reads a string literal; the grammar is at `parsePythonLiteral`.
 *
 * @param start Where its prefix or its quote is.
 * @returns The string, or `undefined` where none starts.
 * @throws {PythonLiteralError} If it is not well formed.
 */
export function readPythonString(
  text: string,
  start: number,
): PythonString | undefined {
  let offset = start;
  while (offset <= start + 2 && !isQuote(text.charCodeAt(offset))) offset++;
  if (offset > start + 2) return undefined;
  const prefix = text.slice(start, offset).toLowerCase();
  if (!PREFIX.test(prefix)) return undefined;
  const isBytes = prefix.includes("b");
  const isRaw = prefix.includes("r");
  const quote = text.charCodeAt(offset);
  const mark = text[offset]!;
  const isLong = text.startsWith(mark.repeat(3), offset);
  offset += isLong ? 3 : 1;

  let result = "";
  let from = offset;
  for (;;) {
    const code = text.charCodeAt(offset);
    if (
      code === quote && (!isLong || text.startsWith(mark.repeat(3), offset))
    ) {
      result += text.slice(from, offset);
      return { text: result, isBytes, end: offset + (isLong ? 3 : 1) };
    }
    if (code === BACKSLASH) {
      const escape = isRaw
        ? readRawEscape(text, offset)
        : readEscape(text, offset, isBytes);
      result += text.slice(from, offset) + escape.text;
      offset = from = escape.end;
    } else if (code === CARRIAGE_RETURN && isLong) {
      result += text.slice(from, offset) + "\n";
      offset = from = lineEnd(text, offset);
    } else {
      checkCharacter(text, start, offset, isLong, isBytes);
      offset++;
    }
  }
}

function checkCharacter(
  text: string,
  start: number,
  offset: number,
  isLong: boolean,
  isBytes: boolean,
): void {
  const code = text.charCodeAt(offset);
  if (code >= 0x20 && code <= 0x7F || code > 0x7F && !isBytes) return;
  if (Number.isNaN(code)) {
    throw new PythonLiteralError(
      text,
      start,
      "a string that ends, which starts here",
    );
  }
  if (code === 0) {
    throw new PythonLiteralError(text, offset, "\\x00 in place of a NUL");
  }
  if (!isLong && (code === LINE_FEED || code === CARRIAGE_RETURN)) {
    throw new PythonLiteralError(
      text,
      offset,
      "the string to end before the line does",
    );
  }
  if (code > 0x7F) {
    throw new PythonLiteralError(text, offset, "only ASCII in bytes");
  }
}

/** A part of a string, and the offset behind it. */
interface Escape {
  readonly text: string;
  readonly end: number;
}

/** In raw strings a backslash stays, and so does the quote after it. */
function readRawEscape(text: string, start: number): Escape {
  const next = text[start + 1] ?? "";
  return next === "\n" || next === "\r"
    ? { text: "\\\n", end: lineEnd(text, start + 1) }
    : { text: "\\" + next, end: start + 1 + next.length };
}

function readEscape(text: string, start: number, isBytes: boolean): Escape {
  const letter = text[start + 1] ?? "";
  const simple = SIMPLE_ESCAPES[letter];
  if (simple !== undefined) {
    return {
      text: simple,
      end: letter === "\r" ? lineEnd(text, start + 1) : start + 2,
    };
  }
  const octal = /^[0-7]{1,3}/.exec(text.slice(start + 1, start + 4))?.[0];
  if (octal !== undefined) {
    const code = parseInt(octal, 8);
    return {
      text: String.fromCharCode(isBytes ? code & 0xFF : code),
      end: start + 1 + octal.length,
    };
  }
  if (letter === "x") return readHex(text, start, 2);
  if (!isBytes) {
    if (letter === "u") return readHex(text, start, 4);
    if (letter === "U") return readHex(text, start, 8);
    if (letter === "N") {
      throw new PythonLiteralError(
        text,
        start,
        "\\u and the character's number in place of its name",
      );
    }
  }
  // Python keeps the backslash before a letter that means nothing.
  return { text: "\\", end: start + 1 };
}

function readHex(text: string, start: number, length: number): Escape {
  const digits = text.slice(start + 2, start + 2 + length);
  if (digits.length < length || !/^[\da-f]+$/i.test(digits)) {
    throw new PythonLiteralError(
      text,
      start,
      `an escape with ${length} hexadecimal digits`,
    );
  }
  const code = parseInt(digits, 16);
  if (code > 0x10FFFF) {
    throw new PythonLiteralError(
      text,
      start,
      "an escape with a character's number, which is at most 10FFFF",
    );
  }
  return { text: String.fromCodePoint(code), end: start + 2 + length };
}

/** The offset behind a line end, which is `\n` to Python whatever it is in the text. */
function lineEnd(text: string, offset: number): number {
  return offset + (text.startsWith("\r\n", offset) ? 2 : 1);
}

function isQuote(code: number): boolean {
  return code === 0x22 || code === 0x27;
}

/** A number, and what it is to Python beyond its value. */
interface PythonNumber {
  readonly value: number;
  /** Its value, where it is an integer that no double holds for sure. */
  readonly exact?: bigint;
  /** Its form as a dict's key in JSON. */
  readonly key: string;
  /** The same for numbers that are equal, and only for them. */
  readonly hash: string;
}

const FLOAT =
  /^(?:\d+(?:_\d+)*\.(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$|^\d+(?:_\d+)*e[+-]?\d+(?:_\d+)*$/i;
const INTEGER =
  /^(?:0x(?:_?[\da-f])+|0o(?:_?[0-7])+|0b(?:_?[01])+|0+(?:_0+)*|[1-9]\d*(?:_\d+)*)$/i;

const FLOAT_NAMES: ReadonlyMap<string, number> = new Map([
  ["nan", NaN],
  ["NaN", NaN],
  ["inf", Infinity],
  ["Infinity", Infinity],
]);

/**
 * Reads a number; the grammar is at `parsePythonLiteral`.
 *
 * @param token The number without its sign.
 * @returns The number, or `undefined` if it is none.
 */
export function readPythonNumber(
  token: string,
  sign: 1 | -1,
): PythonNumber | undefined {
  const named = FLOAT_NAMES.get(token);
  if (named !== undefined) return float(sign * named);
  const digits = token.replaceAll("_", "");
  if (INTEGER.test(token)) return integer(digits, sign);
  if (FLOAT.test(token)) return float(sign * Number(digits));
  return undefined;
}

function integer(digits: string, sign: 1 | -1): PythonNumber {
  // Python's integers have no -0.
  const value = sign * Number(digits) + 0;
  if (Number.isSafeInteger(value)) {
    return { value, key: String(value), hash: `n${value}` };
  }
  const exact = BigInt(sign) * BigInt(digits);
  return { value, exact, key: String(exact), hash: `n${exact}` };
}

function float(value: number): PythonNumber {
  const hash = Number.isInteger(value) ? `n${BigInt(value)}` : `n${value}`;
  // A key is text in the end, as JavaScript writes what is not finite.
  const key = Number.isFinite(value) ? formatPythonFloat(value) : String(value);
  return { value, key, hash };
}
