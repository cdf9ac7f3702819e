import type { CharacterSet, SetItem } from "./character_set.ts";

/**
 * Says why a pattern cannot be used.
 *
 * @example
 * ```ts
 * import { compileCondition, RegexError } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.throws(() => compileCondition({ room: { $regex: "(hall" } }), RegexError);
 * ```
 */
export class RegexError extends SyntaxError {
  /** The class's name, as for every error. */
  override readonly name = "RegexError";
}

/** A place in a text, rather than characters of it. */
export type Place =
  | "textStart"
  | "textEnd"
  | "lineStart"
  | "lineEnd"
  | "lastLineEnd"
  | "boundary"
  | "noBoundary";

/** A part of a regular expression. */
export type Part =
  | CharacterSet
  | { readonly kind: "place"; readonly place: Place; readonly isAscii: boolean }
  | { readonly kind: "sequence"; readonly parts: readonly Part[] }
  | { readonly kind: "either"; readonly parts: readonly Part[] }
  | {
    readonly kind: "repeat";
    readonly part: Part;
    readonly min: number;
    readonly max: number;
    readonly mode: "greedy" | "lazy" | "possessive";
  }
  | { readonly kind: "group"; readonly part: Part; readonly group: number }
  | { readonly kind: "atomic"; readonly part: Part }
  | {
    readonly kind: "look";
    readonly part: Part;
    /** The number of characters before the place where it begins; 0 looks ahead. */
    readonly back: number;
    readonly isNegated: boolean;
  }
  | {
    readonly kind: "reference";
    readonly group: number;
    readonly ignoresCase: boolean;
    readonly isAscii: boolean;
  }
  | {
    readonly kind: "condition";
    readonly group: number;
    readonly then: Part;
    readonly otherwise: Part;
  };

/** A regular expression that was read. */
export interface Expression {
  readonly part: Part;
  /** The number of its groups, besides the whole. */
  readonly groups: number;
}

interface Flags {
  readonly a: boolean;
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
  readonly x: boolean;
}

const MAX_REPEAT = 2 ** 32 - 1;
const MAX_NESTING = 200;

/** Reads a regular expression in the syntax of Python's `re`. */
export function parsePythonRegex(pattern: string): Expression {
  return new RegexParser(pattern).parse();
}

