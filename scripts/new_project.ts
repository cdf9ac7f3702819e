/**
 * Makes new projects, as a stranger would, in a folder of their own, of nothing
 * but the README and what `deno publish` would take.
 *
 * - Types: every export, and every sample of the README and the guides, those
 *   marked `ignore` too, under each set of compiler options that somebody may have.
 *   These are applied to the package's sources as well.
 * - Runs: every sample, with the README's own `deno.json` and the packages that a
 *   guide says to add.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

import config from "../deno.json" with { type: "json" };

/** Options of projects, by what they stand for. */
const PROJECTS: Readonly<Record<string, Record<string, unknown>>> = {
  "default options": {},
  "types of a browser's window": { lib: ["deno.window", "dom"] },
  "types of Node.js": { types: ["npm:@types/node"] },
  "all that is strict": {
    exactOptionalPropertyTypes: true,
    declaration: true,
    erasableSyntaxOnly: true,
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

/** What samples that only show a part of a program leave to the reader. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  app: `declare const app: {
  all(path: string, handler: (context: {
    req: { raw: Request };
    env: { remoteAddr: Deno.NetAddr };
  }) => unknown): void;
};`,
  backend: `declare const backend: import("@platypush/redis").RedisBackend;`,
  bus: `declare const bus: import("@platypush/redis/bus").Bus;`,
  dashboard:
    `declare const dashboard: typeof import("@platypush/redis/dashboard").dashboard;`,
  RedisBackend:
    `declare const RedisBackend: typeof import("@platypush/redis").RedisBackend;`,
  resize:
    `declare function resize(file: unknown, signal?: AbortSignal): Promise<string>;`,
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
  await copyGuides();
  await writeIgnored();
  let failed = 0;
  for (const [name, compilerOptions] of Object.entries(PROJECTS)) {
    const problem = await check(compilerOptions);
    if (problem === undefined) continue;
    failed++;
    console.log(`With ${name}:\n${problem}`);
  }
  if (!await runSamples()) failed++;
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

/** Puts the README and the guides into the project, for their samples. */
async function copyGuides(): Promise<void> {
  await Deno.copyFile(`${folder}/package/README.md`, `${folder}/README.md`);
  await Deno.mkdir(`${folder}/docs`);
  for await (const { name } of Deno.readDir(`${folder}/package/docs`)) {
    if (!name.endsWith(".md")) continue;
    await Deno.copyFile(
      `${folder}/package/docs/${name}`,
      `${folder}/docs/${name}`,
    );
  }
}

/** Writes the samples that cannot run here into modules, to check at least their types. */
async function writeIgnored(): Promise<void> {
  await Deno.mkdir(`${folder}/ignored`);
  const guides = ["README.md"];
  for await (const { name } of Deno.readDir(`${folder}/docs`)) {
    guides.push(`docs/${name}`);
  }
  for (const guide of guides) {
    const text = await Deno.readTextFile(`${folder}/${guide}`);
    for (
      const { 1: code = "", index } of text.matchAll(/```ts ignore\n(.*?)```/gs)
    ) {
      const line = text.slice(0, index).split("\n").length;
      const declared = new RegExp(
        String.raw`(?:const|let|using|function) (\w+)|import \{([^}]*)\}`,
        "g",
      );
      const known = [...code.matchAll(declared)].flatMap((
        [, name, names],
      ) => [name ?? "", ...(names ?? "").split(/[\s,]+/)]);
      const missing = Object.entries(LEFT_OUT).filter(([name]) =>
        new RegExp(String.raw`\b${name}\b`).test(code) && !known.includes(name)
      );
      const file = guide.replaceAll("/", "_").replace(".md", `_${line}.ts`);
      await Deno.writeTextFile(
        `${folder}/ignored/${file}`,
        [...missing.map(([, declaration]) => declaration), code, "export {};\n"]
          .join("\n"),
      );
    }
  }
}

/** Runs every sample in a project with the README's settings; tells whether all went well. */
async function runSamples(): Promise<boolean> {
  const readme = await Deno.readTextFile(`${folder}/README.md`);
  const [, settings] = /```json\n(\{[^`]*"imports"[^`]*\})\n```/.exec(readme) ??
    [];
  if (settings === undefined) {
    throw new Error("The README shows no deno.json with `imports`");
  }
  const project = JSON.parse(settings);
  for await (const { name } of Deno.readDir(`${folder}/docs`)) {
    const guide = await Deno.readTextFile(`${folder}/docs/${name}`);
    for (const [, added] of guide.matchAll(/`deno add npm:(\S+)`/g)) {
      project.imports[added!] = `npm:${added}`;
    }
  }
  await Deno.writeTextFile(
    `${folder}/deno.json`,
    // Until it is published: the package is beside the project.
    JSON.stringify({ ...project, links: ["./package"] }),
  );
  const { success, stdout, stderr } = await run("test", {
    args: ["-A", "--quiet", "--no-check", "--doc", "README.md", "docs"],
    cwd: folder,
  });
  if (!success) console.log(stdout + stderr);
  // Its count.
  else console.log(stdout.trimEnd().split("\n").at(-1));
  return success;
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
    args: [
      "--quiet",
      "--doc",
      "--config",
      "project.json",
      "main.ts",
      "README.md",
      "docs",
      "ignored",
    ],
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
