import { MAX_DEPTH, protoKey, tooDeep } from "./json_value.ts";

/** Says where a text is no Python literal, and what was expected there. */
export class PythonLiteralError extends SyntaxError {
  /** The class's name, as for every error. */
  override readonly name = "PythonLiteralError";
}

/**
 * Reads what Python's `repr` or `str` makes of a value, and JSON as Python's
 * `json.dumps` writes it. Nothing is evaluated.
 *
 * ```text
 * literal  = space value space
 * value    = dict | set | list | tuple | call | text | number | name
 * dict     = "{" [ value ":" value { "," value ":" value } [ "," ] ] "}"
 * set      = "{" value { "," value } [ "," ] "}"
 * list     = "[" [ value { "," value } [ "," ] ] "]"
 * tuple    = "(" [ value "," [ value { "," value } [ "," ] ] ] ")"
 *          | "(" value ")"                          the value alone
 * call     = ( "set" | "frozenset" ) "(" [ set | list | tuple ] ")"
 * text     = string { string }                      joined; all text or all bytes
 * string   = prefix quote { character | escape } quote
 * prefix   = "" | "u" | "r" | "b" | "br" | "rb"     in either case
 * quote    = "'" | '"' | "'''" | '"""'
 * escape   = "\" ( newline | "\" | "'" | '"' | a b f n r t v
 *          | 1 to 3 octal digits | "x" 2 hex | "u" 4 hex | "U" 8 hex )
 * number   = [ "+" | "-" ] ( integer | float | "inf" | "nan" | "Infinity" | "NaN" )
 * integer  = decimal, 0x…, 0o… or 0b…, with "_" between digits
 * float    = 1.5, 1., .5, 1e5, with "_" between digits
 * name     = "True" | "False" | "None" | "true" | "false" | "null"
 * space    = spaces, tabs, form feeds and line ends, also between all tokens
 * ```
 *
 * The result has the types that JSON has, plus `NaN` and infinities: tuples
 * and sets become arrays, bytes become Base64 as `Uint8Array` does in messages.
 * Keys of a dict become text as with `json.dumps`: `True` is `"true"`, `None`
 * is `"null"`, `1.0` is `"1.0"`; tuples and bytes are no keys. Integers beyond
 * 2^53 are rounded to a double, as `JSON.parse` rounds them.
 *
 * Refused, with a reason: complex numbers, `\N{…}` (it takes a table of all
 * character names), f-strings, `...`, a `__proto__` key, more than 200 levels,
 * integers of more than 4,300 digits (as in Python).
 *
 * @param text The literal.
 * @returns Its value.
 * @throws {SyntaxError} If it is no such literal; says where and what was
 * expected.
 * @throws {MessageError} If it nests too deeply or has a key `__proto__`.
 *
 * @example
 * ```ts
 * import { parsePythonLiteral } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(
 *   parsePythonLiteral(String.raw`{'ok': True, 'x': (1, None), 2: 'it\'s'}`),
 *   { ok: true, x: [1, null], 2: "it's" },
 * );
 * ```
 */
export function parsePythonLiteral(text: string): unknown {
  return new Parser(text).parse();
}

/** As Python limits the digits of an integer. */
const MAX_NUMBER = 4300;

const FLOAT =
  /^(?:\d+(?:_\d+)*\.(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$|^\d+(?:_\d+)*e[+-]?\d+(?:_\d+)*$/i;
const INTEGER =
  /^(?:0x(?:_?[\da-f])+|0o(?:_?[0-7])+|0b(?:_?[01])+|0+(?:_0+)*|[1-9]\d*(?:_\d+)*)$/i;
const STRING_PREFIX = /^(?:u|r|b|br|rb)$/i;

const NAMES: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["True", true],
  ["true", true],
  ["False", false],
  ["false", false],
  ["None", null],
  ["null", null],
  ["nan", NaN],
  ["NaN", NaN],
  ["inf", Infinity],
  ["Infinity", Infinity],
]);

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  "\n": "",
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

/** A value, and what Python needs to know of it beyond what JSON can say. */
interface Literal {
  readonly value: unknown;
  /** What it is as a dict's key, where it can be one. */
  readonly key?: string;
  /** What tells it from other elements of a set, where it can be one. */
  readonly hash?: string;
}

