import assert from "node:assert/strict";
import { CEILING, type Figures, figures } from "../../scripts/way.ts";
import { follow } from "../../scripts/way/follow.ts";
import { TestServer } from "../servers.ts";

const ROOT = new URL("../../", import.meta.url);
const PAGE = await Deno.readTextFile(new URL("docs/architecture.md", ROOT));

interface Module {
  specifier: string;
  dependencies?: {
    code?: { specifier: string };
    type?: { specifier: string };
  }[];
}

/** The room of a module: a folder of `src`, or `mod.ts`, the whole package. */
function room(specifier: string): string | undefined {
  if (!specifier.startsWith(ROOT.href)) return undefined;
  const path = specifier.slice(ROOT.href.length).split("/");
  return path[0] === "src" && path.length > 2 ? path[1] : path[0];
}

Deno.test("docs/architecture.md shows which room imports which", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-remote", "cli.ts"],
    cwd: ROOT,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: Module[];
  };
  const imports = new Set<string>();
  for (const { specifier, dependencies = [] } of modules) {
    const from = room(specifier);
    for (const { code, type } of dependencies) {
      const to = room((code ?? type)!.specifier);
      // The files beside the rooms are everybody's.
      if (from === undefined || to === undefined || to === "src") continue;
      if (from === to || from.endsWith(".ts") && from !== "cli.ts") continue;
      imports.add(`${from} --> ${to}`.replace("cli.ts --> cli", ""));
    }
  }
  imports.delete("");
  const [graph] = /^```mermaid\n[\s\S]*?^```/m.exec(PAGE)!;
  const shown = [...graph.matchAll(/^ {2}(\w+) --> (\w+)$/gm)]
    .map(([, from, to]) => `${from} --> ${to === "mod" ? "mod.ts" : to}`);
  assert.deepEqual(shown.toSorted(), [...imports].toSorted());
});

Deno.test("src/redis has at most 11 floors, counted over what is imported at run time", async () => {
  const folder = new URL("src/redis/", ROOT);
  const imports = new Map<string, string[]>();
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(new URL(name, folder));
    const found = text.matchAll(
      /^(?:import|export) (?!type )([^;"]*) from "\.\/([^"]+)";/gm,
    );
    imports.set(
      name,
      [...found].filter(([, names]) =>
        names!.split(",").some((name) => /^[{ \n]*(?!type )\w/.test(name))
      ).map(([, , file]) => file!),
    );
  }
  const floor = (name: string): number =>
    1 + Math.max(0, ...imports.get(name)!.map(floor));
  const highest = Math.max(...[...imports.keys()].map(floor));
  assert.ok(highest <= 11, `There are ${highest}`);
});

Deno.test("the way of a message", async (test) => {
  await using server = await TestServer.start();
  const steps = await follow(ROOT, server.redis, server.args);
  assert.ok(steps.length > 20);

  await test.step("is told by docs/architecture.md file by file", () => {
    const [, way] = /^## The way of a message$([\s\S]*?)(?=^## )/m.exec(PAGE)!;
    for (const file of new Set(steps.map(({ file }) => file))) {
      assert.ok(way!.includes(`\`${file}\``), `${file} is missing`);
    }
  });

  await test.step("has not grown: see CONTRIBUTING.md", () => {
    for (const [what, count] of Object.entries(figures(steps))) {
      const most = CEILING[what as keyof Figures];
      assert.ok(
        count <= most,
        `${count} ${what}, ${most} at most: \`deno task way --walk\` shows where`,
      );
    }
  });
});
