const encoder = new TextEncoder();

/**
 * Writes a line to stdout. Unlike `console.log` it tells when nobody reads any
 * more, as after `| head -1`.
 *
 * @param text The line, without its end.
 * @throws {Deno.errors.BrokenPipe} Nobody reads any more; `program` takes that
 * for the end.
 * @throws {Error} It cannot be written, as on a full disk.
 *
 * @example
 * ```ts
 * import { printLine } from "@platypush/redis/cli";
 *
 * await printLine(JSON.stringify({ temperature: 21.5 }));
 * ```
 */
export async function printLine(text: string): Promise<void> {
  await printText(`${text}\n`);
}

/** Writes lines to stdout; see {@linkcode printLine}. */
export async function printLines(lines: readonly string[]): Promise<void> {
  for (const line of lines) await printLine(line);
}

/** Writes a line for people to stderr, beside the data on stdout. */
export function note(text: string): void {
  tell(`${printable(text)}\n`);
}

/**
 * Writes a text for people to stderr as it is. Where that is impossible, as on a
 * full disk or when nobody reads any more, the work goes on without.
 */
export function tell(text: string): void {
  try {
    Deno.stderr.writeSync(encoder.encode(text));
  } catch {
    // There is no other place to say it.
  }
}

/** Writes a text to stdout as it is; see {@linkcode printLine}. */
export async function printText(text: string): Promise<void> {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) {
      at += await Deno.stdout.write(bytes.subarray(at));
    }
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw error;
    throw new Error(
      `Cannot write to the standard output: ${
        (error as Error).message
      }; give it a place that can be written to, and start again`,
      { cause: error },
    );
  }
}

/**
 * Control characters, which a terminal may obey, and what makes text invisible
 * or turns its direction around. Joiners, of which emoji are made, are left.
 */
const UNPRINTABLE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_C}\u200B\u2060-\u206F\uFEFF]/gu;

/**
 * The characters that JSON leaves unescaped although a terminal may obey them, or
 * turn the direction of what follows.
 */
const UNPRINTABLE_IN_JSON = /[\u007F-\u009F\u2028\u2029\p{Bidi_C}]/gu;

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

/** Writes a value as JSON on one line that is fit for a terminal. */
export function jsonLine(value: unknown): string {
  return printableJson(JSON.stringify(value));
}

/** The place that lines for people go to: a terminal, or whatever else. */
export interface Screen {
  /** The columns that a line may take; one that goes elsewhere is whole. */
  readonly width: number;
  /** Colours what goes there, where that is wanted. */
  readonly paint: Paint;
}

/** Paints a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

/** The styles in use. */
export type Style =
  | "bold"
  | "dim"
  | "cyan"
  | "green"
  | "magenta"
  | "red"
  | "yellow";

/** The codes of each style (ECMA-48), here since `node:util` takes its time to load. */
const CODES: Readonly<Record<Style, readonly [start: number, end: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  magenta: [35, 39],
  cyan: [36, 39],
};

/**
 * Chooses how to paint.
 *
 * @param hasColor Whether there may be colours.
 */
export function painter(hasColor: boolean): Paint {
  return hasColor
    ? (style, text) => {
      const [start, end] = CODES[style];
      return `\x1b[${start}m${text}\x1b[${end}m`;
    }
    : (_style, text) => text;
}

/**
 * Tells how many columns a line on the terminal has; 80 where that is unknown.
 */
export function terminalWidth(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80; // There is no terminal.
  }
}
