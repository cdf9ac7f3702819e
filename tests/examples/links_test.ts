import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

/** A project beside the package, as the README says, with what else its `deno.json` has. */
async function inProject(
  options: Record<string, unknown>,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const [, json] = /^```json\n([^`]*"links"[^`]*)^```$/m.exec(readme)!;
  const folder = await Deno.makeTempDir();
  try {
    await Deno.symlink(ROOT.pathname, `${folder}/redis`);
    await Deno.mkdir(`${folder}/mine`);
    await Deno.writeTextFile(
      `${folder}/mine/deno.json`,
      JSON.stringify({ ...JSON.parse(json!), ...options }),
    );
    await Deno.writeTextFile(
      `${folder}/mine/main.ts`,
      `import { Event } from "@platypush/redis";
      import { Bus } from "@platypush/redis/bus";
      import { discover } from "@platypush/redis/zeroconf";
      import { main } from "@platypush/redis/cli";
      console.log([Event, Bus, discover, main].map(({ name }) => name).join());`,
    );
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: `${folder}/mine`,
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return {
      code,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("A program elsewhere finds the package as the README says", async () => {
  const { stdout, stderr } = await inProject(
    {},
    "run",
    "--no-prompt",
    "main.ts",
  );
  assert.equal(stdout, "Event,Bus,discover,main\n", stderr);
});

Deno.test("The package compiles under compiler options of others", async (t) => {
  for (
    const compilerOptions of [
      { strict: false },
      { strictNullChecks: false },
      {
        noImplicitAny: false,
        isolatedDeclarations: true,
        noPropertyAccessFromIndexSignature: true,
        noUnusedLocals: true,
        noUnusedParameters: true,
        verbatimModuleSyntax: true,
      },
    ]
  ) {
    await t.step(Object.keys(compilerOptions).join(), async () => {
      const { code, stderr } = await inProject(
        { compilerOptions },
        "check",
        "main.ts",
      );
      assert.equal(code, 0, stderr);
    });
  }
});
