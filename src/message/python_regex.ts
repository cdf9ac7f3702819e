import type { RE2JS } from "re2js";
// Loaded by the first pattern: most programs have none.
import defer * as re2js from "re2js";
import { BoundedSearch } from "./bounded_search.ts";
import type { CharacterSet } from "./character_set.ts";
import { literalsOf } from "./literal_index.ts";
import { parsePythonRegex, type Part } from "./python_regex_syntax.ts";
import { foldCase, sameCase } from "./python_text.ts";

/** The meaning of `\s` in Python, for use inside of brackets; and its opposite. */
const SPACE = "\\t-\\r\\x1c-\\x20\\x{85}\\p{Z}";
const NOT_SPACE = "\\x00-\\x08\\x0e-\\x1b\\x21-\\x{84}\\x{86}-\\x{9f}" +
  "\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}" +
  "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";

/** Python's classes, for use inside of brackets; RE2 has none that is all but letters and numbers. */
const CLASSES: Readonly<Record<string, string | undefined>> = {
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
 * The largest range that is written character by character, where case is
 * ignored.
 */
const MAX_WRITTEN_OUT = 200;

// deno-lint-ignore no-control-regex -- all of ASCII is what is meant
const ASCII = /^[\x00-\x7f]*$/;

/**
 * A regular expression in the syntax and with the meaning of Python's `re`.
 *
 * It is searched for by RE2, in a time proportional to the text's length, where
 * RE2 knows all of it. What RE2 lacks (a boundary of a word that is not ASCII,
 * look-around, references to groups, atomic groups, conditions, `$` in the
 * middle) is searched for in a limited number of steps.
 */
export class PythonRegex {
  /** Lists of texts; every match contains one out of each, and looking for that is far quicker. */
  readonly #literals: readonly (readonly string[])[];
  readonly #re2: (() => RE2JS) | undefined;
  /** True if RE2 finds the same only in texts that are ASCII. */
  readonly #onlyAscii: boolean;
  readonly #bounded: BoundedSearch | undefined;

  /**
   * Reads an expression.
   *
   * @throws {RegexError} If it is none to Python, has a character's name
   * (`\N{...}`), or is too large.
   */
  constructor(pattern: string) {
    const expression = parsePythonRegex(pattern);
    this.#literals = literalsOf(expression.part);
    const writer = new Re2Writer();
    const re2 = writer.write(expression.part, true);
    this.#re2 = re2 === undefined ? undefined : compileRe2(re2, writer.counts);
    this.#onlyAscii = writer.onlyAscii;
    if (this.#re2 === undefined || this.#onlyAscii) {
      this.#bounded = new BoundedSearch(pattern, expression);
    }
  }

  /**
   * Tells whether a text contains a match.
   *
   * @throws {SearchTooLongError} When that takes too many steps.
   */
  test(text: string): boolean {
    for (const list of this.#literals) {
      if (!list.some((literal) => text.includes(literal))) return false;
    }
    return this.#isForRe2(text)
      ? this.#re2!().test(text)
      : this.#bounded!.search(text) !== undefined;
  }

  /**
   * Finds the first match in a text.
   *
   * @returns The text that it matches, which may be empty.
   * @throws {SearchTooLongError} When that takes too many steps.
   */
  find(text: string): string | undefined {
    if (this.#isForRe2(text)) {
      const matcher = this.#re2!().matcher(text);
      return matcher.find() ? matcher.group() ?? "" : undefined;
    }
    const found = this.#bounded!.search(text);
    return found && [...text].slice(found.start, found.end).join("");
  }

  #isForRe2(text: string): boolean {
    return this.#re2 !== undefined && (!this.#onlyAscii || ASCII.test(text));
  }
}

/**
 * Draws from an expression what texts contain that match it.
 *
 * @returns Lists of texts as {@linkcode foldCase} gives them: each text that
 * matches, folded, contains one out of each list.
 */
export function literalsIn(pattern: string): (readonly string[])[] {
  return literalsOf(parsePythonRegex(pattern).part, foldCase);
}

/** RE2 takes every expression of this length, unless it counts. */
const SURELY_TAKEN = 1_000;

/**
 * Compiles an expression when it is first searched for: of many patterns, few
 * ever meet a text that has their literals.
 *
 * @returns Gives it compiled; nothing where RE2 does not take it.
 */
