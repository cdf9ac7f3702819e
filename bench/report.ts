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

/** What is asked of a figure. */
export interface Goal {
  /** The contender whose figure it is divided by. */
  readonly to?: string;
  /** What the ratio has to be, such as "≤ 1.5". */
  readonly ratio?: string;
  /** What the figure itself has to be, in its unit. */
  readonly figure?: string;
}

/** Figures of contenders, whose medians are put beside each other. */
export class Comparison {
  readonly #measures = new Map<
    string,
    { unit: string; figures: Map<string, number[]> }
  >();

  readonly #ours: RegExp;

  /** @param ours Who those are of whom something is asked, by their names. */
  constructor(ours = /^ours/) {
    this.#ours = ours;
  }

  /** Takes figures of a contender down, one or those of a round. */
  add(
    contender: string,
    measure: string,
    values: number | readonly number[],
    unit: string,
  ): void {
    const all = [values].flat();
    console.error(`${contender}: ${measure}`, median(all).toPrecision(4), unit);
    const { figures } = this.#measures.getOrInsertComputed(
      measure,
      () => ({ unit, figures: new Map() }),
    );
    figures.getOrInsertComputed(contender, () => []).push(...all);
  }

  /**
   * Makes a row of each measure and contender, or one for each of its goals.
   *
   * @param goalsOf What is asked of a contender, and what a peer stands beside.
   */
  rows(
    goalsOf: (contender: string, measure: string) => Goal | readonly Goal[],
  ): Row[] {
    return [...this.#measures].flatMap(([measure, { unit, figures }]) =>
      [...figures].flatMap(([contender, values]) =>
        [goalsOf(contender, measure)].flat().map((goal): Row => {
          const { to, ratio, figure } = goal as Goal;
          const value = median(values);
          const base = median(figures.get(to ?? "") ?? []);
          const isAsked = this.#ours.test(contender);
          return {
            what: `${contender}: ${measure}`,
            value,
            unit,
            ...(isAsked && figure !== undefined && { must: figure }),
            ...(to !== undefined && to !== contender && base > 0 && {
              ratio: {
                to,
                value: value / base,
                ...(isAsked && ratio !== undefined && { must: ratio }),
              },
            }),
          };
        })
      )
    );
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
  /** What is asked of the figure. */
  must?: string;
  /** What it is compared with, and value divided by that. */
  ratio?: { to: string; value: number; must?: string };
}

/** Says what is asked of a figure or a ratio, and whether that is missed. */
export function asked(figure?: Pick<Row, "value" | "must">): string {
  const { value, must = "" } = figure ?? {};
  const [, sign, limit] = /^([≤≥]) ([\d.]+)/.exec(must) ?? [];
  const difference = Number(value) - Number(limit);
  const isMissed = sign === "≤" ? difference > 0 : difference < 0;
  return isMissed ? `${must}: missed` : must;
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
  console.table(rows.map((row) => ({
    what: row.what,
    figure: `${format.format(row.value)} ${row.unit}`,
    ratio: row.ratio === undefined
      ? ""
      : `${format.format(row.ratio.value)} × ${row.ratio.to}`,
    "asked for": [asked(row), asked(row.ratio)].filter(Boolean).join(
      ", ",
    ),
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
