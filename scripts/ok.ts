/**
 * Runs every gate, all of them even if one fails, prints how long each took,
 * and ends with a line `N passed, N failed`: one for each gate, and one for
 * each example in the documentation. What a gate has to say is shown when it
 * fails.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

import config from "../deno.json" with { type: "json" };

const entries = Object.values(config.exports);

const gates: readonly { name: string; args: string[] }[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  // A dependency that the lock file does not have fails here.
  { name: "types", args: ["check", "--frozen", "."] },
  // Each by itself: whoever imports one sees no other. The dashboard shows a
  // backend, which comes from the main entry.
  ...entries.map((entry) => ({
    name: `documentation of ${entry}`,
    args: [
      "doc",
      "--lint",
      ...(entry.includes("dashboard") ? ["./mod.ts", entry] : [entry]),
    ],
  })),
  {
    name: "examples in the documentation",
    args: ["test", "-A", "--frozen", "--doc", ...entries, "src"],
  },
  {
    name: "new projects, with every sample",
    args: ["run", "-A", "scripts/new_project.ts"],
  },
  // The working copy may be dirty here: nothing is published.
  { name: "package", args: ["publish", "--dry-run", "--allow-dirty"] },
];

let passed = 0;
let failed = 0;

for (const { name, args } of gates) {
  const start = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const output = new TextDecoder().decode(stdout) +
    new TextDecoder().decode(stderr);

  const tests = output.match(/\| (\d+) passed.* \| (\d+) failed/);
  const good = tests ? Number(tests[1]) : Number(success);
  const bad = tests ? Number(tests[2]) : Number(!success);
  passed += good;
  failed += !success && bad === 0 ? 1 : bad;

  if (!success) console.log(output.trimEnd());
  const count = tests ? ` (${good} passed, ${bad} failed)` : "";
  console.log(`${success ? "ok    " : "FAILED"} ${name}${count} ${seconds} s`);
}

console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
