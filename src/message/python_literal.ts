import { kindOf, MAX_DEPTH, protoKey, tooDeep } from "./json_value.ts";
import {
  PythonLiteralError,
  readPythonNumber,
  readPythonString,
} from "./python_tokens.ts";

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
 * integer  = decimal, 0x..., 0o... or 0b..., with "_" between digits
 * float    = 1.5, 1., .5, 1e5, with "_" between digits
 * name     = "True" | "False" | "None" | "true" | "false" | "null"
 * space    = spaces, tabs, form feeds and line ends, also between all tokens
 * ```
 *
 * The result has the types that JSON has, plus `NaN` and infinities: tuples
 * and sets become arrays, bytes become Base64 as `Uint8Array` does in messages.
 * Keys of a dict become text as with `json.dumps`: `True` is `"true"`, `None`
 * is `"null"`, `1.0` is `"1.0"`; tuples and bytes are no keys. Of equal texts
 * or numbers in a set the first stays; tuples are not compared. Integers beyond
 * 2^53 are rounded to a double, as `JSON.parse` rounds them.
 *
 * Refused, with a reason: complex numbers, `\N{...}` (it takes a table of all
 * character names), f-strings, `...`, a `__proto__` key, more than 200 levels,
 * integers of more than 4,300 digits (as in Python).
 *
 * @param text The text of one literal, with nothing after it.
 * @returns Its value.
 * @throws {SyntaxError} If it is no such literal; says where, and what was
 * expected.
 * @throws {TypeError} If it is no text.
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
  if (typeof text !== "string") {
    throw new TypeError(
      `Cannot parse the Python literal: it is ${
        kindOf(text)
      }, expected its text`,
    );
  }
  return readPythonLiteral(text, false);
}

/**
 * Reads a literal as {@linkcode parsePythonLiteral} does.
 *
 * @param bigint Gives integers beyond 2^53 as big integers, not as doubles.
 */
export function readPythonLiteral(text: string, bigint: boolean): unknown {
  return new LiteralParser(text, bigint).parse();
}

/** As Python limits the digits of an integer. */
const MAX_NUMBER = 4300;

const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ["True", true],
  ["true", true],
  ["False", false],
  ["false", false],
  ["None", null],
  ["null", null],
]);

/** One pass from left to right; `#offset` is where it stands. */
class LiteralParser {
  readonly #text: string;
  readonly #bigint: boolean;
  #offset = 0;
  #depth = 0;
  /** The last value as a dict's key, where JSON can have it as one. */
  #key: string | undefined;
  /** Tells the last value from others in a set, where Python can hash it. */
  #hash: string | undefined;

  constructor(text: string, bigint: boolean) {
    this.#text = text;
    this.#bigint = bigint;
  }

  parse(): unknown {
    // A byte order mark says nothing in UTF-8.
    if (this.#text.startsWith("\uFEFF")) this.#offset = 1;
    const value = this.#value();
    if (this.#offset < this.#text.length) this.#fail("the end");
    return value;
  }

  /** A value with the space around it. */
  #value(): unknown {
    this.#skipSpace();
    const value = this.#bare();
    this.#skipSpace();
    return value;
  }

  #bare(): unknown {
    switch (this.#text[this.#offset]) {
      case "{":
      case "[":
      case "(":
        return this.#nested();
      case "+":
      case "-":
        return this.#signed();
      default:
        return this.#word();
    }
  }

  #nested(): unknown {
    if (++this.#depth > MAX_DEPTH) throw tooDeep();
    const bracket = this.#text[this.#offset++];
    this.#skipSpace();
    const value = bracket === "{"
      ? this.#dictOrSet()
      : bracket === "["
      ? this.#list()
      : this.#tuple();
    this.#depth--;
    return value;
  }

  #dictOrSet(): unknown {
    if (this.#take("}")) return this.#unhashable({});
    const start = this.#offset;
    const first = this.#value();
    return this.#take(":") ? this.#dict(start) : this.#set(start, first);
  }

