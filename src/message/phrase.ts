import { longestFirst } from "./literal_index.ts";
import { literalsIn, PythonRegex } from "./python_regex.ts";
import { RegexError } from "./python_regex_syntax.ts";
import { foldCase } from "./python_text.ts";

/** The score of a text that is the pattern, letter by letter. */
export const EXACT: number = 2 ** 63;

const EQUAL_WORD = 1.5;
const PATTERN_WORD = 1.25;
const CAPTURE = 1;
const SKIPPED_WORD = -1;

/** Says how well a phrase matches, and what it has caught. */
interface PhraseMatch {
  /** The sum over its words. */
  readonly score: number;
  /** The words behind each name in the pattern. */
  readonly captures: Readonly<Record<string, string>>;
}

/** One word of a pattern. */
interface PatternWord {
  readonly text: string;
  /**
   * The word as a regular expression, alone and as Platypush measures what it
   * has found, within a group; why there is none where it is no such expression.
   */
  readonly regex: PythonRegex | RegexError;
  readonly measured: PythonRegex | RegexError;
  /** The name that the event's words are caught under. */
  readonly capture: string | undefined;
}

/**
 * A pattern of a phrase, such as `turn (on)? the ${lights}`. It is compared
 * with what was said word by word, in lower case.
 */
export class Phrase {
  readonly #text: string;
  readonly #words: readonly PatternWord[];

  constructor(text: string) {
    this.#text = text;
    this.#words = wordsOf(text).map((text) => ({
      text,
      regex: regexOf(text),
      measured: regexOf(`(${text})`),
      capture: captureOf(text),
    }));
  }

  /** Why each word that is no regular expression is none. */
  get faults(): RegexError[] {
    return this.#words.map(({ regex }) => regex)
      .filter((regex) => regex instanceof RegexError);
  }

  /**
   * Compares the pattern with what was said.
   *
   * @param earlier What other phrases of the condition have captured: words for
   * the same name come behind.
   * @returns How well it matches, or `undefined` if it does not.
   * @throws {SearchTooLongError} When a word's regular expression takes too long.
   */
  match(
    said: string,
    earlier: PhraseMatch["captures"] = {},
  ): PhraseMatch | undefined {
    if (said === this.#text) return { score: EXACT, captures: earlier };
    const words = wordsOf(said);
    const captures: Record<string, string> = Object.assign(
      Object.create(null),
      earlier,
    );
    let score = 0;
    let at = 0;
    let next = 0;
    while (at < words.length && next < this.#words.length) {
      const word = words[at]!;
      const expected = this.#words[next]!;
      if (word === expected.text) {
        score += EQUAL_WORD;
        at++;
        next++;
        continue;
      }
      // Platypush fails with a word that it cannot read.
      if (expected.regex instanceof RegexError) return undefined;
      if (expected.regex.test(word)) {
        if (expected.measured instanceof RegexError) return undefined;
        if (expected.measured.find(word) !== "") {
          score += PATTERN_WORD;
          at++;
        }
        next++;
        continue;
      }
      const name = expected.capture;
      if (name === undefined) {
        score += SKIPPED_WORD;
        at++;
        continue;
      }
      const before = captures[name];
      captures[name] = before === undefined ? word : `${before} ${word}`;
      if (before === undefined) score += CAPTURE;
      const isLast = next === this.#words.length - 1 && at === words.length - 1;
      const following = this.#words[next + 1]?.text;
      if (isLast || following !== undefined && words[at + 1] === following) {
        next++;
      }
      at++;
    }
    return next === this.#words.length
      ? { score, captures: { ...captures } }
      : undefined;
  }
}

/**
 * Draws from a pattern what is in every text that it matches.
 *
 * @returns Lists of texts: what was said, folded by {@linkcode foldSaid},
 * contains one out of each. The list with the longest is first.
 */
export function textsIn(pattern: string): (readonly string[])[] {
  const lists = wordsOf(pattern)
    .filter((word) => word !== "" && captureOf(word) === undefined)
    .flatMap((word) => {
      // A word also matches itself, whatever it means as an expression.
      const itself = foldCase(word);
      return literalsOfWord(word)
        .map((literals) => [...new Set([...literals, itself])]);
    });
  return longestFirst(lists);
}

/** Makes one of all texts that are the same to a phrase and to what it contains. */
export function foldSaid(text: string): string {
  return foldCase(text.toLowerCase());
}

function literalsOfWord(word: string): (readonly string[])[] {
  try {
    return literalsIn(word);
  } catch (error) {
    if (error instanceof RegexError) return [[]];
    throw error;
  }
}

/** Reads the name in a word such as `${lights}`; a backslash before it makes it a text. */
function captureOf(word: string): string | undefined {
  return /^[^\\]*\$\{(.+?)\}/u.exec(word)?.[1];
}

// deno-lint-ignore no-control-regex -- to Python these are space, too
const SPACE = /[\t-\r\u001c-\u0020\u0085\p{Z}]+/u;

/** Splits a text as Platypush does; a text without a word is one empty word. */
function wordsOf(text: string): string[] {
  const words = text.toLowerCase().split(SPACE);
  if (words.length > 1 && words[0] === "") words.shift();
  if (words.length > 1 && words.at(-1) === "") words.pop();
  return words;
}

function regexOf(pattern: string): PythonRegex | RegexError {
  try {
    return new PythonRegex(pattern);
  } catch (error) {
    if (error instanceof RegexError) return error;
    throw error;
  }
}
