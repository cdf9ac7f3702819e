import { RE2JS } from "re2js";

/**
 * Says why a pattern cannot be used.
 *
 * @example
 * ```ts
 * import { compileCondition, RegexError } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.throws(
 *   () => compileCondition({ room: { $regex: "(?=hall)" } }),
 *   RegexError,
 * );
 * ```
 */
export class RegexError extends SyntaxError {
  /** The class's name, as for every error. */
  override readonly name = "RegexError";
}

/** What `\s` means in Python, for use inside of brackets; and its opposite. */
const SPACE = "\\t-\\r\\x1c-\\x20\\x{85}\\p{Z}";
const NOT_SPACE = "\\x00-\\x08\\x0e-\\x1b\\x21-\\x{84}\\x{86}-\\x{9f}" +
  "\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}" +
  "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";

/** Python's classes, for use inside of brackets. */
const CLASSES: Readonly<Record<string, string>> = {
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  w: "\\p{L}\\p{N}_",
  s: SPACE,
  S: NOT_SPACE,
};

const ASCII_CLASSES: Readonly<Record<string, string>> = {
  d: "0-9",
  D: "\\x00-\\x2f\\x3a-\\x{10ffff}",
  w: "0-9A-Za-z_",
  W: "\\x00-\\x2f\\x3a-\\x40\\x5b-\\x5e\\x60\\x7b-\\x{10ffff}",
  s: "\\t-\\r\\x20",
  S: "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{10ffff}",
};

/**
 * Makes a search of a regular expression in Python's syntax. It runs in a time
 * proportional to the text's length, whatever the pattern and the text are: it
 * is RE2's, which does not backtrack.
 *
 * Understood: alternatives, groups, `(?P<name>…)`, `(?:…)`, greedy and lazy
 * repetition up to 1,000 times, sets, `^ $ \A \Z \b \B`, `\d \w \s` and their
 * opposites (Unicode, as Python's), escapes by number, `(?#…)`, the flags
 * `(?aims)` in front and `(?is-is:…)` around a part. `\b` knows only ASCII
 * letters, and behind `$` there is nothing but the end of an alternative.
 * Refused, since no such search exists in linear time: `\1`, `(?P=name)`,
 * `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`, `(?>…)`, `a++`, `(?(1)…)`. Refused,
 * too: the flags `L` and `x`, `\W` in a set, `\N{…}`.
 *
 * @param pattern The expression.
 * @returns Whether a text contains a match.
 * @throws {RegexError} If the expression is none, or is one that is refused.
 */
export function pythonRegex(pattern: string): (text: string) => boolean {
  const expression = new Translator(pattern).translate();
  try {
    const regex = RE2JS.compile(expression);
    return (text) => regex.test(text);
  } catch (cause) {
    throw new RegexError(
      `Cannot use the regular expression ${JSON.stringify(pattern)}: ${
        cause instanceof Error ? cause.message : cause
      }`,
      { cause },
    );
  }
}

/** Goes through Python's syntax once and writes RE2's. */
class Translator {
  readonly #pattern: string;
  #offset = 0;
  #isAscii = false;
  #isMultiline = false;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  translate(): string {
    const parts = [this.#globalFlags()];
    while (this.#offset < this.#pattern.length) parts.push(this.#next());
    return parts.join("");
  }

  #globalFlags(): string {
    const flags = this.#take(/\(\?([aiLmsux]+)\)/y)?.[1] ?? "";
    if (/[Lx]/.test(flags)) this.#refuse("the flags L and x");
    this.#isAscii = flags.includes("a");
    this.#isMultiline = flags.includes("m");
    const known = flags.replaceAll(/[au]/g, "");
    return known === "" ? "" : `(?${known})`;
  }

