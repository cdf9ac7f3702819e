/**
 * Type-checks a new project that imports every export of the package, once for
 * each set of compiler options that somebody may have. The project is in a
 * folder of its own, and has what `deno publish` would take.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

import config from "../deno.json" with { type: "json" };

/** Options of projects, by what they stand for. */
const PROJECTS: Readonly<Record<string, Record<string, unknown>>> = {
  "default options": {},
  "types of a browser's window": { lib: ["deno.window", "dom"] },
  "all that is strict": {
    exactOptionalPropertyTypes: true,
    declaration: true,
    isolatedDeclarations: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    noPropertyAccessFromIndexSignature: true,
    noUncheckedIndexedAccess: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    verbatimModuleSyntax: true,
  },
};

const root = new URL("../", import.meta.url).pathname;
const folder = await Deno.makeTempDir({ prefix: "new-project-" });

try {
  await pack();
  const names = Object.keys(config.exports)
    .map((path) => config.name + path.slice(1));
  await Deno.writeTextFile(
    `${folder}/main.ts`,
    names.map((name, n) => `export * as part${n} from "${name}";\n`).join(""),
  );
  let failed = 0;
  for (const [name, compilerOptions] of Object.entries(PROJECTS)) {
    const problem = await check(compilerOptions);
    if (problem === undefined) continue;
    failed++;
    console.log(`With ${name}:\n${problem}`);
  }
  Deno.exitCode = failed === 0 ? 0 : 1;
} finally {
  await Deno.remove(folder, { recursive: true });
}

/** Copies what is published. */
async function pack(): Promise<void> {
  const { success, stdout, stderr } = await run("publish", {
    args: ["--dry-run", "--allow-dirty", "--no-check"],
    cwd: root,
  });
  if (!success) throw new Error(`Cannot list what is published: ${stderr}`);
  const files = [...`${stdout}${stderr}`.matchAll(/file:\/\/(\S+) \(/g)]
    .map(([, file]) => decodeURIComponent(file!))
    .filter((file) => file.startsWith(root));
  if (files.length < 50) throw new Error(`Only ${files.length} are published`);
  for (const file of files) {
    const copy = `${folder}/package/${file.slice(root.length)}`;
    await Deno.mkdir(copy.slice(0, copy.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(file, copy);
  }
}

/** Checks the types; gives what is wrong. */
async function check(
  compilerOptions: Record<string, unknown>,
): Promise<string | undefined> {
  const own = Object.entries(config.exports).map(([path, file]) => [
    config.name + path.slice(1),
    `./package/${file.slice(2)}`,
  ]);
  await Deno.writeTextFile(
    `${folder}/project.json`,
    JSON.stringify({
      imports: { ...config.imports, ...Object.fromEntries(own) },
      nodeModulesDir: "none",
      lock: false,
      compilerOptions,
    }),
  );
  const { success, stderr } = await run("check", {
    args: ["--quiet", "--config", "project.json", "main.ts"],
    cwd: folder,
  });
  return success ? undefined : stderr;
}

async function run(
  command: string,
  { args, cwd }: { args: readonly string[]; cwd: string },
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [command, ...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return {
    success,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}
