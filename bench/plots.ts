/**
 * Shows what the benchmarks have measured last: for each file in
 * `bench/results` a table in `docs/performance.md`, where that has room for one,
 * and the pictures whose figures are there. What a picture says on top is made
 * from its figures.
 *
 *     deno task bench:plots
 */
// deno-lint-ignore-file no-console
import { asked, type Result, type Row } from "./report.ts";

const RESULTS = new URL("./results/", import.meta.url);
const PAGE = new URL("../docs/performance.md", import.meta.url);
const PLOTS = new URL("../docs/plots/", import.meta.url);

/** A picture of one measure: a bar for each contender. */
interface Picture {
  /** The part of the page that it belongs to. */
  readonly part: string;
  /** The file of `bench/results` that has its figures. */
  readonly benchmark: string;
  /** What is measured, as the rows name it behind the contender. */
  readonly measure: string;
  /** The peer that the finding is about. */
  readonly peer: string;
  /** The figures' unit, in words. */
  readonly unit: string;
  /** The finding, from our figure as a multiple of the peer's. */
  readonly finding: (times: string) => string;
  /** Those who are not shown. */
  readonly without?: RegExp;
}

const BARE = "bare client";
const STREAMS = "streams by hand";
/** Those in rare places stand in the table. */
const without = /queues|workers|killed|without end/;

const PICTURES: readonly Picture[] = [
  {
    part: "at rest",
    benchmark: "peers",
    measure: "at rest, processor",
    unit: "ms of processor time a minute",
    peer: BARE,
    finding: (times) =>
      `At rest: ${times} as much processor time as the bare client`,
    without: /queues|workers|killed/,
  },
  {
    part: "at rest",
    benchmark: "peers",
    measure: "at rest, memory",
    unit: "MiB resident, at rest",
    peer: BARE,
    finding: (times) => `In memory: ${times} as much as the bare client`,
    without,
  },
  {
    part: "a message a second",
    benchmark: "peers",
    measure: "a message a second, processor",
    unit: "ms of processor time a minute",
    peer: STREAMS,
    finding: (times) =>
      `A message a second: ${times} as much processor time as streams by hand`,
    without,
  },
  {
    part: "a message a second",
    benchmark: "peers",
    measure: "a message a second, latency, median",
    unit: "µs from being sent to being handled, median",
    peer: STREAMS,
    finding: (times) =>
      `A message a second: handled after ${times} as long as by streams`,
    without,
  },
  {
    part: "start",
    benchmark: "peers",
    measure: "start",
    unit: "ms until it waits for messages",
    peer: BARE,
    finding: (times) =>
      `From an empty process to the first wait: ${times} as long as the bare client`,
    without,
  },
  {
    part: "a thousand a second",
    benchmark: "load",
    measure: "1,000/s, consumer",
    unit: "µs of processor time a message",
    peer: STREAMS,
    finding: (times) =>
      `A thousand a second: ${times} as much processor time as streams by hand`,
  },
  {
    part: "a thousand a second",
    benchmark: "load",
    measure: "1,000/s, latency, median",
    unit: "µs from being sent to being handled, median",
    peer: STREAMS,
    finding: (times) =>
      `A thousand a second: handled after ${times} as long as by streams`,
  },
  {
    part: "backlog",
    benchmark: "redis",
    measure: "backlog, warm",
    unit: "messages a second",
    peer: BARE,
    finding: (times) =>
      `A backlog: ${times} as many messages a second as the bare client`,
  },
  {
    part: "backlog",
    benchmark: "redis",
    measure: "backlog, fresh",
    unit: "messages a second",
    peer: BARE,
    finding: (times) =>
      `100,000 messages, from a fresh process: ${times} as fast as the bare client`,
  },
  {
    part: "large messages",
    benchmark: "load",
    measure: "64 KiB, Redis",
    unit: "µs of the server's processor time a message",
    peer: BARE,
    finding: (times) =>
      `Messages of 64 KiB: ${times} as much of the server's time as BLMPOP`,
    without: /redis-py/,
  },
  {
    part: "threads",
    benchmark: "bus",
    measure: "to a worker",
    unit: "messages a second",
    peer: "Worker.postMessage",
    finding: (times) =>
      `To a worker: ${times} as many messages a second as Worker.postMessage`,
  },
  {
    part: "threads",
    benchmark: "bus",
    measure: "there and back, median",
    unit: "µs, median",
    peer: "Worker.postMessage",
    finding: (times) =>
      `To a worker and back: ${times} as long as by Worker.postMessage`,
  },
  {
    part: "network",
    benchmark: "zeroconf",
    measure: "from registering to being seen, median of 5",
    unit: "seconds from registering to being seen",
    peer: "Avahi",
    finding: (times) =>
      `A new service is seen after ${times} as long as Avahi's`,
  },
];