/** One pass from left to right; `#offset` is where it stands. */
class Parser {
  readonly #text: string;
  #offset = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): unknown {
    // A byte order mark says nothing in UTF-8.
    if (this.#text.startsWith("\uFEFF")) this.#offset = 1;
    const { value } = this.#value();
    if (this.#offset < this.#text.length) this.#fail("the end");
    return value;
  }

  /** A value with the space around it. */
  #value(): Literal {
    this.#skipSpace();
    const literal = this.#bare();
    this.#skipSpace();
    return literal;
  }

  #bare(): Literal {
    switch (this.#text[this.#offset]) {
      case "{":
        return this.#nested(() => this.#dictOrSet());
      case "[":
        return this.#nested(() => this.#list());
      case "(":
        return this.#nested(() => this.#tuple());
      case "'":
      case '"':
        return this.#strings();
      case "+":
      case "-":
        return this.#signed();
      default:
        return this.#word();
    }
  }

  #nested(read: () => Literal): Literal {
    if (++this.#depth > MAX_DEPTH) throw tooDeep();
    const literal = read();
    this.#depth--;
    return literal;
  }

  #dictOrSet(): Literal {
    this.#offset++;
    this.#skipSpace();
    if (this.#take("}")) return { value: {} };
    const start = this.#offset;
    const first = this.#value();
    if (this.#take(":")) return this.#dict(start, first);
    return this.#set(start, first);
  }

  #dict(start: number, key: Literal): Literal {
    const value: Record<string, unknown> = {};
    for (;;) {
      if (key.key === undefined) {
        this.#fail("a string, number, True, False or None as a key", start);
      }
      if (key.key === "__proto__") throw protoKey();
      value[key.key] = this.#value().value;
      if (!this.#comma("}")) return { value };
      start = this.#offset;
      key = this.#value();
      if (!this.#take(":")) this.#fail('":"');
    }
  }

  #set(start: number, item: Literal): Literal {
    const items = new Map<string, unknown>();
    for (;;) {
      if (item.hash === undefined) {
        this.#fail("something hashable in the set", start);
      }
      if (!items.has(item.hash)) items.set(item.hash, item.value);
      if (!this.#comma("}")) return { value: [...items.values()] };
      start = this.#offset;
      item = this.#value();
    }
  }

  #list(): Literal {
    this.#offset++;
    this.#skipSpace();
    const value: unknown[] = [];
    if (this.#take("]")) return { value };
    do {
      value.push(this.#value().value);
    } while (this.#comma("]"));
    return { value };
  }

  #tuple(): Literal {
    this.#offset++;
    this.#skipSpace();
    const items: Literal[] = [];
    if (!this.#take(")")) {
      items.push(this.#value());
      // Without a comma the parentheses only group.
      if (this.#take(")")) return items[0]!;
      while (this.#comma(")")) items.push(this.#value());
    }
    const value = items.map((item) => item.value);
    const hashes = items.map((item) => item.hash);
    return hashes.includes(undefined)
      ? { value }
      : { value, hash: JSON.stringify(hashes) };
  }

  /** Whether another item follows. */
  #comma(end: string): boolean {
    if (this.#take(end)) return false;
    if (!this.#take(",")) this.#fail(`"," or "${end}"`);
    this.#skipSpace();
    return !this.#take(end);
  }

  #signed(): Literal {
    const sign = this.#text[this.#offset++]!;
    this.#skipSpace();
    const start = this.#offset;
    const token = this.#token();
    return this.#number(token, sign, start) ??
      this.#fail("a number after the sign", start);
  }

  /** What starts with a letter, a digit or a dot. */
  #word(): Literal {
    const start = this.#offset;
    const token = this.#token();
    const next = this.#text[this.#offset];
    if ((next === "'" || next === '"') && STRING_PREFIX.test(token)) {
      this.#offset = start;
      return this.#strings();
    }
    const number = this.#number(token, "+", start);
    if (number !== undefined) return number;
    const value = NAMES.get(token);
    if (value === null) return { value, key: "null", hash: token };
    if (value !== undefined) {
      return { value, key: String(value), hash: `n${Number(value)}` };
    }
    if (token === "set" || token === "frozenset") return this.#call(token);
    return this.#fail("a value", start);
  }

  /** A word or a number, as far as its characters go. */
  #token(): string {
    const text = this.#text;
    const start = this.#offset;
    let end = start;
    for (;; end++) {
      const code = text.charCodeAt(end);
      if (isWordCode(code)) continue;
      const isSign = code === 0x2B || code === 0x2D;
      if (!isSign || !/^[\d._]+e$/i.test(text.slice(start, end))) break;
    }
    if (end - start > MAX_NUMBER) {
      this.#fail(`a word or number of at most ${MAX_NUMBER} characters`);
    }
    this.#offset = end;
    return text.slice(start, end);
  }

  #number(token: string, sign: string, start: number): Literal | undefined {
    const factor = sign === "-" ? -1 : 1;
    const named = NAMES.get(token);
    if (typeof named === "number") return floatLiteral(factor * named);
    if (!/^[\d.]/.test(token)) return undefined;
    const digits = token.replaceAll("_", "");
    if (FLOAT.test(token)) return floatLiteral(factor * Number(digits));
    if (!INTEGER.test(token)) {
      if (/^[\d.]+j$/i.test(token)) {
        this.#fail("a real number: JSON has no complex ones", start);
      }
      this.#fail("a number as Python writes it", start);
    }
    const integer = BigInt(digits) * BigInt(factor);
    const key = integer.toString();
    return { value: Number(integer), key, hash: `n${key}` };
  }

  /** `set()`, and the `repr` of a frozenset. */
  #call(name: string): Literal {
    this.#skipSpace();
    if (!this.#take("(")) this.#fail(`"(" after ${name}`);
    this.#skipSpace();
    const start = this.#offset;
    const hash = (items: unknown): string => `${name}${JSON.stringify(items)}`;
    if (this.#take(")")) return { value: [], hash: hash([]) };
    const { value } = this.#value();
    if (!Array.isArray(value)) {
      this.#fail(`a set, list or tuple in ${name}()`, start);
    }
    if (!this.#take(")")) this.#fail('")"');
    return name === "set" ? { value } : { value, hash: hash(value) };
  }

  /** One string, or several in a row, which are one. */
  #strings(): Literal {
    const start = this.#offset;
    const parts: string[] = [];
    let bytes: boolean | undefined;
    for (;;) {
      const prefix = this.#stringPrefix();
      if (prefix === undefined) break;
      const isBytes = prefix.includes("b");
      if (bytes !== undefined && bytes !== isBytes) {
        this.#fail("text and bytes not to be joined", start);
      }
      bytes = isBytes;
      parts.push(this.#string(isBytes, prefix.includes("r")));
      this.#skipSpace();
    }
    const text = parts.join("");
    return bytes
      ? { value: btoa(text), hash: `b${text}` }
      : { value: text, key: text, hash: `s${text}` };
  }

  /** The prefix of the string that starts here, `""` without one. */
  #stringPrefix(): string | undefined {
    for (let length = 0; length <= 2; length++) {
      const quote = this.#text[this.#offset + length];
      if (quote !== "'" && quote !== '"') continue;
      const prefix = this.#text.slice(this.#offset, this.#offset + length);
      if (length > 0 && !STRING_PREFIX.test(prefix)) return undefined;
      this.#offset += length;
      return prefix.toLowerCase();
    }
    return undefined;
  }

  #string(isBytes: boolean, isRaw: boolean): string {
    const text = this.#text;
    const start = this.#offset;
    const mark = text[start]!;
    const isLong = text.startsWith(mark.repeat(3), start);
    const end = isLong ? mark.repeat(3) : mark;
    this.#offset += end.length;
    const parts: string[] = [];
    let from = this.#offset;
    while (this.#offset < text.length) {
      const character = text[this.#offset]!;
      if (character === mark && text.startsWith(end, this.#offset)) {
        parts.push(text.slice(from, this.#offset));
        this.#offset += end.length;
        return parts.join("");
      }
      if (character === "\\") {
        parts.push(text.slice(from, this.#offset));
        parts.push(isRaw ? this.#rawEscape() : this.#escape(isBytes));
        from = this.#offset;
      } else if (character === "\r" && isLong) {
        parts.push(text.slice(from, this.#offset), this.#lineEnd());
        from = this.#offset;
      } else if (character === "\0") {
        this.#fail("no NUL in a string; write it as \\x00");
      } else if (!isLong && (character === "\n" || character === "\r")) {
        this.#fail("the end of the string before the end of the line");
      } else if (isBytes && character > "\x7F") {
        this.#fail("only ASCII characters in bytes");
      } else {
        this.#offset++;
      }
    }
    return this.#fail("the end of the string that starts here", start);
  }

  /** A line end, which is `\n` to Python whatever it is in the text. */
  #lineEnd(): string {
    this.#offset += this.#text.startsWith("\r\n", this.#offset) ? 2 : 1;
    return "\n";
  }

  /** In raw strings a backslash stays, and so does the quote after it. */
  #rawEscape(): string {
    const next = this.#text[++this.#offset] ?? "";
    if (next === "\n" || next === "\r") return "\\" + this.#lineEnd();
    this.#offset += next.length;
    return "\\" + next;
  }

  #escape(isBytes: boolean): string {
    const start = this.#offset;
    const letter = this.#text[start + 1] ?? "";
    if (letter === "\r") {
      this.#offset++;
      this.#lineEnd();
      return "";
    }
    const simple = SIMPLE_ESCAPES[letter];
    if (simple !== undefined) {
      this.#offset += 2;
      return simple;
    }
    const octal = /^[0-7]{1,3}/.exec(this.#text.slice(start + 1, start + 4));
    if (octal !== null) {
      this.#offset += 1 + octal[0].length;
      const code = parseInt(octal[0], 8);
      return String.fromCharCode(isBytes ? code & 0xFF : code);
    }
    if (letter === "x") return this.#hexEscape(2);
    if (!isBytes && letter === "u") return this.#hexEscape(4);
    if (!isBytes && letter === "U") return this.#hexEscape(8);
    if (!isBytes && letter === "N") {
      this.#fail("\\u with the character's number in place of \\N{…}", start);
    }
    // Python keeps the backslash before a letter that means nothing.
    this.#offset++;
    return "\\";
  }

  #hexEscape(length: number): string {
    const start = this.#offset;
    const digits = this.#text.slice(start + 2, start + 2 + length);
    const code = parseInt(digits, 16);
    if (!/^[\da-f]+$/i.test(digits) || digits.length < length) {
      this.#fail(`${length} hexadecimal digits in the escape`, start);
    }
    if (code > 0x10FFFF) {
      this.#fail("a character number up to 10FFFF in the escape", start);
    }
    this.#offset += 2 + length;
    return String.fromCodePoint(code);
  }

  #skipSpace(): void {
    while (isSpaceCode(this.#text.charCodeAt(this.#offset))) this.#offset++;
  }

  #take(character: string): boolean {
    if (this.#text[this.#offset] !== character) return false;
    this.#offset++;
    return true;
  }

  /** Names one character at most: the text may hold secrets. */
  #fail(expected: string, offset = this.#offset): never {
    const found = this.#text.codePointAt(offset);
    throw new PythonLiteralError(
      `expected ${expected} at character ${offset}, found ${
        found === undefined
          ? "the end"
          : JSON.stringify(String.fromCodePoint(found))
      }`,
    );
  }
}

function isSpaceCode(code: number): boolean {
  return code === 0x20 || code === 0x0A || code === 0x0D || code === 0x09 ||
    code === 0x0C;
}

/** Letters, digits, `_` and `.` of ASCII. */
function isWordCode(code: number): boolean {
  return (code >= 0x61 && code <= 0x7A) || (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5A) || code === 0x5F || code === 0x2E;
}

function floatLiteral(value: number): Literal {
  const hash = Number.isInteger(value) ? BigInt(value) : value;
  return { value, key: pythonFloat(value), hash: `n${hash}` };
}

/** A float as Python writes it, which differs from JavaScript in the form of the exponent and in `.0`. */
function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 16) {
    return Number.isInteger(value) ? `${value}.0` : String(value);
  }
  const sign = power < 0 ? "-" : "+";
  return `${mantissa}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}