  #next(): string {
    const character = this.#pattern[this.#offset]!;
    switch (character) {
      case "\\":
        return this.#escape(false);
      case "[":
        return this.#set();
      case "(":
        return this.#group();
      case "$":
        return this.#end();
      case "{":
      case "*":
      case "+":
      case "?":
        return this.#repetition();
    }
    this.#offset++;
    return character;
  }

  #end(): string {
    this.#offset++;
    // At the end, or before a line end that is the last character.
    if (this.#isMultiline) return "$";
    if (!/^(?:$|[|)])/.test(this.#pattern.slice(this.#offset))) {
      this.#refuse("$ with something after it");
    }
    return "(?:\\n?\\z)";
  }

  #repetition(): string {
    const match = this.#take(/(?:[*+?]|\{(\d*)(,?)(\d*)\})([+?]?)/y);
    if (match === null || /^\{\}/.test(match[0])) {
      if (match !== null) this.#offset -= match[0].length;
      this.#offset++;
      return "\\{";
    }
    if (match[4] === "+") this.#refuse("possessive repetition");
    if (!match[0].startsWith("{")) return match[0];
    return `{${match[1] || "0"}${match[2]}${match[3]}}${match[4]}`;
  }

  #group(): string {
    const opening = this.#take(
      /\((?:(?!\?)|\?:|\?P<\w+>|\?[is]*(?:-[is]+)?:)/uy,
    );
    if (opening !== null) return opening[0];
    if (this.#take(/\(\?#[^)]*\)/y) !== null) return "";
    const kind = /^\(\?(?:P=|P>|<[=!]|[=!>(]|)/.exec(
      this.#pattern.slice(this.#offset),
    )![0];
    return this.#refuse(`a group that starts with ${kind}`);
  }

  #set(): string {
    const start = this.#offset;
    const parts = [this.#take(/\[\^?/y)![0]];
    // A bracket in front is itself.
    if (this.#take(/\]/y) !== null) parts.push("\\]");
    while (this.#offset < this.#pattern.length) {
      const character = this.#pattern[this.#offset]!;
      if (character === "\\") {
        parts.push(this.#escape(true));
        continue;
      }
      this.#offset++;
      if (character === "]") return parts.join("") + "]";
      // RE2 has more syntax after a second bracket.
      parts.push(character === "[" ? "\\[" : character);
    }
    this.#offset = start;
    return this.#refuse("a set without its closing bracket");
  }

  #escape(inSet: boolean): string {
    const number = this.#take(
      /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(0[0-7]{0,2}|[0-3][0-7]{2}))/y,
    );
    if (number !== null) {
      const hex = number[1] ?? number[2] ?? number[3];
      const code = hex === undefined
        ? parseInt(number[4]!, 8)
        : parseInt(hex, 16);
      return `\\x{${code.toString(16)}}`;
    }
    const letter = this.#pattern[this.#offset + 1];
    if (letter === undefined) this.#refuse("a backslash at the end");
    if (!/[A-Za-z0-9]/.test(letter)) {
      this.#offset += 2;
      // RE2 takes a backslash only before punctuation.
      return /[!-/:-@[-`{-~]/.test(letter) ? `\\${letter}` : letter;
    }
    const set = (this.#isAscii ? ASCII_CLASSES : CLASSES)[letter];
    if (set !== undefined || letter === "W" && !inSet) {
      this.#offset += 2;
      if (inSet) return set!;
      return set === undefined ? `[^${CLASSES.w}]` : `[${set}]`;
    }
    if (/[afnrtv]/.test(letter) || !inSet && /[AbB]/.test(letter)) {
      this.#offset += 2;
      return `\\${letter}`;
    }
    if (letter === "Z" && !inSet) {
      this.#offset += 2;
      return "\\z";
    }
    if (letter === "b") {
      this.#offset += 2;
      return "\\x08";
    }
    return this.#refuse(
      /[1-9]/.test(letter)
        ? "a reference to a group"
        : `\\${letter}${inSet ? " in a set" : ""}`,
    );
  }

  #take(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#offset;
    const match = sticky.exec(this.#pattern);
    if (match !== null) this.#offset = sticky.lastIndex;
    return match;
  }

  #refuse(what: string): never {
    throw new RegexError(
      `Cannot use the regular expression ${
        JSON.stringify(this.#pattern)
      }: at character ${this.#offset} it has ${what}, which a search that is safe on any text cannot do; write the expression without it`,
    );
  }
}
