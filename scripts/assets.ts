/**
 * Makes the module with the scripts and the style of the dashboard's pages, from
 * `src/dashboard/browser`: one text each, so that whoever imports the package
 * needs no build step, no permission to read files, and no network.
 *
 * ```sh
 * deno task assets
 * ```
 *
 * @module
 */

const BROWSER = new URL("../src/dashboard/browser/", import.meta.url);
const TARGET = new URL("../src/dashboard/assets.ts", import.meta.url);

/** Writes the module's text. */
export async function assetsModule(): Promise<string> {
  const script = await bundle(new URL("page.ts", BROWSER));
  const charts = await bundle(new URL("charts.ts", BROWSER));
  const style = minifyStyle(
    await Deno.readTextFile(new URL("style.css", BROWSER)),
  );
  return `/**
 * The scripts and the style of the pages, made by \`deno task assets\` from
 * \`src/dashboard/browser\`. The one for the lines contains uPlot, which draws
 * them: Copyright (c) 2022 Leon Sorokin, MIT License.
 *
 * @module
 */

/** The script of every page. */
export const SCRIPT: string =
  ${JSON.stringify(script)};

/** The script for the lines, which pages that have some load when they are painted. */
export const CHARTS: string =
  ${JSON.stringify(charts)};

/** The style. */
export const STYLE: string =
  ${JSON.stringify(style)};
`;
}

async function bundle(entry: URL): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=browser", "--minify", entry.href],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) {
    throw new Error(`Cannot bundle the script: ${decoder.decode(stderr)}`);
  }
  return decoder.decode(stdout).trim();
}

/** Leaves out comments and line breaks, which is what there is to gain. */
function minifyStyle(style: string): string {
  return style.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\s+/g, " ")
    .replace(/ ?([{};,]) ?/g, "$1").replace(/: /g, ":").trim();
}

if (import.meta.main) await Deno.writeTextFile(TARGET, await assetsModule());