/** What contenders are called on a picture, where their name is short. */
const LABELS: Readonly<Record<string, string>> = {
  "ours": "@platypush/redis",
  "bare client": "bare client (BLMPOP)",
  "streams by hand": "Redis Streams by hand",
};

const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const two = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

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

/** Narrow enough for a phone to show it as it is. */
const WIDTH = 360;
const LINE = 20;
const BAR = 40;

/**
 * Draws a bar below the name of each contender, ours in colour and the others in
 * grey. It has a ground of its own, dark where the reader's screen is.
 */
function draw(title: string, unit: string, rows: readonly Row[]): string {
  const most = Math.max(...rows.map(({ value }) => value));
  const lines = title.replaceAll(/(.{1,38})(?: |$)/g, "$1\n").trim().split(
    "\n",
  );
  const top = 24 + LINE * lines.length;
  const height = top + 18 + BAR * rows.length;
  const right = WIDTH - 12;
  const bars = rows.flatMap(({ what, value }, at) => {
    const y = top + 26 + BAR * at;
    const width = Math.max(1, (WIDTH - 24) * value / most).toFixed(1);
    const kind = what.startsWith("ours") ? "ours" : "peer";
    const name = LABELS[what] ?? what.replace(/^ours, /, "… ");
    return [
      `<text x="12" y="${y}">${name}</text>`,
      `<text x="${right}" y="${y}" class="value">${
        format.format(value)
      }</text>`,
      `<rect x="12" y="${
        y + 6
      }" width="${width}" height="10" rx="2" class="${kind}"/>`,
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>${title}</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: bold }
.unit { fill: #59636e }
.value { text-anchor: end; font-variant-numeric: tabular-nums }
.ground { fill: #ffffff }
.ours { fill: #2f6fde }
.peer { fill: #a9adb5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.unit { fill: #9198a1 }
.ground { fill: #0d1117 }
.ours { fill: #5b93f5 }
.peer { fill: #6e7681 }
}
</style>
<rect width="${WIDTH}" height="${height}" rx="6" class="ground"/>
${
    lines.map((line, at) =>
      `<text x="12" y="${24 + LINE * at}" class="title">${line}</text>`
    ).join("\n")
  }
<text x="12" y="${top}" class="unit">${unit}</text>
${bars.join("\n")}
</svg>
`;
}

/** Draws a picture, if its figures are there, and gives what shows it on the page. */
async function show(
  { benchmark, measure, unit, peer, finding, without }: Picture,
): Promise<string | undefined> {
  const suffix = `: ${measure}`;
  const found = results.get(benchmark)?.rows
    .filter(({ what }) => what.endsWith(suffix))
    .map((row) => ({ ...row, what: row.what.slice(0, -suffix.length) })) ?? [];
  // A figure that is compared with two others has two rows.
  const rows = [...new Map(found.map((row) => [row.what, row])).values()]
    .filter(({ what }) => !without?.test(what));
  const of = (name: string): number =>
    rows.find(({ what }) => what === name)?.value ?? 0;
  if (!(of("ours") > 0 && of(peer) > 0)) return undefined;
  const times = two.format(of("ours") / of(peer));
  const title = finding(times === "1" ? "just" : `${times}\u00a0×`);
  const name = `${benchmark}-${measure.toLowerCase().replaceAll(/\W+/g, "-")}`;
  await Deno.writeTextFile(
    new URL(`${name}.svg`, PLOTS),
    draw(title, unit, rows),
  );
  return `![${title}](plots/${name}.svg)`;
}

/** Puts something between a mark on the page and the end of what belongs to it. */
function put(mark: string, text: string): void {
  const place = new RegExp(`(<!-- ${mark} -->\n)[^]*?(<!-- end -->)`);
  page = page.replace(place, (_, start, end) => `${start}\n${text}\n\n${end}`);
}

let page = await Deno.readTextFile(PAGE);
const results = new Map<string, Result>();
for await (const { name } of Deno.readDir(RESULTS)) {
  const text = await Deno.readTextFile(new URL(name, RESULTS));
  results.set(name.replace(".json", ""), JSON.parse(text));
}
for (const [benchmark, result] of results) put(benchmark, tabulate(result));
await Deno.remove(PLOTS, { recursive: true });
await Deno.mkdir(PLOTS);
for (const [part, pictures] of Map.groupBy(PICTURES, ({ part }) => part)) {
  const shown = await Promise.all(pictures.map(show));
  put(`pictures: ${part}`, shown.filter((one) => one !== undefined).join("\n"));
  console.log(part, shown.filter((one) => one !== undefined).length);
}
await Deno.writeTextFile(PAGE, page);
await new Deno.Command(Deno.execPath(), {
  args: ["fmt", "--quiet", PAGE.pathname],
}).output();
