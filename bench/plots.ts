/**
 * Draws what the benchmarks have measured last: for each file in
 * `bench/results` and each unit in it that several rows share, a bar chart in
 * `docs/plots`.
 *
 *     deno task bench:plots
 */
// deno-lint-ignore-file no-console
import * as echarts from "echarts";
import type { Result, Row } from "./report.ts";

const RESULTS = new URL("./results/", import.meta.url);
const PLOTS = new URL("../docs/plots/", import.meta.url);

/** What the rows with these units show, as in the names of the files. */
const SUBJECTS: Record<string, string> = {
  "messages/s": "rates",
  "µs": "latencies",
  "s": "times",
  "packets": "packets",
  "bytes": "bytes",
};

const WIDTH = 860;
const LABELS = 380;
const BAR = 36;
const MARGIN = 90;

/** A bar for each row, the first one on top. */
function draw(title: string, unit: string, rows: readonly Row[]): string {
  const chart = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: MARGIN + BAR * rows.length,
  });
  const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: { text: `${title}, ${unit}`, textStyle: { fontSize: 14 } },
    grid: { left: LABELS, right: 80, top: 40, bottom: 40 },
    xAxis: { type: "value", axisLabel: { hideOverlap: true } },
    yAxis: {
      type: "category",
      inverse: true,
      data: rows.map(({ what }) => what),
      axisLabel: { width: LABELS - 90, overflow: "break" },
    },
    series: [{
      type: "bar",
      data: rows.map(({ value }) => value),
      label: {
        show: true,
        position: "right",
        formatter: ({ value }: { value: unknown }) =>
          format.format(Number(value)),
      },
    }],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

await Deno.mkdir(PLOTS, { recursive: true });
for await (const { name } of Deno.readDir(RESULTS)) {
  const { date, machine, rows }: Result = JSON.parse(
    await Deno.readTextFile(new URL(name, RESULTS)),
  );
  const benchmark = name.replace(".json", "");
  // A figure that is compared with two others has two rows.
  const unique = new Map(rows.map((row) => [row.what, row]));
  const units = Map.groupBy(unique.values(), ({ unit }) => unit);
  for (const [unit, rows] of units) {
    const subject = SUBJECTS[unit];
    if (subject === undefined || rows.length < 2) continue;
    const title = `${benchmark}, ${date.slice(0, 10)}, ${machine.cores} cores`;
    const file = new URL(`${benchmark}-${subject}.svg`, PLOTS);
    await Deno.writeTextFile(file, draw(title, unit, rows));
    console.log(file.pathname);
  }
}
