import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);
const SRC = new URL("src/", ROOT);

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

/** Gives the words of every source file below a folder, by its path. */
async function wordsBelow(
  folder: URL,
  words = new Map<string, ReadonlySet<string>>(),
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (name.startsWith(".") || name === "node_modules") continue;
    if (isDirectory) await wordsBelow(new URL(`${name}/`, folder), words);
    else if (name.endsWith(".ts")) {
      const file = new URL(name, folder);
      const text = await Deno.readTextFile(file);
      words.set(file.href, new Set(text.match(/\w+/g)));
    }
  }
  return words;
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

Deno.test("What a file of src exports is used by another file", async () => {
  const words = await wordsBelow(ROOT);
  const unused = (await declaredIn(SRC)).filter(
    ({ file, name, isExported }) => {
      const { href } = new URL(file, SRC);
      return isExported &&
        !words.entries().some(([at, all]) => at !== href && all.has(name));
    },
  );
  assert.deepEqual(unused.map(({ file, name }) => `${name}: ${file}`), []);
});
