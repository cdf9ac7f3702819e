/**
 * Shows what the benchmarks have measured last: for each file in
 * `bench/results` a table in `docs/performance.md`, where that has room for one,
 * and a bar chart in `docs/plots` for each picture that the page shows.
 *
 *     deno task bench:plots
 */
// deno-lint-ignore-file no-console
import * as echarts from "echarts";
import { asked, type Result, type Row } from "./report.ts";

const RESULTS = new URL("./results/", import.meta.url);
const PAGE = new URL("../docs/performance.md", import.meta.url);
const PLOTS = new URL("../docs/plots/", import.meta.url);

/** What the rows with these units show, as in the names of the files. */
const SUBJECTS: Record<string, string> = {
  "messages/s": "rates",
  "µs": "latencies",
  "s": "times",
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
/** What one would use instead of us. */
const PEERS =
  /^(bare|streams|BullMQ|bee|redis-py|python|Avahi|Broadcast|Worker|without|idle queue, BLPOP)/;
/** Narrow enough for a phone. */
const WIDTH = 480;
const LABELS = 190;

const BAR = 40;
const MARGIN = 90;

const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A table of the rows, and where and when they were measured. */
function tabulate({ date, machine, versions, rows }: Result): string {
  const lines = ["| what | figure | compared with | asked for |", "|-|-|-|-|"];
  for (const row of rows) {
    const { what, value, unit, ratio } = row;
    const comparison = ratio === undefined
      ? ""
      : `${format.format(ratio.value)} × ${ratio.to}`;
    const figure = `${format.format(value)} ${unit}`;
    lines.push(`| ${what} | ${figure} | ${comparison} | ${asked(row)} |`);
  }
  const used = Object.entries(versions).map((entry) => entry.join(" "));
  const where = [`${machine.cores} cores`, machine.cpu, ...used].join(", ");
  return `${lines.join("\n")}\n\n${date.slice(0, 10)}: ${where}.`;
}

/** A bar for each row, the first one on top: ours in colour, the others in grey. */
function draw(title: string, rows: readonly Row[]): string {
  const height = MARGIN + BAR * rows.length;
  const chart = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height,
  });
  chart.setOption({
    animation: false,
    // A ground of its own, so that a dark page does not swallow the text.
    backgroundColor: "#ffffff",
    title: {
      text: inLines(title),
      subtext: rows[0]!.unit,
      left: 10,
      textStyle: { fontSize: 15 },
    },
    grid: { left: LABELS, right: 80, top: MARGIN - 10, bottom: 10 },
    xAxis: { type: "value", show: false },
    yAxis: {
      type: "category",
      inverse: true,
      data: rows.map(({ what }) => what),
      axisLabel: {
        fontSize: 12,
        color: "#222222",
        width: LABELS - 45,
        overflow: "break",
      },
      axisTick: { show: false },
    },
    series: [{
      type: "bar",
      data: rows.map(({ what, value }) => ({
        value,
        itemStyle: { color: PEERS.test(what) ? PEER : OURS },
      })),
      label: {
        show: true,
        position: "right",
        fontSize: 13,
        formatter: ({ value }: { value: unknown }) =>
          format.format(Number(value)),
      },
    }],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** Breaks a title where a line is full. */
function inLines(title: string): string {
  return title.replaceAll(/(.{1,46})(?: |$)/g, "$1\n").trim();
}

/** Draws a picture, if the page shows it: what it says of it is the title. */
async function picture(
  name: string,
  rows: readonly Row[],
  title?: string,
): Promise<void> {
  const shown = new RegExp(`!\\[([^\\]]*)\\]\\(plots/${name}\\.svg\\)`).exec(
    page,
  );
  if (shown === null) return;
  const file = new URL(`${name}.svg`, PLOTS);
  await Deno.writeTextFile(file, draw(title ?? shown[1]!, rows));
  console.log(file.pathname);
}

await Deno.mkdir(PLOTS, { recursive: true });
let page = await Deno.readTextFile(PAGE);
for await (const { name } of Deno.readDir(RESULTS)) {
  const result: Result = JSON.parse(
    await Deno.readTextFile(new URL(name, RESULTS)),
  );
  const { rows } = result;
  const benchmark = name.replace(".json", "");
  page = page.replace(
    new RegExp(`(<!-- ${benchmark} -->\n)[^]*?(<!-- end -->)`),
    (_, start, end) => `${start}\n${tabulate(result)}\n\n${end}`,
  );
  for (const [measure, finding] of Object.entries(FINDINGS)) {
    const found = rows.filter(({ what }) => what.endsWith(`: ${measure}`));
    const ours = found.find(({ what }) => what.startsWith("ours:"));
    if (ours === undefined) continue;
    // Where the bare client has taken nothing, there is no ratio to tell.
    const title = ours.ratio && finding(format.format(ours.ratio.value));
    const slug = measure.replaceAll(/\W+/g, "-");
    const named = found.map((row) => ({
      ...row,
      what: row.what.replace(/:.*/, ""),
    }));
    await picture(`${benchmark}-${slug}`, named, title);
  }
  // A figure that is compared with two others has two rows.
  const unique = new Map(rows.map((row) => [row.what, row]));
  const units = Map.groupBy(unique.values(), ({ unit }) => unit);
  for (const [unit, rows] of units) {
    const subject = SUBJECTS[unit];
    if (subject !== undefined) await picture(`${benchmark}-${subject}`, rows);
  }
}
await Deno.writeTextFile(PAGE, page);
await new Deno.Command(Deno.execPath(), {
  args: ["fmt", "--quiet", PAGE.pathname],
}).output();
