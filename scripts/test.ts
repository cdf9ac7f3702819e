/**
 * Runs the tests, a process or a few for each folder of `tests/`, several at a time:
 * most of them wait for another process or the network, and leave the processor
 * idle meanwhile. What a folder has to say comes when it is through.
 *
 * The processor is crowded by this, and a test may fail for that alone. So a file
 * with a failure runs once more when all else is through, alone: what fails there
 * has failed. What passes there counts as passed, and is named all the same, since
 * a test that cannot bear a busy machine wants mending. The last line is
 * `N passed, N failed`.
 *
 *     deno task test [what `deno test` takes, such as --shuffle, or a file]
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

import { existsSync } from "node:fs";

const PERMISSIONS = ["net", "env", "sys", "read", "write", "run"];
/** The folders that take longest, which go first. */
const SLOWEST = [
  "interop",
  "redis",
  "backend",
  "cli",
  "dashboard",
  "faults",
  "zeroconf",
  "examples",
];
/** The folders that take as long as several others, and in how many parts they run. */
const PARTS: Readonly<Record<string, number>> = { redis: 4 };
/**
 * The folders that run twice: with servers on TCP, as everywhere, and with
 * servers on a Unix socket.
 */
const ALSO_OVER_SOCKET = ["redis", "doctor"];
/** The folders whose tests drive a browser: what does it looks below `/proc/sys`. */
const NEED_ALL = ["dashboard"];
const PROCESSES = 2 * navigator.hardwareConcurrency;
/** Milliseconds until a folder counts as hung, many times what any takes. */
const TIME_LIMIT = 30 * 60_000;

interface Result {
  passed: number;
  failed: number;
  /**
   * The failed tests, as `deno test` lists them: `name => ./file:line:column`,
   * or `./file (uncaught error)`.
   */
  failures: string[];
}

/** What one process is told to run. */
interface Run {
  args: readonly string[];
  env?: Record<string, string>;
}

/** The folders of tests, those first that take longest, and the files beside them. */
function places(): Run[] {
  const rank = (name: string): number =>
    SLOWEST.includes(name) ? SLOWEST.indexOf(name) : SLOWEST.length;
  return [...Deno.readDirSync("tests")]
    .filter(({ isDirectory, name }) => isDirectory || name.endsWith("_test.ts"))
    .map(({ name }) => name)
    .sort((a, b) => rank(a) - rank(b))
    .flatMap((name) =>
      inParts(name).flatMap((args): Run[] =>
        ALSO_OVER_SOCKET.includes(name)
          ? [{ args }, { args, env: { TEST_TRANSPORT: "socket" } }]
          : [{ args }]
      )
    );
}

/** What runs together of a folder or a file: all of it, or some of its files. */
function inParts(name: string): readonly string[][] {
  const path = `tests/${name}`;
  const count = PARTS[name];
  return count === undefined ? [[path]] : Array.from(
    { length: count },
    (_, part) => [`--shard=${part + 1}/${count}`, path],
  );
}

/**
 * Runs tests, shows what they said once they are through, and counts them. Types
 * are for `deno task ok` to check, once.
 */
async function test({ args, env }: Run): Promise<Result> {
  const needsAll = args.some((path) =>
    NEED_ALL.some((name) => path.startsWith(`tests/${name}`))
  );
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--no-check",
      ...needsAll
        ? ["--allow-all"]
        : PERMISSIONS.map((name) => `--allow-${name}`),
      ...args,
    ],
    ...(env && { env }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.any([
      interrupt.signal,
      AbortSignal.timeout(TIME_LIMIT),
    ]),
  });
  await using process = command.spawn();
  let output = "";
  await Promise.all([process.stdout, process.stderr].map(async (stream) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      output += text;
    }
  }));
  const { success } = await process.status;
  console.log(output.trimEnd());

  // deno-lint-ignore no-control-regex -- colours
  const plain = output.replaceAll(/\x1b\[[0-9;]*m/g, "");
  const counts = [...plain.matchAll(/\| (\d+) passed.* \| (\d+) failed/g)];
  const [, passed = 0, failed = 0] = counts.at(-1)?.map(Number) ?? [];
  const failures = plain.match(/^ FAILURES \n\n((?:.+\n)+)/m)?.[1] ?? "";
  return {
    passed,
    failed: success ? failed : Math.max(failed, 1),
    failures: failures.split("\n").filter(Boolean),
  };
}

/** The files in which tests have failed. */
function filesOf(failures: readonly string[]): string[] {
  const file = /^(?:.* => )?(.+?)(?::\d+:\d+| \(uncaught error\))$/;
  return [...new Set(failures.map((line) => line.replace(file, "$1")))];
}

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => interrupt.abort());
}
const chosen = Deno.args.some(existsSync);
const runs = chosen ? [{ args: [] }] : places();
const broken: { run: Run; first: Result }[] = [];
const failures: string[] = [];
const unsteady: string[] = [];
let passed = 0;
let failed = 0;

await Promise.all(Array.from({ length: PROCESSES }, async () => {
  for (let run; !interrupt.signal.aborted && (run = runs.shift());) {
    const first = await test({ ...run, args: [...Deno.args, ...run.args] });
    passed += first.passed;
    failed += first.failed;
    if (first.failed > 0) broken.push({ run, first });
  }
}));

for (const { run, first } of broken) {
  const files = filesOf(first.failures);
  if (chosen || files.length === 0 || interrupt.signal.aborted) {
    failures.push(...files.length === 0 ? run.args : first.failures);
    continue;
  }
  const second = await test({ ...run, args: [...Deno.args, ...files] });
  if (second.failed > 0) {
    failures.push(...second.failures);
  } else {
    passed += first.failed;
    failed -= first.failed;
    unsteady.push(...first.failures);
  }
}

for (
  const [title, tests] of [
    ["Failed", failures],
    ["Failed beside the others, and passed alone", unsteady],
  ] as const
) {
  if (tests.length > 0) console.log(`\n${title}:`);
  for (const name of tests) console.log(`  ${name}`);
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
