import measure from "fast-string-truncated-width";
import type { Paint } from "./print.ts";

/** Finds the signs that people see, which may have several code points. */
const segmenter = new Intl.Segmenter();

/**
 * Tells how many columns of a terminal a text takes: two for 漢 and most emoji,
 * none for an accent that stands above the letter before it.
 *
 * @param text Fit for a terminal, and without colours.
 */
export function displayWidth(text: string): number {
  return measure(text).width;
}

/**
 * Cuts off what does not fit, and puts an ellipsis there.
 *
 * @param text Fit for a terminal, and without colours.
 * @param width How many columns of a terminal it may take.
 */
export function shorten(text: string, width: number): string {
  if (width < 1) return "";
  if (displayWidth(text) <= width) return text;
  // The library cuts mixed texts a column too late.
  let end = 0;
  let left = width - 1;
  for (const { segment, index } of segmenter.segment(text)) {
    left -= displayWidth(segment);
    if (left < 0) break;
    end = index + segment.length;
  }
  return `${text.slice(0, end)}…`;
}

/**
 * Makes a text as wide as a column.
 *
 * @param text Fit for a terminal, and without colours.
 * @param width How many columns of a terminal it is to take.
 * @param align The side on which it is. Default: `left`.
 */
export function pad(
  text: string,
  width: number,
  align: "left" | "right" = "left",
): string {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? space + text : text + space;
}

/** A column of a table. */
interface Column {
  /** The title, which says what is in it. */
  readonly title: string;
  /** The side on which shorter texts are. Default: `left`. */
  readonly align?: "left" | "right";
}

/**
 * Lays out texts in columns, each as wide as its widest text.
 *
 * @param rows A text for each column; fit for a terminal, and without colours.
 * @returns The lines, the titles first.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): string[] {
  const widths = columns.map(({ title }, at) =>
    Math.max(title.length, ...rows.map((row) => displayWidth(row[at]!)))
  );
  const line = (texts: readonly string[]): string =>
    texts.map((text, at) => pad(text, widths[at]!, columns[at]!.align))
      .join("  ").trimEnd();
  const titles = line(columns.map(({ title }) => title));
  return [paint("bold", titles), ...rows.map(line)];
}
