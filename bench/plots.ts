/**
 * Shows what the benchmarks have measured last: for each file in
 * `bench/results` tables in `bench/README.md`, where that has room for some, and
 * in `docs/performance.md` the pictures whose figures are there. What a picture
 * says on top is made from its figures.
 *
 *     deno task bench:plots
 */
// deno-lint-ignore-file no-console
import { STREAMS } from "./peers/process.ts";
import type { Result, Row } from "./report.ts";
import { tabulate } from "./tables.ts";

const RESULTS = new URL("./results/", import.meta.url);
const TABLES = new URL("./README.md", import.meta.url);
const GUIDE = new URL("../docs/performance.md", import.meta.url);
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
  /** The finding, with what {@linkcode difference} says of our figure. */
  readonly finding: (difference: string) => string;
  /** What less and more of it are called. */
  readonly words?: readonly [less: string, more: string];
  /** Those who are not shown. */
  readonly without?: RegExp;
}

const BARE = "bare client";
/** Those in rare places stand in the table. */
const without = /queues|workers|killed|without end/;

const PICTURES: readonly Picture[] = [
  {
    part: "at rest",
    benchmark: "peers",
    measure: "at rest, processor",
    unit: "ms of processor time a minute",
    peer: BARE,
    finding: (more) => `At rest: ${more} processor time than the bare client`,
    without: /queues|workers|killed/,
  },
  {
    part: "at rest",
    benchmark: "peers",
    measure: "at rest, memory",
    unit: "MiB resident",
    peer: BARE,
    finding: (more) => `At rest: ${more} memory than the bare client`,
    without,
  },
  {
    part: "a message a second",
    benchmark: "peers",
    measure: "a message a second, processor",
    unit: "ms of processor time a minute",
    peer: STREAMS,
    finding: (more) =>
      `A message a second: ${more} processor time than Streams by hand`,
    without,
  },
  {
    part: "a message a second",
    benchmark: "peers",
    measure: "a message a second, latency, median",
    unit: "µs from being sent to being handled, median",
    peer: STREAMS,
    finding: (later) =>
      `A message a second: handled ${later} than by Streams by hand`,
    words: ["sooner", "later"],
    without,
  },
  {
    part: "start",
    benchmark: "peers",
    measure: "start",
    unit: "ms until it waits for messages",
    peer: BARE,
    finding: (later) =>
      `A new process: ready ${later} than with the bare client`,
    words: ["sooner", "later"],
    without,
  },
  {
    part: "a thousand a second",
    benchmark: "load",
    measure: "1,000/s, consumer",
    unit: "µs of processor time a message",
    peer: STREAMS,
    finding: (more) =>
      `A thousand a second: ${more} processor time than Streams by hand`,
  },
  {
    part: "a thousand a second",
    benchmark: "load",
    measure: "1,000/s, latency, median",
    unit: "µs from being sent to being handled, median",
    peer: STREAMS,
    finding: (later) =>
      `A thousand a second: handled ${later} than by Streams by hand`,
    words: ["sooner", "later"],
  },
  {
    part: "backlog",
    benchmark: "redis",
    measure: "backlog, warm",
    unit: "messages a second",
    peer: BARE,
    finding: (faster) =>
      `A backlog, in a warm process: ${faster} than the bare client`,
    words: ["slower", "faster"],
    without: /reading ahead|unparsed/,
  },
  {
    part: "backlog",
    benchmark: "redis",
    measure: "backlog, fresh",
    unit: "messages a second",
    peer: BARE,
    finding: (faster) =>
      `A backlog, from a fresh process: ${faster} than the bare client`,
    words: ["slower", "faster"],
    without: /reading ahead|unparsed/,
  },
  {
    part: "large messages",
    benchmark: "load",
    measure: "64 KiB, Redis",
    unit: "µs of the server's processor time a message",
    peer: BARE,
    finding: (more) =>
      `Messages of 64 KiB: ${more} of the server's time than BLMPOP`,
    without: /redis-py/,
  },
  {
    part: "threads",
    benchmark: "bus",
    measure: "to a worker",
    unit: "messages a second",
    peer: "Worker.postMessage",
    finding: (faster) => `To a worker: ${faster} than Worker.postMessage`,
    words: ["slower", "faster"],
  },
  {
    part: "threads",
    benchmark: "bus",
    measure: "there and back, median",
    unit: "µs there and back, median",
    peer: "Worker.postMessage",
    finding: (longer) =>
      `To a worker and back: ${longer} than by Worker.postMessage`,
    words: ["shorter", "longer"],
  },
  {
    part: "network",
    benchmark: "zeroconf",
    measure: "from registering to being seen, median of 5",
    unit: "seconds from registering to being seen",
    peer: "Avahi",
    finding: (later) => `A new service is seen ${later} than Avahi's`,
    words: ["sooner", "later"],
  },
];

/** Those whose tables have a line for each measure. */
const TURNED: ReadonlySet<string> = new Set(["conditions"]);

const OURS = "@platypush/redis";

