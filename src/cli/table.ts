import measure from "fast-string-truncated-width";
import type { Screen } from "./print.ts";

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
export function cutToWidth(text: string, width: number): string {
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

/** The columns between two of a table. */
const GAP = 2;
/** A column is made no narrower than that, before the last ones are cut off. */
const LEAST = 6;

/**
 * Makes the widest columns narrower until all fit, as far as that goes.
 *
 * @param width How many columns of a terminal there are for all of them.
 */
function fit(widths: readonly number[], width: number): readonly number[] {
  const all = [...widths];
  let excess = all.reduce((sum, each) => sum + each + GAP, -GAP) - width;
  for (; excess > 0; excess--) {
    const widest = Math.max(...all);
    if (widest <= LEAST) break;
    all[all.indexOf(widest)] = widest - 1;
  }
  return all;
}

/**
 * Lays out texts in columns, each as wide as its widest text where there is room.
 *
 * @param rows A text for each column; fit for a terminal, and without colours.
 * @param screen What is wider than it is cut off, of the widest columns first.
 * @returns The lines, the titles first.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { paint, width }: Screen,
): string[] {
  const whole = columns.map(({ title }, at) =>
    Math.max(title.length, ...rows.map((row) => displayWidth(row[at]!)))
  );
  const widths = fit(whole, width);
  const line = (texts: readonly string[]): string => {
    const cells = texts.map((text, at) =>
      pad(cutToWidth(text, widths[at]!), widths[at]!, columns[at]!.align)
    );
    return cutToWidth(cells.join(" ".repeat(GAP)).trimEnd(), width);
  };
  const titles = line(columns.map(({ title }) => title));
  return [paint("bold", titles), ...rows.map(line)];
}
