/**
 * Runs the tests: those that wait for other hosts, and for what they have broken
 * on purpose, beside all others, since they leave the processor idle most of the
 * time. What they have to say comes after what the others say, then a line
 * `N passed, N failed`.
 *
 *     deno task test [what `deno test` takes, such as a file]
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

const PERMISSIONS = ["net", "env", "sys", "read", "write", "run"];
/** Where the tests are that wait most of the time. */
const WAITING = ["tests/interop", "tests/faults"];

interface Run {
  readonly success: boolean;
  readonly output: string;
}

/** Runs tests; what they print is shown at once, or else returned only. */
async function test(args: readonly string[], isShown: boolean): Promise<Run> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", ...PERMISSIONS.map((name) => `--allow-${name}`), ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  await using process = command.spawn();
  let output = "";
  const decoders = [new TextDecoderStream(), new TextDecoderStream()];
  const streams = [process.stdout, process.stderr];
  await Promise.all(streams.map(async (stream, index) => {
    for await (const text of stream.pipeThrough(decoders[index]!)) {
      output += text;
      if (isShown) await Deno.stdout.write(new TextEncoder().encode(text));
    }
  }));
  const { success } = await process.status;
  return { success, output };
}

const runs = Deno.args.length > 0
  ? [await test(Deno.args, true)]
  : await Promise.all([
    test([`--ignore=${WAITING.join()}`], true),
    test(WAITING, false),
  ]);
for (const { output } of runs.slice(1)) console.log(output);

let passed = 0;
let failed = 0;
for (const { success, output } of runs) {
  // deno-lint-ignore no-control-regex -- colours
  const plain = output.replaceAll(/\x1b\[[0-9;]*m/g, "");
  const counts = [...plain.matchAll(/\| (\d+) passed.* \| (\d+) failed/g)];
  const [, good = 0, bad = 0] = counts.at(-1)?.map(Number) ?? [];
  passed += good;
  failed += success || bad > 0 ? bad : 1;
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
