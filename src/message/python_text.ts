const WORD = /^[\p{L}\p{N}_]$/u;

/** Tells whether a character, by its number, is one of a word to Python. */
export function isWordCode(code: number, isAscii: boolean): boolean {
  if (code < 0x80) {
    return code >= 0x61 && code <= 0x7A || code >= 0x41 && code <= 0x5A ||
      code >= 0x30 && code <= 0x39 || code === 0x5F;
  }
  return !isAscii && WORD.test(String.fromCodePoint(code));
}

/**
 * Makes one of all characters that only differ in case to Python's `re`, one
 * after the other: the capital i with a dot is an `i`, the final sigma a sigma, and
 * the long s an `s`.
 */
export function foldCase(text: string): string {
  return text.replaceAll("\u0130", "i").toLowerCase().toUpperCase();
}

/** Gives the same for all characters that only differ in case. */
function caseKey(code: number, isAscii: boolean): string | number {
  if (isAscii) return code >= 0x41 && code <= 0x5A ? code + 32 : code;
  return foldCase(String.fromCodePoint(code));
}

/** Tells whether two characters are one where the case is ignored. */
export function isSameCase(a: number, b: number, isAscii: boolean): boolean {
  return a === b || caseKey(a, isAscii) === caseKey(b, isAscii);
}

/** No character beyond has a case. */
const LAST_CASED = 0x1E943;
let variants: Map<string | number, number[]> | undefined;

/** Lists the characters that are one where the case is ignored. */
export function sameCase(code: number, isAscii: boolean): readonly number[] {
  if (isAscii) {
    if (code >= 0x80) return [code];
    const lower = caseKey(code, true) as number;
    return lower >= 0x61 && lower <= 0x7A ? [lower, lower - 32] : [code];
  }
  if (variants === undefined) {
    variants = new Map();
    for (let other = 0; other <= LAST_CASED; other++) {
      const key = caseKey(other, false);
      const list = variants.get(key);
      if (list === undefined) variants.set(key, [other]);
      else list.push(other);
    }
  }
  return variants.get(caseKey(code, false)) ?? [code];
}

const DIGITS = String.raw`\d(?:_?\d)*`;
const FLOAT = new RegExp(
  String.raw`^[\t-\r ]*([+-]?)(?:(${DIGITS}(?:\.(?:${DIGITS})?)?|\.${DIGITS})` +
    String.raw`((?:e[+-]?${DIGITS})?)|(inf(?:inity)?)|nan)[\t-\r ]*$`,
  "i",
);
const NOT_ASCII = /[\u0080-\u{10ffff}]/u;

/**
 * Reads a text as Python's `float` does: with space around it, `_` between
 * digits, digits of any script, `inf` and `nan`.
 *
 * @returns The number, or `undefined` if it is none to Python.
 */
export function parsePythonFloat(text: string): number | undefined {
  const match = FLOAT.exec(NOT_ASCII.test(text) ? toAscii(text) : text);
  if (match === null) return undefined;
  const [, sign, mantissa, exponent, infinite] = match;
  const factor = sign === "-" ? -1 : 1;
  if (infinite !== undefined) return factor * Infinity;
  if (mantissa === undefined) return NaN;
  return factor * Number((mantissa + exponent).replaceAll("_", ""));
}

/** Writes digits of other scripts, and their spaces, as ASCII. */
function toAscii(text: string): string {
  return text.replace(/[\u0080-\u{10ffff}]/gu, (character) => {
    if (/[\x85\p{Z}]/u.test(character)) return " ";
    return /\p{Nd}/u.test(character) ? String(digitOf(character)) : character;
  });
}

/** The value of a digit: the digits of a script are ten in a row. */
function digitOf(character: string): number {
  const code = character.codePointAt(0)!;
  let first = code;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(first - 1))) first--;
  return (code - first) % 10;
}

/**
 * Compares as Python's `==` does: `1 == True == 1.0`, `0.0 == -0.0`, lists and
 * dicts by what is in them; and whole numbers, of whatever size, by all their
 * digits.
 */
export function pythonEquals(a: unknown, b: unknown): boolean {
  if (typeof a === "object" && a !== null) {
    if (typeof b !== "object" || b === null) return false;
    if (Array.isArray(a)) {
      return Array.isArray(b) && a.length === b.length &&
        a.every((item, index) => pythonEquals(item, b[index]));
    }
    if (Array.isArray(b)) return false;
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length &&
      keys.every((key) =>
        Object.hasOwn(b, key) && pythonEquals(
          (a as Record<string, unknown>)[key],
          (b as Record<string, unknown>)[key],
        )
      );
  }
  const x = typeof a === "boolean" ? Number(a) : a;
  const y = typeof b === "boolean" ? Number(b) : b;
  const areNumbers = isNumeric(x) && isNumeric(y);
  // deno-lint-ignore eqeqeq -- only `==` compares a number with a big integer
  return areNumbers ? x == y : x === y;
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

/**
 * Writes a number as Python's `repr` of a float does: JavaScript differs in the
 * form of the exponent, in `.0`, and in what is not finite.
 */
export function formatPythonFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 16) {
    return Number.isInteger(value) ? `${value}.0` : String(value);
  }
  const sign = power < 0 ? "-" : "+";
  return `${mantissa}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}
