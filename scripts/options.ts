/**
 * Writes the tables of options into the README and the guides, from the rows
 * that the checks read. A table stands between two comments, `<!-- its name -->`
 * and `<!-- end -->`.
 *
 * @module
 */

import {
  BACKEND_OPTIONS,
  TOP_OPTIONS,
} from "../src/backend/backend_options.ts";
import { REQUEST_OPTIONS } from "../src/backend/message_sender.ts";
import { SERVICE_OPTIONS } from "../src/backend/service_advertiser.ts";
import { DASHBOARD_OPTIONS } from "../src/dashboard/dashboard_options.ts";
import { nameInFile, type Row } from "../src/options.ts";
import { REDIS_ARGUMENTS } from "../src/redis/redis_args.ts";

type Table = Readonly<Record<string, Row>>;

const ROOT = new URL("../", import.meta.url);
/** The pages that have tables. */
export const PAGES = [
  "README.md",
  "docs/configuration.md",
  "docs/dashboard.md",
  "docs/redis.md",
];

const TABLES: Readonly<Record<string, () => string[][]>> = {
  "options of a backend": () => optionTable("option", BACKEND_OPTIONS),
  "options of calls": () =>
    optionTable("option", { ...SERVICE_OPTIONS, ...REQUEST_OPTIONS }),
  "options of the dashboard": () => optionTable("option", DASHBOARD_OPTIONS),
  "arguments for Redis": () => optionTable("argument", REDIS_ARGUMENTS),
  "options outside of a file": () => sourceTable(),
};

function optionTable(title: string, rows: Table): string[][] {
  return [
    [title, "what it decides", "default"],
    ...Object.entries(rows).filter(([, { isIgnored }]) => !isIgnored)
      .map(([name, row]) => [
        [name, ...row.aliases ?? []].map((one) => `\`${one}\``).join(", "),
        row.description ?? "",
        defaultOf(row),
      ]),
  ];
}

function sourceTable(): string[][] {
  const top: readonly string[] = TOP_OPTIONS;
  const places: [string, Row][] = [
    ...Object.entries<Row>(BACKEND_OPTIONS).map((
      [name, row],
    ): [string, Row] => [
      `${top.includes(name) ? "" : "backend.redis: "}${nameInFile(name)}`,
      row,
    ]),
    ...Object.entries<Row>(REDIS_ARGUMENTS)
      .map(([name, row]): [string, Row] => [`redis_args: ${name}`, row]),
  ];
  return [
    ["in the file", "command line", "environment"],
    ...places.filter(([, { flag, variable }]) => flag ?? variable)
      .map(([place, { flag, variable }]) => [
        `\`${place}\``,
        flag ? `\`${flag.name}\`` : "",
        variable ? `\`${variable}\`` : "",
      ]),
  ];
}

/** Writes the default of an option, as it stands in tables and docstrings. */
export function defaultOf({ default: value, defaultText }: Row): string {
  if (defaultText !== undefined) return defaultText;
  if (value === undefined) return "none";
  return typeof value === "number"
    ? value.toLocaleString("en")
    : `\`${String(value)}\``;
}

/**
 * Puts the tables into a page.
 *
 * @param page The text of the page, with tables or without.
 * @returns The text with the tables of today, formatted.
 */
export async function withTables(page: string): Promise<string> {
  const filled = page.replace(
    /<!-- ([^>]+) -->\n[\s\S]*?<!-- end -->/g,
    (whole, name: string) => {
      const lines = TABLES[name]?.().map((cells) => `| ${cells.join(" | ")} |`);
      if (lines === undefined) return whole;
      const columns = lines[0]!.split(" | ").length;
      lines.splice(1, 0, `|${" --- |".repeat(columns)}`);
      return `<!-- ${name} -->\n\n${lines.join("\n")}\n\n<!-- end -->`;
    },
  );
  const fmt = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await new Blob([filled]).stream().pipeTo(fmt.stdin);
  const { stdout } = await fmt.output();
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  for (const name of PAGES) {
    const url = new URL(name, ROOT);
    await Deno.writeTextFile(
      url,
      await withTables(await Deno.readTextFile(url)),
    );
  }
}
