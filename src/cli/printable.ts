/**
 * Control characters, which a terminal may obey, and what makes text invisible
 * or turns its direction around. Joiners, of which emoji are made, are left.
 */
const UNPRINTABLE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u200B\u200E\u200F\u202A-\u202E\u2060-\u206F\uFEFF]/gu;

/** The characters that JSON leaves unescaped although a terminal may obey them. */
const UNPRINTABLE_IN_JSON = /[\u007F-\u009F\u2028\u2029]/g;

/**
 * Makes a text from elsewhere fit for a terminal: no escape sequence in it has
 * any effect.
 *
 * @returns One line, with `\u{1b}` and the like in place of control characters.
 */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/**
 * Makes JSON fit for a terminal; it says the same.
 *
 * @param json JSON without line breaks, as `JSON.stringify` writes it.
 */
export function printableJson(json: string): string {
  return json.replace(
    UNPRINTABLE_IN_JSON,
    (character) =>
      `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
