/**
 * Shows what the benchmarks have measured last: for each file in
 * `bench/results` a table in `docs/performance.md` and, for each unit in it that
 * several rows share, a bar chart in `docs/plots`.
 *
 *     deno task bench:plots
 */
// deno-lint-ignore-file no-console
import * as echarts from "echarts";
import type { Result, Row } from "./report.ts";

const RESULTS = new URL("./results/", import.meta.url);
const PAGE = new URL("../docs/performance.md", import.meta.url);
const PLOTS = new URL("../docs/plots/", import.meta.url);

/** What the rows with these units show, as in the names of the files. */
const SUBJECTS: Record<string, string> = {
  "messages/s": "rates",
  "µs": "latencies",
  "s": "times",
  "packets": "packets",
  "bytes": "bytes",
};

/** The findings about us and our peers, each by one measure: N times as much as the bare client. */
const FINDINGS: Record<string, (times: string) => string> = {
  "at rest, processor": (times) =>
    `At rest: ${times} × the bare client's processor time`,
  "at rest, commands": (times) =>
    `At rest, with its heartbeat: ${times} × the bare client's commands`,
  "at rest, memory": (times) =>
    `In memory: ${times} × what the bare client takes`,
  "a message a second, processor": (times) =>
    `A message a second: ${times} × the bare client's processor time`,
};
const OURS = "#2f6fde";
const PEER = "#a9adb5";
/** Narrow enough for a phone. */
const PEER_WIDTH = 480;

const WIDTH = 860;
const LABELS = 380;
const BAR = 36;
const MARGIN = 90;

const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A table of the rows, and where and when they were measured. */
function tabulate({ date, machine, versions, rows }: Result): string {
  const lines = ["| what | figure | compared with | asked for |", "|-|-|-|-|"];
  for (const { what, value, unit, ratio } of rows) {
    const comparison = ratio === undefined
      ? ""
      : `${format.format(ratio.value)} × ${ratio.to}`;
    const figure = `${format.format(value)} ${unit}`;
    lines.push(
      `| ${what} | ${figure} | ${comparison} | ${ratio?.must ?? ""} |`,
    );
  }
  const used = Object.entries(versions).map((entry) => entry.join(" "));
  const where = [`${machine.cores} cores`, machine.cpu, ...used].join(", ");
  return `${lines.join("\n")}\n\n${date.slice(0, 10)}: ${where}.`;
}

/** A bar for each row, the first one on top. */
function draw(title: string, unit: string, rows: readonly Row[]): string {
  const chart = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: MARGIN + BAR * rows.length,
  });
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

/** One measure of ours, in colour, and of the peers, in grey. */
function compare(title: string, rows: readonly Row[]): string {
  const chart = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: PEER_WIDTH,
    height: MARGIN + BAR * rows.length,
  });
  const unit = rows[0]!.unit;
  chart.setOption({
    animation: false,
    // A ground of its own, so that a dark page does not swallow the text.
    backgroundColor: "#ffffff",
    title: { text: title, subtext: unit, textStyle: { fontSize: 15 } },
    grid: { left: 130, right: 70, top: 64, bottom: 10 },
    xAxis: { type: "value", show: false },
    yAxis: {
      type: "category",
      inverse: true,
      data: rows.map(({ what }) => what.replace(/:.*/, "")),
      axisLabel: { fontSize: 14, color: "#222222" },
      axisTick: { show: false },
    },
    series: [{
      type: "bar",
      data: rows.map(({ what, value }) => ({
        value,
        itemStyle: { color: what.startsWith("ours:") ? OURS : PEER },
      })),
      label: {
        show: true,
        position: "right",
        fontSize: 14,
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
let page = await Deno.readTextFile(PAGE);
for await (const { name } of Deno.readDir(RESULTS)) {
  const result: Result = JSON.parse(
    await Deno.readTextFile(new URL(name, RESULTS)),
  );
  const { date, machine, rows } = result;
  const benchmark = name.replace(".json", "");
  page = page.replace(
    new RegExp(`(<!-- ${benchmark} -->\n)[^]*?(<!-- end -->)`),
    (_, start, end) => `${start}\n${tabulate(result)}\n\n${end}`,
  );
  for (const [measure, finding] of Object.entries(FINDINGS)) {
    const found = rows.filter(({ what }) => what.endsWith(`: ${measure}`));
    const ours = found.find(({ what }) => what.startsWith("ours:"));
    if (ours?.ratio === undefined) continue;
    const title = finding(format.format(ours.ratio.value));
    const slug = measure.replaceAll(/\W+/g, "-");
    const file = new URL(`${benchmark}-${slug}.svg`, PLOTS);
    await Deno.writeTextFile(file, compare(title, found));
    console.log(file.pathname);
  }
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
await Deno.writeTextFile(PAGE, page);
await new Deno.Command(Deno.execPath(), {
  args: ["fmt", "--quiet", PAGE.pathname],
}).output();