/** One pass over the characters; `#offset` is where it stands. */
class RegexParser {
  readonly #pattern: string;
  readonly #characters: readonly string[];
  #offset = 0;
  #flags: Flags = { a: false, i: false, m: false, s: false, x: false };
  #groups = 0;
  #nesting = 0;
  readonly #names = new Map<string, number>();
  readonly #open = new Set<number>();
  /** The groups that conditions ask for, which may follow later. */
  readonly #asked = new Set<number>();
  /** The number of groups before the look-behind that is read. */
  #groupsBefore: number | undefined;
  /** The least and the greatest width of each closed group. */
  readonly #widths = new Map<number, readonly [number, number]>();

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#characters = [...pattern];
  }

  parse(): Expression {
    this.#globalFlags();
    const part = this.#either();
    if (this.#offset < this.#characters.length) {
      this.#fail("a closing parenthesis without an opening one");
    }
    if ([...this.#asked].some((group) => group > this.#groups)) {
      this.#fail("a condition on no group");
    }
    return { part, groups: this.#groups };
  }

  /** Reads the flags for the whole, which may be in several groups, with comments between them. */
  #globalFlags(): void {
    let flags = "";
    for (;;) {
      const next = this.#characters[this.#offset] ?? "";
      if (this.#flags.x && this.#skipVerbose(next)) continue;
      const rest = this.#characters.slice(this.#offset, this.#offset + 20)
        .join("");
      const match = /^\(\?(?:#|([aiLmsux]+)\))/.exec(rest);
      if (match === null) return;
      this.#offset += match[0].length;
      if (match[1] === undefined) this.#skipComment();
      else this.#flags = this.#withFlags(flags += match[1], "");
    }
  }

  #withFlags(on: string, off: string): Flags {
    if (on.includes("L")) this.#fail("the flag L, which is for bytes only");
    if (on.includes("a") && on.includes("u")) {
      this.#fail("the flags a and u, which exclude each other");
    }
    if ([...on].some((flag) => off.includes(flag))) {
      this.#fail("a flag that is turned on and off");
    }
    const flags = { ...this.#flags };
    for (const flag of on) {
      if (flag === "u") flags.a = false;
      else flags[flag as keyof Flags] = true;
    }
    for (const flag of off) flags[flag as keyof Flags] = false;
    return flags;
  }

  #either(): Part {
    if (++this.#nesting > MAX_NESTING) {
      this.#fail(`more than ${MAX_NESTING} groups in each other`);
    }
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#nesting--;
    return parts.length === 1 ? parts[0]! : { kind: "either", parts };
  }

  #sequence(): Part {
    const parts: Part[] = [];
    for (;;) {
      const character = this.#characters[this.#offset];
      if (character === undefined || character === "|" || character === ")") {
        return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
      }
      if (this.#flags.x && this.#skipVerbose(character)) continue;
      if (/[*+?{]/.test(character)) {
        const repetition = this.#repetition();
        if (repetition !== undefined) {
          parts.push(this.#repeated(parts.pop(), repetition));
          continue;
        }
      }
      const part = this.#one();
      if (part !== undefined) parts.push(part);
    }
  }

  #skipVerbose(character: string): boolean {
    if (/[ \t\n\r\v\f]/.test(character)) {
      this.#offset++;
      return true;
    }
    if (character !== "#") return false;
    while (this.#offset < this.#characters.length && !this.#take("\n")) {
      this.#skipOne();
    }
    return true;
  }

  /** Skips a comment from behind its `#`. */
  #skipComment(): void {
    while (!this.#take(")")) {
      if (this.#offset >= this.#characters.length) {
        this.#fail("a comment without its end");
      }
      this.#skipOne();
    }
  }

  /** Skips a character of a comment: behind a backslash, none ends it. */
  #skipOne(): void {
    this.#offset += this.#characters[this.#offset] === "\\" ? 2 : 1;
  }

  /** The limits of a repetition, or nothing where the brace is only a brace. */
  #repetition(): readonly [min: number, max: number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    const rest = this.#characters.slice(this.#offset, this.#offset + 30)
      .join("");
    const match = /^\{(\d*)(?:(,)(\d*))?\}/.exec(rest);
    if (match === null || match[0] === "{}") return undefined;
    const min = Number(match[1] || 0);
    const max = match[2] === undefined
      ? min
      : match[3] === ""
      ? Infinity
      : Number(match[3]);
    if (min > MAX_REPEAT || max !== Infinity && max > MAX_REPEAT) {
      this.#fail("a repetition that is too large");
    }
    if (min > max) {
      this.#fail("a repetition whose limits are the wrong way round");
    }
    this.#offset += match[0].length;
    return [min, max];
  }

  #repeated(
    part: Part | undefined,
    [min, max]: readonly [number, number],
  ): Part {
    if (part === undefined || part.kind === "place") {
      this.#fail("a repetition of nothing");
    }
    if (part.kind === "repeat") this.#fail("a repetition of a repetition");
    const mode = this.#take("?")
      ? "lazy"
      : this.#take("+")
      ? "possessive"
      : "greedy";
    return { kind: "repeat", part, min, max, mode };
  }

  #one(): Part | undefined {
    const character = this.#characters[this.#offset]!;
    switch (character) {
      case "\\":
        return this.#escape();
      case "[":
        return this.#set();
      case "(":
        return this.#group();
      case ".":
        this.#offset++;
        return this.#flags.s
          ? this.#newSet([], true)
          : this.#newSet([{ from: 10, to: 10 }], true);
      case "^":
        this.#offset++;
        return this.#place(this.#flags.m ? "lineStart" : "textStart");
      case "$":
        this.#offset++;
        return this.#place(this.#flags.m ? "lineEnd" : "lastLineEnd");
    }
    this.#offset++;
    return this.#literal(character.codePointAt(0)!);
  }

  #place(place: Place): Part {
    return { kind: "place", place, isAscii: this.#flags.a };
  }

  #literal(code: number): Part {
    return this.#newSet([{ from: code, to: code }], false);
  }

  #newSet(items: readonly SetItem[], isNegated: boolean): CharacterSet {
    const { i: ignoresCase, a: isAscii } = this.#flags;
    return { kind: "set", items, isNegated, ignoresCase, isAscii };
  }

  #group(): Part | undefined {
    this.#offset++;
    if (!this.#take("?")) return this.#capture();
    if (this.#take(":")) return this.#closed(this.#either());
    if (this.#take(">")) {
      return { kind: "atomic", part: this.#closed(this.#either()) };
    }
    if (this.#take("=")) return this.#look(false, false);
    if (this.#take("!")) return this.#look(false, true);
    if (this.#take("<")) {
      if (this.#take("=")) return this.#look(true, false);
      if (this.#take("!")) return this.#look(true, true);
      this.#fail(
        "a group that begins with (?<; a name is written (?P<name>...)",
      );
    }
    if (this.#take("#")) {
      this.#skipComment();
      return undefined;
    }
    if (this.#take("P")) return this.#named();
    if (this.#take("(")) return this.#condition();
    return this.#flagged();
  }

  #capture(name?: string): Part {
    const group = ++this.#groups;
    if (name !== undefined) this.#names.set(name, group);
    this.#open.add(group);
    const part = this.#closed(this.#either());
    this.#open.delete(group);
    this.#widths.set(group, this.#widthOf(part));
    return { kind: "group", part, group };
  }

  #named(): Part {
    if (this.#take("<")) {
      const name = this.#until(">");
      if (!/^[\p{ID_Start}_][\p{ID_Continue}]*$/u.test(name)) {
        this.#fail("a group whose name is no name");
      }
      if (this.#names.has(name)) this.#fail("two groups of the same name");
      return this.#capture(name);
    }
    if (!this.#take("=")) this.#fail("a group that begins with (?P");
    const name = this.#until(")");
    const group = this.#names.get(name);
    if (group === undefined) this.#fail("a reference to no group");
    return this.#reference(group);
  }

  #reference(group: number): Part {
    if (group > this.#groups || group === 0) {
      this.#fail("a reference to no group");
    }
    if (this.#open.has(group)) {
      this.#fail("a reference to a group from within");
    }
    this.#checkLookBehind(group);
    const { i: ignoresCase, a: isAscii } = this.#flags;
    return { kind: "reference", group, ignoresCase, isAscii };
  }

  #condition(): Part {
    const name = this.#until(")");
    const group = /^\d+$/.test(name) ? Number(name) : this.#names.get(name);
    if (group === undefined || group === 0) {
      this.#fail("a condition on no group");
    }
    this.#asked.add(group);
    this.#checkLookBehind(group);
    const then = this.#sequence();
    const otherwise = this.#take("|")
      ? this.#sequence()
      : { kind: "sequence", parts: [] } as const;
    return this.#closed({ kind: "condition", group, then, otherwise });
  }

  /** Refuses what Python does: a look-behind that refers to what only it has caught. */
  #checkLookBehind(group: number): void {
    if (this.#groupsBefore === undefined) return;
    if (group > this.#groupsBefore || this.#open.has(group)) {
      this.#fail("a look-behind that refers to a group of its own");
    }
  }

  #look(isBehind: boolean, isNegated: boolean): Part {
    const before = this.#groupsBefore;
    if (isBehind) this.#groupsBefore ??= this.#groups;
    const part = this.#closed(this.#either());
    this.#groupsBefore = before;
    const [min, max] = isBehind ? this.#widthOf(part) : [0, 0];
    if (min !== max) {
      this.#fail("a look-behind at a part of which Python asks a fixed width");
    }
    // An empty look-behind always holds, as an empty look-ahead does.
    return { kind: "look", part, back: min, isNegated };
  }

  #flagged(): Part {
    const before = this.#flags;
    const rest = this.#characters.slice(this.#offset, this.#offset + 20)
      .join("");
    const match = /^([aiLmsux]*)(?:-([imsx]+))?:/.exec(rest);
    if (match === null) {
      this.#fail(
        /^[aiLmsux]+\)/.test(rest)
          ? "flags for the whole that are not in front"
          : "a group of an unknown kind",
      );
    }
    this.#offset += match[0].length;
    this.#flags = this.#withFlags(match[1]!, match[2] ?? "");
    const part = this.#closed(this.#either());
    this.#flags = before;
    return part.kind === "repeat" || part.kind === "place"
      // Another repetition may follow, which is none of a repetition.
      ? { kind: "sequence", parts: [part] }
      : part;
  }

  #closed(part: Part): Part {
    if (!this.#take(")")) this.#fail("a group without its closing parenthesis");
    return part.kind === "repeat" || part.kind === "place"
      ? { kind: "sequence", parts: [part] }
      : part;
  }

  #set(): Part {
    this.#offset++;
    const isNegated = this.#take("^");
    const items: SetItem[] = [];
    for (;;) {
      const isFirst = items.length === 0;
      const character = this.#characters[this.#offset];
      if (character === undefined) {
        this.#fail("a set without its closing bracket");
      }
      if (character === "]" && !isFirst) {
        this.#offset++;
        return this.#newSet(items, isNegated);
      }
      const first = this.#setItem();
      const next = this.#characters[this.#offset + 1];
      if (
        this.#characters[this.#offset] !== "-" || next === undefined ||
        next === "]"
      ) {
        items.push(first);
        continue;
      }
      this.#offset++;
      const last = this.#setItem();
      if ("class" in first || "class" in last) {
        this.#fail("a range of characters that ends with a class");
      }
      if (first.from > last.to) {
        this.#fail("a range of characters that is the wrong way round");
      }
      items.push({ from: first.from, to: last.to });
    }
  }

  #setItem(): SetItem {
    const character = this.#characters[this.#offset++]!;
    if (character !== "\\") return one(character.codePointAt(0)!);
    const letter = this.#characters[this.#offset++];
    if (letter === undefined) this.#fail("a backslash at the end");
    if (/[dDsSwW]/.test(letter)) return { class: letter };
    if (letter === "b") return one(8);
    if (/[0-7]/.test(letter)) {
      const digits = letter + this.#digits(2, /[0-7]/);
      return one(this.#octal(digits));
    }
    return one(this.#character(letter));
  }

  #escape(): Part {
    const letter = this.#characters[this.#offset + 1];
    if (letter === undefined) this.#fail("a backslash at the end");
    this.#offset += 2;
    if (/[dDsSwW]/.test(letter)) {
      return this.#newSet([{ class: letter }], false);
    }
    switch (letter) {
      case "A":
        return this.#place("textStart");
      case "Z":
        return this.#place("textEnd");
      case "b":
        return this.#place("boundary");
      case "B":
        return this.#place("noBoundary");
      case "0":
        return this.#literal(this.#octal(letter + this.#digits(2, /[0-7]/)));
    }
    if (!/[1-9]/.test(letter)) return this.#literal(this.#character(letter));
    const number = letter + this.#digits(1, /[0-9]/);
    if (/^[0-7]{2}$/.test(number)) {
      const third = this.#digits(1, /[0-7]/);
      if (third !== "") return this.#literal(this.#octal(number + third));
    }
    return this.#reference(Number(number));
  }

  /** The character that a letter behind a backslash stands for. */
  #character(letter: string): number {
    const simple = "abfnrtv".indexOf(letter);
    if (simple !== -1) return [7, 8, 12, 10, 13, 9, 11][simple]!;
    const length = { x: 2, u: 4, U: 8 }[letter];
    if (length !== undefined) {
      const digits = this.#digits(length, /[\da-fA-F]/);
      const code = parseInt(digits, 16);
      if (digits.length < length || code > 0x10FFFF) {
        this.#fail(`\\${letter} without its ${length} hexadecimal digits`);
      }
      return code;
    }
    if (letter === "N") {
      this.#fail("a character's name; write its number, as in \\u2013");
    }
    if (/[A-Za-z0-9]/.test(letter)) {
      this.#fail(`the unknown escape \\${letter}`);
    }
    return letter.codePointAt(0)!;
  }

  #octal(digits: string): number {
    const code = parseInt(digits, 8);
    if (code > 0o377) this.#fail("an octal number above \\377");
    return code;
  }

  #digits(most: number, digit: RegExp): string {
    let digits = "";
    while (
      digits.length < most && digit.test(this.#characters[this.#offset] ?? "")
    ) digits += this.#characters[this.#offset++];
    return digits;
  }

  #until(end: string): string {
    const start = this.#offset;
    while (!this.#take(end)) {
      if (this.#characters[this.#offset++] === undefined) {
        this.#fail(`a name without its "${end}"`);
      }
    }
    return this.#characters.slice(start, this.#offset - 1).join("");
  }

  #take(character: string): boolean {
    if (this.#characters[this.#offset] !== character) return false;
    this.#offset++;
    return true;
  }

  /** The least and the greatest number of characters that a part takes. */
  #widthOf(part: Part): readonly [number, number] {
    switch (part.kind) {
      case "set":
        return [1, 1];
      case "place":
      case "look":
        return [0, 0];
      case "group":
      case "atomic":
        return this.#widthOf(part.part);
      case "reference":
        return this.#widths.get(part.group)!;
      case "repeat": {
        const [min, max] = this.#widthOf(part.part);
        return [min * part.min, max === 0 ? 0 : max * part.max];
      }
      case "sequence":
        return part.parts.map((one) => this.#widthOf(one)).reduce(
          ([min, max], [a, b]) => [min + a, max + b],
          [0, 0],
        );
      case "either":
      case "condition": {
        const parts = part.kind === "either"
          ? part.parts
          : [part.then, part.otherwise];
        const widths = parts.map((one) => this.#widthOf(one));
        return [
          Math.min(...widths.map(([min]) => min)),
          Math.max(...widths.map(([, max]) => max)),
        ];
      }
    }
  }

  #fail(what: string): never {
    throw new RegexError(
      `Cannot use the regular expression ${
        JSON.stringify(this.#pattern)
      }: at character ${this.#offset} it has ${what}; write it as Python's \`re\` reads it`,
    );
  }
}

function one(code: number): SetItem & { from: number; to: number } {
  return { from: code, to: code };
}
