/** Says where a text is no Python literal, and what was expected there. */
export class PythonLiteralError extends SyntaxError {
  /** The class's name, as for every error. */
  override readonly name = "PythonLiteralError";

  /**
   * @param text The text; its one character at the offset is named, no more,
   * since there may be secrets in it.
   * @param offset Where it went wrong.
   * @param expected What would be right.
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
