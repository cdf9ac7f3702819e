import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { CEILING, type Figures, figures } from "../../scripts/way.ts";
import { follow } from "../../scripts/way/follow.ts";
import { TestServer } from "../servers.ts";

const ROOT = new URL("../../", import.meta.url);
const PAGE = await Deno.readTextFile(new URL("docs/architecture.md", ROOT));

interface Module {
  specifier: string;
  dependencies?: {
    isDynamic?: boolean;
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

/** What a program is made of, and all that it imports. */
async function modulesOf(program: string): Promise<readonly Module[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-remote", program],
    cwd: ROOT,
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).modules;
}

Deno.test("mod.ts imports no module with a sign beyond Latin-1, for which V8 keeps two bytes a character", async () => {
  const found: string[] = [];
  for (const { specifier } of await modulesOf("mod.ts")) {
    if (!specifier.startsWith(ROOT.href)) continue;
    const text = await Deno.readTextFile(new URL(specifier));
    // deno-lint-ignore no-control-regex -- 0 is where Latin-1 begins
    const sign = /[^\u0000-\u00ff]/.exec(text)?.[0];
    if (sign !== undefined) found.push(`${sign} in ${specifier}`);
  }
  assert.deepEqual(found, []);
});

Deno.test("mod.ts does not load LogTape, which whoever configures it has loaded", async () => {
  const found = new Set<string>();
  for (const { dependencies = [] } of await modulesOf("mod.ts")) {
    for (const { code, isDynamic } of dependencies) {
      const name = /^npm:\/?(.+)@/.exec(code?.specifier ?? "")?.[1];
      if (name !== undefined && !isDynamic) found.add(name);
    }
  }
  assert.ok(found.has("re2js"));
  assert.ok(!found.has("@logtape/logtape"));
});

Deno.test("Packages whose inner files are imported come in patches of one minor version only", async () => {
  const ranges = new Set<string>();
  for (const { dependencies = [] } of await modulesOf("cli.ts")) {
    for (const { code, type } of dependencies) {
      const { specifier } = (code ?? type)!;
      const name = /^npm:\/?(.+)@[^/]+\/dist\//.exec(specifier)?.[1];
      if (name === undefined) continue;
      ranges.add(new Map(Object.entries(config.imports)).get(name)!);
    }
  }
  assert.ok(ranges.size > 0);
  for (const range of ranges) assert.match(range, /@~\d+\.\d+\.\d+$/);
});

Deno.test("docs/architecture.md shows which room imports which", async () => {
  const imports = new Set<string>();
  for (const { specifier, dependencies = [] } of await modulesOf("cli.ts")) {
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

/** An import of a file of the same folder: what is imported, and the file's name. */
const IMPORT = /^(?:import|export) ([^;"]*) from "\.\/([^"]+)\.ts";/gm;

/** Gives what the files of a room import of each other, by their names. */
async function importsIn(
  room: string,
): Promise<Map<string, [string, string][]>> {
  const folder = new URL(`src/${room}/`, ROOT);
  const imports = new Map<string, [string, string][]>();
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(new URL(name, folder));
    imports.set(
      name.replace(".ts", ""),
      [...text.matchAll(IMPORT)].map(([, names, file]) => [names!, file!]),
    );
  }
  return imports;
}

for (const room of ["redis", "backend", "bus", "message"]) {
  Deno.test(`docs/architecture.md shows each file of src/${room} in a group, and a group imports none above it`, async () => {
    const [, list] = PAGE.split(`<!-- groups of src/${room} -->`);
    const [groups] = list!.split("<!-- end -->");
    const group = new Map<string, number>();
    for (const [at, files] of groups!.split(/^- /m).slice(1).entries()) {
      for (const [, name] of files.matchAll(/`(\w+)`/g)) {
        assert.ok(!group.has(name!), `${name} is in two groups`);
        group.set(name!, at);
      }
    }
    const imports = await importsIn(room);
    assert.deepEqual(
      [...group.keys()].toSorted(),
      [...imports.keys()].toSorted(),
    );
    const upwards = [...imports].flatMap(([name, imported]) =>
      imported.filter(([, file]) => group.get(file)! < group.get(name)!)
        .map(([, file]) => `${name} imports ${file}`)
    );
    assert.deepEqual(upwards, []);
  });
}

Deno.test("src/redis has at most 11 floors, counted over what is imported at run time", async () => {
  const imports = await importsIn("redis");
  const floor = (name: string): number =>
    1 + Math.max(
      0,
      ...imports.get(name)!.filter(([names]) =>
        !names.startsWith("type ") &&
        names.split(",").some((name) => /^[{ \n]*(?!type )\w/.test(name))
      ).map(([, file]) => floor(file)),
    );
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
