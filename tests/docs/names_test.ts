import assert from "node:assert/strict";

const SRC = new URL("../../src/", import.meta.url);

/** The lines that declare something at the top of a file. */
const DECLARATION =
  /^(export )?(?:declare )?(?:abstract )?(?:async )?(type|interface|class|function\*?|const|let) (\w+)/gm;

interface Declared {
  readonly file: string;
  readonly name: string;
  readonly isExported: boolean;
  readonly isType: boolean;
  readonly isFunction: boolean;
}

async function declaredIn(folder: URL, path = ""): Promise<Declared[]> {
  const declared: Declared[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const file = `${path}${name}`;
    if (isDirectory) {
      declared.push(
        ...await declaredIn(new URL(`${name}/`, folder), `${file}/`),
      );
    } else if (name.endsWith(".ts") && name !== "assets.ts") {
      const text = await Deno.readTextFile(new URL(name, folder));
      for (const [, exported, keyword, name] of text.matchAll(DECLARATION)) {
        declared.push({
          file,
          name: name!,
          isExported: exported !== undefined,
          isType: /type|interface|class/.test(keyword!),
          isFunction: keyword!.startsWith("function"),
        });
      }
    }
  }
  return declared;
}

/** Lists the names that stand in several files, and those files. */
function several(declared: readonly Declared[]): string[] {
  return [...Map.groupBy(declared, ({ name }) => name)]
    .map(([name, all]) => [name, new Set(all.map(({ file }) => file))] as const)
    .filter(([, files]) => files.size > 1)
    .map(([name, files]) => `${name}: ${[...files].join(", ")}`);
}

Deno.test("No two files of src declare a type of the same name", async () => {
  const declared = await declaredIn(SRC);
  assert.deepEqual(several(declared.filter(({ isType }) => isType)), []);
});

Deno.test("No two files of src export the same name", async () => {
  const declared = await declaredIn(SRC);
  assert.deepEqual(
    several(declared.filter(({ isExported }) => isExported)),
    [],
  );
});

Deno.test("No file of src has a function that another one exports", async () => {
  const declared = await declaredIn(SRC);
  const exported = new Set(
    declared.filter(({ isExported }) => isExported).map(({ name }) => name),
  );
  assert.deepEqual(
    several(
      declared.filter(({ name, isFunction }) =>
        isFunction && exported.has(name)
      ),
    ),
    [],
  );
});
