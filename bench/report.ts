// deno-lint-ignore-file no-console

/** The middle one of some numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

/** The number below which a share of some numbers lies. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[
    Math.min(sorted.length - 1, Math.floor(sorted.length * share))
  ] ??
    NaN;
}

/** Figures of alternating rounds. */
export class Series {
  readonly #figures: Record<string, number[]> = {};

  /** Measures something once more, and says what came out. */
  async measure(what: string, run: () => Promise<number>): Promise<void> {
    const figure = await run();
    (this.#figures[what] ??= []).push(figure);
    console.error(what, Math.round(figure));
  }

  /** The median of all rounds. */
  median(what: string): number {
    return median(this.#figures[what] ?? []);
  }
}

/** What was measured, for people and for `bench/results`. */
export interface Row {
  /** What was measured. */
  what: string;
  /** The figure, in the unit. */
  value: number;
  /** Such as "messages/s". */
  unit: string;
  /** What it is compared with, and value divided by that. */
  ratio?: { to: string; value: number; must?: string };
}

/** What is in a file of `bench/results`. */
export interface Result {
  /** When it was measured, in ISO 8601. */
  date: string;
  /** Where. */
  machine: { os: string; cpu: string; cores: number; memory: number };
  /** With which versions. */
  versions: Record<string, string>;
  /** The figures. */
  rows: readonly Row[];
}

/** Prints a table and writes it as {@linkcode writeResult} does. */
export async function report(
  name: string,
  rows: readonly Row[],
  versions: Record<string, string> = {},
): Promise<void> {
  const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  console.table(rows.map(({ what, value, unit, ratio }) => ({
    what,
    figure: `${format.format(value)} ${unit}`,
    ratio: ratio === undefined
      ? ""
      : `${format.format(ratio.value)} × ${ratio.to}`,
    must: ratio?.must ?? "",
  })));
  await writeResult(name, rows, versions);
}

/**
 * Writes a table to `bench/results/<name>.json`, with the machine, the versions
 * and the date.
 */
export async function writeResult(
  name: string,
  rows: readonly Row[],
  versions: Record<string, string> = {},
): Promise<void> {
  const result: Result = {
    date: new Date().toISOString(),
    machine: {
      os: `${Deno.build.os} ${Deno.osRelease()}`,
      cpu: await cpu(),
      cores: navigator.hardwareConcurrency,
      memory: Deno.systemMemoryInfo().total,
    },
    versions: { deno: Deno.version.deno, v8: Deno.version.v8, ...versions },
    rows,
  };
  const file = new URL(`./results/${name}.json`, import.meta.url);
  await Deno.mkdir(new URL(".", file), { recursive: true });
  await Deno.writeTextFile(file, JSON.stringify(result, null, 2) + "\n");
}

async function cpu(): Promise<string> {
  try {
    const info = await Deno.readTextFile("/proc/cpuinfo");
    return /model name\s*: (.*)/.exec(info)?.[1] ?? Deno.build.arch;
  } catch {
    return Deno.build.arch;
  }
}
