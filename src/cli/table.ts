import type { Paint } from "./paint.ts";

/** A column of a table. */
export interface Column {
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
    Math.max(title.length, ...rows.map((row) => row[at]!.length))
  );
  const line = (texts: readonly string[]): string =>
    texts.map((text, at) =>
      columns[at]!.align === "right"
        ? text.padStart(widths[at]!)
        : text.padEnd(widths[at]!)
    ).join("  ").trimEnd();
  const titles = line(columns.map(({ title }) => title));
  return [paint("bold", titles), ...rows.map(line)];
}
