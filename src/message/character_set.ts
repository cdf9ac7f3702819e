import { isSameCase, isWordCode, sameCase } from "./python_text.ts";

/** A part of a set: characters from one to another, or one of Python's classes. */
export type SetItem =
  | { readonly from: number; readonly to: number }
  | { readonly class: string };

/** Says what one character has to be. */
export interface CharacterSet {
  readonly kind: "set";
  readonly items: readonly SetItem[];
  readonly isNegated: boolean;
  readonly ignoresCase: boolean;
  readonly isAscii: boolean;
}

/** Makes the test of a character, by its number, out of a set. */
export function testOfSet(set: CharacterSet): (code: number) => boolean {
  const { items, isNegated, ignoresCase, isAscii } = set;
  const [first] = items;
  if (items.length === 1 && first !== undefined && "from" in first) {
    const { from, to } = first;
    if (!ignoresCase) {
      return (code) => (code >= from && code <= to) !== isNegated;
    }
    if (from === to) {
      return (code) => isSameCase(code, from, isAscii) !== isNegated;
    }
  }
  const has = (code: number): boolean =>
    items.some((item) =>
      "class" in item
        ? isOfClass(code, item.class, isAscii)
        : code >= item.from && code <= item.to
    );
  return ignoresCase
    ? (code) => sameCase(code, isAscii).some(has) !== isNegated
    : (code) => has(code) !== isNegated;
}

const DIGIT = /^\p{Nd}$/u;
const SPACE = /^[\x85\p{Z}]$/u;

function isOfClass(code: number, name: string, isAscii: boolean): boolean {
  const lower = name.toLowerCase();
  return isOfLower(code, lower, isAscii) === (name === lower);
}

function isOfLower(code: number, name: string, isAscii: boolean): boolean {
  if (name === "w") return isWordCode(code, isAscii);
  if (isAscii || code < 0x80) {
    return name === "d"
      ? code >= 0x30 && code <= 0x39
      : code === 0x20 || code >= 9 && code <= 13 ||
        !isAscii && code >= 0x1C && code <= 0x1F;
  }
  return (name === "d" ? DIGIT : SPACE).test(String.fromCodePoint(code));
}
