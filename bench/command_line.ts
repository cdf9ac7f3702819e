/**
 * What the command line costs where one waits for it: the version, words that a
 * shell completes, and a help text, beside a script that is empty. The figure is
 * processor time, all threads together.
 *
 *     deno task bench:command-line [runs] [rounds]
 */
import { report, type Row, Series } from "./report.ts";

const RUNS = Number(Deno.args[0] ?? 5);
const ROUNDS = Number(Deno.args[1] ?? 9);

const EMPTY = "an empty script";
const CLI = new URL("../cli.ts", import.meta.url).pathname;
const empty = await Deno.makeTempFile({ suffix: ".ts" });
const CONTENDERS: Readonly<Record<string, readonly string[]>> = {
  [EMPTY]: [empty],
  "--version": [CLI, "--version"],
  "a command's name": [CLI, "completions", "bash", "se"],
  "an option's name": [CLI, "completions", "zsh", "listen", "--co"],
  "--help": [CLI, "--help"],
};
/** The most that those may take which one waits for at a key. */
const MUST = "≤ 1.5";

/** The processor time of one run, in milliseconds. */
async function cost(program: readonly string[]): Promise<number> {
  const { stdout } = await new Deno.Command("bash", {
    args: [
      "-c",
      `for ((n = 0; n < ${RUNS}; n++)); do "$@" >/dev/null; done; times`,
      "bash",
      Deno.execPath(),
      "run",
      "--quiet",
      "-A",
      // As the guide installs it.
      "--unstable-lazy-dynamic-imports",
      ...program,
    ],
    stderr: "inherit",
  }).output();
  // The second line is about the children: `0m0.123s 0m0.045s`.
  const children = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
  const times = [...children.matchAll(/(\d+)m([\d.]+)s/g)];
  const seconds = times.reduce((sum, [, m, s]) => sum + +m! * 60 + +s!, 0);
  return seconds * 1000 / RUNS;
}

const series = new Series();
try {
  // What Deno compiles once is not counted.
  for (const program of Object.values(CONTENDERS)) await cost(program);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [what, program] of Object.entries(CONTENDERS)) {
      await series.measure(what, () => cost(program));
    }
  }
} finally {
  await Deno.remove(empty);
}

const base = series.median(EMPTY);
await report(
  "command_line",
  Object.keys(CONTENDERS).map((what): Row => {
    const value = series.median(what);
    if (what === EMPTY) return { what, value, unit: "ms" };
    const ratio = { to: EMPTY, value: value / base };
    return {
      what,
      value,
      unit: "ms",
      ratio: what === "--help" ? ratio : { ...ratio, must: MUST },
    };
  }),
);