function compileRe2(
  expression: string,
  counts: boolean,
): (() => RE2JS) | undefined {
  let made: RE2JS | undefined;
  const compile = (): RE2JS => made ??= re2js.RE2JS.compile(expression);
  if (!counts && expression.length <= SURELY_TAKEN) return compile;
  try {
    compile();
  } catch {
    // It repeats more often than RE2 does.
    return undefined;
  }
  return compile;
}

/** Writes an expression in RE2's syntax, where that has the same meaning. */
class Re2Writer {
  onlyAscii = false;
  /** True if a part is repeated more than once, up to a number of times. */
  counts = false;

  /**
   * @param isLast Whether the expression ends with this part.
   * @returns The expression, or `undefined` where RE2 has none that is the same.
   */
  write(part: Part, isLast: boolean): string | undefined {
    switch (part.kind) {
      case "set":
        return writeSet(part);
      case "place":
        return this.#place(part, isLast);
      case "group":
        return around("(?:", this.write(part.part, isLast), ")");
      case "sequence": {
        const last = part.parts.length - 1;
        const parts = part.parts.map((one, index) =>
          this.write(one, isLast && index === last)
        );
        return parts.includes(undefined) ? undefined : parts.join("");
      }
      case "either": {
        const parts = part.parts.map((one) => this.write(one, isLast));
        return parts.includes(undefined) ? undefined : `(?:${parts.join("|")})`;
      }
      case "repeat": {
        const { min, max, mode } = part;
        if (mode === "possessive") return undefined;
        this.counts ||= min > 1 || max > 1 && max !== Infinity;
        const limits = `{${min},${max === Infinity ? "" : max}}`;
        const lazy = mode === "lazy" ? "?" : "";
        return around("(?:", this.write(part.part, false), `)${limits}${lazy}`);
      }
      default:
        return undefined;
    }
  }

  #place(
    { place, isAscii }: Part & { kind: "place" },
    isLast: boolean,
  ): string | undefined {
    switch (place) {
      case "textStart":
        return "\\A";
      case "textEnd":
        return "\\z";
      case "lineStart":
        return "(?m:^)";
      case "lineEnd":
        return "(?m:$)";
      case "lastLineEnd":
        return isLast ? "(?:\\n?\\z)" : undefined;
      case "boundary":
        this.onlyAscii ||= !isAscii;
        return "\\b";
      case "noBoundary":
        return undefined;
    }
  }
}

function around(
  before: string,
  text: string | undefined,
  after: string,
): string | undefined {
  return text === undefined ? undefined : before + text + after;
}

/** Writes a character so that it means nothing but itself. */
function writeCharacter(code: number): string {
  const character = String.fromCodePoint(code);
  return /^[A-Za-z0-9 _]$/.test(character)
    ? character
    : `\\x{${code.toString(16)}}`;
}

function writeSet(set: CharacterSet): string | undefined {
  const { items, isNegated, ignoresCase, isAscii } = set;
  if (items.length === 0) return "[\\x00-\\x{10ffff}]";
  const [first] = items;
  const isOne = items.length === 1 && !isNegated && !ignoresCase;
  if (isOne && first !== undefined && "from" in first) {
    if (first.from === first.to) return writeCharacter(first.from);
  }
  if (items.length === 1 && first !== undefined && "class" in first) {
    if (first.class === "W" && !isAscii) {
      return `[${isNegated ? "" : "^"}${CLASSES["w"]}]`;
    }
  }
  let text = "";
  for (const item of items) {
    if ("class" in item) {
      const known = (isAscii ? ASCII_CLASSES : CLASSES)[item.class];
      if (known === undefined) return undefined;
      text += known;
    } else if (!ignoresCase) {
      text += `\\x{${item.from.toString(16)}}-\\x{${item.to.toString(16)}}`;
    } else {
      if (item.to - item.from >= MAX_WRITTEN_OUT) return undefined;
      for (let code = item.from; code <= item.to; code++) {
        for (const one of sameCase(code, isAscii)) {
          text += `\\x{${one.toString(16)}}`;
        }
      }
    }
  }
  return `[${isNegated ? "^" : ""}${text}]`;
}