  /** The rest of a dict, behind its first colon. */
  #dict(start: number): unknown {
    const dict: Record<string, unknown> = {};
    // Equal numbers are one key, which is written as the first of them.
    const numbers = new Map<string, string>();
    for (;;) {
      let key = this.#key;
      const hash = this.#hash;
      if (key === undefined || hash === undefined) {
        this.#fail("a string, number, True, False or None as a key", start);
      }
      if (key === "__proto__") throw protoKey();
      if (hash.startsWith("n")) {
        key = numbers.get(hash) ?? key;
        numbers.set(hash, key);
      }
      dict[key] = this.#value();
      if (!this.#comma("}")) return this.#unhashable(dict);
      start = this.#offset;
      this.#value();
      if (!this.#take(":")) this.#fail('":"');
    }
  }

  /** The rest of a set, behind its first item. */
  #set(start: number, item: unknown): unknown {
    const items = new Map<string, unknown>();
    for (;;) {
      const hash = this.#hash;
      if (hash === undefined) {
        this.#fail("something hashable in the set", start);
      }
      if (!items.has(hash)) items.set(hash, item);
      if (!this.#comma("}")) return this.#unhashable([...items.values()]);
      start = this.#offset;
      item = this.#value();
    }
  }

  #list(): unknown {
    const items: unknown[] = [];
    if (this.#take("]")) return this.#unhashable(items);
    do {
      items.push(this.#value());
    } while (this.#comma("]"));
    return this.#unhashable(items);
  }

  #tuple(): unknown {
    const items: unknown[] = [];
    let isHashable = true;
    if (!this.#take(")")) {
      items.push(this.#value());
      // Without a comma the parentheses only group.
      if (this.#take(")")) return items[0];
      isHashable = this.#hash !== undefined;
      while (this.#comma(")")) {
        items.push(this.#value());
        isHashable &&= this.#hash !== undefined;
      }
    }
    this.#unhashable(items);
    return isHashable ? this.#unequal(items) : items;
  }

  /** Tells whether another item follows. */
  #comma(end: string): boolean {
    if (this.#take(end)) return false;
    if (!this.#take(",")) this.#fail(`"," or "${end}"`);
    this.#skipSpace();
    return !this.#take(end);
  }

  /** One string, or several in a row, which are one. */
  #strings(): string | undefined {
    const start = this.#offset;
    let string = readPythonString(this.#text, start);
    if (string === undefined) return undefined;
    const { isBytes } = string;
    let text = "";
    while (string !== undefined) {
      if (string.isBytes !== isBytes) {
        this.#fail("all bytes or all text", start);
      }
      text += string.text;
      this.#offset = string.end;
      this.#skipSpace();
      string = readPythonString(this.#text, this.#offset);
    }
    this.#key = isBytes ? undefined : text;
    this.#hash = isBytes ? `b${text}` : `s${text}`;
    return isBytes ? btoa(text) : text;
  }

  #signed(): number | bigint {
    const sign = this.#text[this.#offset++] === "-" ? -1 : 1;
    this.#skipSpace();
    const start = this.#offset;
    return this.#number(this.#token(), sign) ??
      this.#fail("a number after the sign", start);
  }

  /** A string, a number or a name. */
  #word(): unknown {
    const start = this.#offset;
    const string = this.#strings();
    if (string !== undefined) return string;
    const token = this.#token();
    const constant = CONSTANTS.get(token);
    if (constant !== undefined) {
      this.#key = String(constant);
      this.#hash = constant === null ? "None" : `n${Number(constant)}`;
      return constant;
    }
    const number = this.#number(token, 1);
    if (number !== undefined) return number;
    if (token === "set" || token === "frozenset") return this.#call(token);
    if (/^\.?\d/.test(token)) {
      this.#fail("a number that is real and as Python writes it", start);
    }
    return this.#fail("a value", start);
  }

  /** A word or a number, as far as its characters go. */
  #token(): string {
    const text = this.#text;
    const start = this.#offset;
    let end = start;
    for (;; end++) {
      if (end - start > MAX_NUMBER) {
        this.#fail(`a word or number of at most ${MAX_NUMBER} characters`);
      }
      const code = text.charCodeAt(end);
      if (isLiteralCode(code)) continue;
      const isSign = code === 0x2B || code === 0x2D;
      if (!isSign || !/^[\d._]+e$/i.test(text.slice(start, end))) break;
    }
    this.#offset = end;
    return text.slice(start, end);
  }

  #number(token: string, sign: 1 | -1): number | bigint | undefined {
    const number = readPythonNumber(token, sign);
    if (number === undefined) return undefined;
    this.#key = number.key;
    this.#hash = number.hash;
    return this.#bigint ? number.exact ?? number.value : number.value;
  }

  /** `set()`, and the `repr` of a frozenset. */
  #call(name: string): unknown {
    this.#skipSpace();
    if (!this.#take("(")) this.#fail(`"(" after ${name}`);
    this.#skipSpace();
    const start = this.#offset;
    const items = this.#text[start] === ")" ? [] : this.#value();
    if (!Array.isArray(items)) {
      this.#fail(`a set, list or tuple in ${name}()`, start);
    }
    if (!this.#take(")")) this.#fail('")"');
    this.#unhashable(items);
    return name === "frozenset" ? this.#unequal(items) : items;
  }

  #unhashable<T>(value: T): T {
    this.#key = this.#hash = undefined;
    return value;
  }

  /** Hashed by where it ends, since a hash made of all its parts could grow without bounds. */
  #unequal<T>(value: T): T {
    this.#hash = `@${this.#offset}`;
    return value;
  }

  #skipSpace(): void {
    while (isSpaceCode(this.#text.charCodeAt(this.#offset))) this.#offset++;
  }

  #take(character: string): boolean {
    if (this.#text[this.#offset] !== character) return false;
    this.#offset++;
    return true;
  }

  #fail(expected: string, offset = this.#offset): never {
    throw new PythonLiteralError(this.#text, offset, expected);
  }
}

function isSpaceCode(code: number): boolean {
  return code === 0x20 || code === 0x0A || code === 0x0D || code === 0x09 ||
    code === 0x0C;
}

/** Letters, digits, `_` and `.` of ASCII. */
function isLiteralCode(code: number): boolean {
  return (code >= 0x61 && code <= 0x7A) || (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5A) || code === 0x5F || code === 0x2E;
}