/** What contenders are called on a picture, where their name is short. */
const LABELS: Readonly<Record<string, string>> = {
  "ours": OURS,
  "bare client": "bare client (BLMPOP)",
  "streams by hand": "Redis Streams by hand",
};

const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/**
 * Says by how much our figure differs from the peer's, such as "5 % more", which
 * no line breaks.
 */
function difference(
  ratio: number,
  [less, more]: readonly [less: string, more: string] = ["less", "more"],
): string {
  const share = percent.format(Math.abs(ratio - 1) * 100);
  if (share === "0") return `no ${more}`;
  return `${share}\u00a0%\u00a0${ratio < 1 ? less : more}`;
}

/** Narrow enough for a phone to show it as it is. */
const WIDTH = 360;
const LINE = 20;
const BAR = 40;

/** What fits into a line of a title, in signs. */
const LONGEST = 36;

/**
 * Breaks a title into two lines that are about as long as each other, where it
 * does not fit into one. What is bound by a no-break space stays together.
 */
function inLines(title: string): readonly string[] {
  if (title.length <= LONGEST) return [title];
  const [best] = [...title.matchAll(/ /g)]
    .map(({ index }) => [title.slice(0, index), title.slice(index + 1)])
    .toSorted((a, b) => longest(a) - longest(b));
  return best!;
}

function longest(lines: readonly string[]): number {
  return Math.max(...lines.map(({ length }) => length));
}

/**
 * Draws a bar below the name of each contender, ours in colour and the others in
 * grey. It has a ground of its own, dark where the reader's screen is.
 */
function draw(title: string, unit: string, rows: readonly Row[]): string {
  const most = Math.max(...rows.map(({ value }) => value));
  const lines = inLines(title);
  const top = 24 + LINE * lines.length;
  const height = top + 18 + BAR * rows.length;
  const right = WIDTH - 12;
  const bars = rows.flatMap(({ what, value }, at) => {
    const y = top + 26 + BAR * at;
    const width = Math.max(1, (WIDTH - 24) * value / most).toFixed(1);
    const kind = what.startsWith("ours") ? "ours" : "peer";
    const name = LABELS[what] ?? what.replace(/^ours/, OURS);
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
  { benchmark, measure, unit, peer, finding, words, without }: Picture,
): Promise<string | undefined> {
  const suffix = `: ${measure}`;
  const found = results.get(benchmark)?.rows
    .filter(({ what }) => what.endsWith(suffix))
    .map((row) => ({ ...row, what: row.what.slice(0, -suffix.length) })) ?? [];
  // A figure that is compared with two others has two rows.
  const shown = [...new Map(found.map((row) => [row.what, row])).values()]
    .filter(({ what }) => !without?.test(what));
  // The two that the title compares go first, ours and its peer.
  const rank = ({ what }: Row): number =>
    what === "ours" ? 0 : what.startsWith("ours") ? 1 : what === peer ? 2 : 3;
  const rows = shown.toSorted((a, b) => rank(a) - rank(b));
  const of = (name: string): number =>
    rows.find(({ what }) => what === name)?.value ?? 0;
  if (!(of("ours") > 0 && of(peer) > 0)) return undefined;
  const title = finding(difference(of("ours") / of(peer), words));
  const name = `${benchmark}-${measure.toLowerCase().replaceAll(/\W+/g, "-")}`;
  await Deno.writeTextFile(
    new URL(`${name}.svg`, PLOTS),
    draw(title, unit, rows),
  );
  return `![${title}](plots/${name}.svg)`;
}

/** Puts something between a mark on a page and the end of what belongs to it. */
function put(page: string, mark: string, text: string): string {
  const place = new RegExp(`(<!-- ${mark} -->\n)[^]*?(<!-- end -->)`);
  return page.replace(place, (_, start, end) => `${start}\n${text}\n\n${end}`);
}

const results = new Map<string, Result>();
for await (const { name } of Deno.readDir(RESULTS)) {
  const text = await Deno.readTextFile(new URL(name, RESULTS));
  results.set(name.replace(".json", ""), JSON.parse(text));
}

let tables = await Deno.readTextFile(TABLES);
for (const [benchmark, result] of results) {
  tables = put(tables, benchmark, tabulate(result, TURNED.has(benchmark)));
}
await Deno.writeTextFile(TABLES, tables);

let guide = await Deno.readTextFile(GUIDE);
await Deno.remove(PLOTS, { recursive: true });
await Deno.mkdir(PLOTS);
for (const [part, pictures] of Map.groupBy(PICTURES, ({ part }) => part)) {
  const shown = (await Promise.all(pictures.map(show)))
    .filter((one) => one !== undefined);
  guide = put(guide, `pictures: ${part}`, shown.join("\n"));
  console.log(part, shown.length);
}
await Deno.writeTextFile(GUIDE, guide);

await new Deno.Command(Deno.execPath(), {
  args: ["fmt", "--quiet", TABLES.pathname, GUIDE.pathname],
}).output();
