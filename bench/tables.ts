import { asked, type Result, type Row } from "./report.ts";

/** A figure, whose it is, and what was measured. */
interface Cell {
  /** The row of a table it is in. */
  readonly row: string;
  /** The column of a table it is in. */
  readonly column: string;
  readonly unit: string;
  /** The same figure, once for each that it is compared with. */
  readonly rows: Row[];
}

const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/**
 * Makes tables of the figures, and says where and when they were measured.
 *
 * A row whose name is "contender: measure" comes into a table with a line for
 * each contender. There is one for all measures that begin alike, such as "at
 * rest, processor" and "at rest, memory", and one for those that stand alone.
 *
 * @param isTurned Makes one table, with a line for each measure.
 */
export function tabulate(
  { date, machine, versions, rows }: Result,
  isTurned: boolean,
): string {
  const used = Object.entries(versions).map((entry) => entry.join(" "));
  const where = [`${machine.cores} cores`, machine.cpu, ...used].join(", ");
  return [
    ...isTurned ? [table("", turned(rows))] : grouped(rows),
    `${date.slice(0, 10)}: ${where}.`,
  ].join("\n\n");
}

/** Parts "contender: measure"; what is no such thing is a measure of nobody. */
function partsOf(what: string): [contender: string, measure: string] {
  const at = what.lastIndexOf(": ");
  return at < 0 ? ["", what] : [what.slice(0, at), what.slice(at + 2)];
}

function turned(rows: readonly Row[]): Cell[] {
  return rows.map((row) => {
    const [column, measure] = partsOf(row.what);
    return { row: measure, column, unit: row.unit, rows: [row] };
  });
}

/** Makes a table of measures that begin alike, and one of those that stand alone. */
function grouped(rows: readonly Row[]): string[] {
  const measures = [...Map.groupBy(rows, ({ what }) => partsOf(what)[1])];
  const shared = measures.filter(([, { length }]) => length > 1);
  const alike = Map.groupBy(shared, ([measure]) => beginningOf(measure));
  const groups = Map.groupBy(shared, ([measure]) => {
    const beginning = beginningOf(measure);
    return alike.get(beginning)!.length > 1 ? beginning : "";
  });
  const tables = [...groups].map(([group, found]) =>
    table(
      group,
      found.flatMap(([measure, rows]) => {
        const rest = measure.slice(group.length).replace(/^, /, "");
        return cells(rest || measure, rows);
      }),
    )
  );
  // What only one was measured by stands beside nothing.
  const others = measures.filter(([, { length }]) => length === 1);
  return others.length === 0
    ? tables
    : [...tables, list(others.flatMap(([, rows]) => rows))];
}

function beginningOf(measure: string): string {
  return measure.split(", ", 1)[0]!;
}

/** Makes a column of the rows of one measure. */
function cells(column: string, rows: readonly Row[]): Cell[] {
  const byContender = Map.groupBy(rows, ({ what }) => partsOf(what)[0]);
  return [...byContender].map(([row, rows]) => {
    return { row, column, unit: rows[0]!.unit, rows };
  });
}

/** Gives what most figures are compared with. */
function baseOf(cells: readonly Cell[]): string | undefined {
  const compared = cells.flatMap(({ rows }) => rows)
    .flatMap(({ ratio }) => ratio?.to ?? []);
  const counts = Map.groupBy(compared, (to) => to);
  return [...counts].toSorted(([, a], [, b]) => b.length - a.length)[0]?.[0];
}

function table(title: string, cells: readonly Cell[]): string {
  const base = baseOf(cells);
  const columns = new Map(cells.map(({ column, unit }) => [column, unit]));
  const [unit, ...others] = new Set(columns.values());
  const hasOne = others.length === 0;
  const corner = [title, base && `× ${base}`, hasOne && `in ${unit}`]
    .filter(Boolean).join(", ");
  const heads = [...columns].map(([column, unit]) =>
    hasOne || column === unit ? column : `${column}, ${unit}`
  );
  const lines = [[corner, ...heads], Array(heads.length + 1).fill("-")];
  const contenders = [...Map.groupBy(cells, ({ row }) => row)];
  const [ours = [], peers = []] = [true, false].map((isOurs) =>
    contenders.filter(([name]) => name.startsWith("ours") === isOurs)
  );
  for (const [name, found] of [...ours, ...peers]) {
    const texts = columns.keys().map((column) => {
      const cell = found.find((one) => one.column === column);
      return cell === undefined ? "" : show(cell.rows, base);
    });
    lines.push([name, ...texts]);
  }
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

/** Shows a figure, how it compares, and what is asked of it; bold where that is missed. */
function show(rows: readonly Row[], base: string | undefined): string {
  const figure = format.format(rows[0]!.value);
  const remarks = rows.map((row) => remarkOn(row, base)).filter(Boolean);
  const text = remarks.length === 0
    ? figure
    : `${figure} (${remarks.join("; ")})`;
  return text.includes("missed") ? `**${text}**` : text;
}

/** Says what is asked of a figure, how it compares, and what is asked of that. */
function remarkOn(row: Row, base?: string): string {
  const { ratio } = row;
  const to = ratio?.to === base ? "" : ` ${ratio?.to}`;
  return [
    asked(row),
    ratio && `${format.format(ratio.value)} ×${to}`,
    asked(ratio),
  ].filter(Boolean).join(", ");
}

/** A table of figures that stand beside nothing. */
function list(rows: readonly Row[]): string {
  const lines = rows.map((row) =>
    `| ${row.what} | ${format.format(row.value)} ${row.unit} | ${
      remarkOn(row)
    } |`
  );
  return ["| what | figure | beside, asked for |", "|-|-|-|", ...lines]
    .join("\n");
}
