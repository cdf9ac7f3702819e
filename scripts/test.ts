/**
 * Runs the tests, a process for each folder of `tests/`, several at a time:
 * most of them wait for another process or the network, and leave the processor
 * idle meanwhile. What a folder has to say comes when it is through; the last
 * line is `N passed, N failed`.
 *
 *     deno task test [what `deno test` takes, such as --shuffle, or a file]
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

const PERMISSIONS = ["net", "env", "sys", "read", "write", "run"];
/** The folders that take longest, which go first. */
const SLOWEST = [
  "cli",
  "dashboard",
  "backend",
  "interop",
  "redis",
  "faults",
  "zeroconf",
  "examples",
];
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

interface Count {
  passed: number;
  failed: number;
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
    .flatMap((name): Run[] => {
      const run = { args: [`tests/${name}`] };
      return ALSO_OVER_SOCKET.includes(name)
        ? [run, { ...run, env: { TEST_TRANSPORT: "socket" } }]
        : [run];
    });
}

/**
 * Runs tests, shows what they said once they are through, and counts them. Types
 * are for `deno task ok` to check, once.
 */
async function test({ args, env }: Run): Promise<Count> {
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
  return { passed, failed: success ? failed : Math.max(failed, 1) };
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => interrupt.abort());
}
const runs = Deno.args.some(isThere) ? [{ args: [] }] : places();
const sum: Count = { passed: 0, failed: 0 };
await Promise.all(Array.from({ length: PROCESSES }, async () => {
  for (let run; !interrupt.signal.aborted && (run = runs.shift());) {
    const args = [...Deno.args, ...run.args];
    const { passed, failed } = await test({ ...run, args });
    sum.passed += passed;
    sum.failed += failed;
  }
}));
console.log(`${sum.passed} passed, ${sum.failed} failed`);
Deno.exit(sum.failed === 0 ? 0 : 1);
