import assert from "node:assert/strict";
import { publicApi } from "./public_api.ts";

const ROOT = new URL("../../", import.meta.url);

/** Every source file of the package, by its path. */
async function* sources(
  folder = "src/",
): AsyncGenerator<[path: string, text: string]> {
  for await (
    const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))
  ) {
    const path = folder + name;
    if (isDirectory) yield* sources(`${path}/`);
    else if (name.endsWith(".ts")) {
      yield [path, await Deno.readTextFile(new URL(path, ROOT))];
    }
  }
}

Deno.test("Docstrings say what a thing does, and open with no question word", async () => {
  const questions: string[] = [];
  let docstrings = 0;
  for await (const [path, text] of sources()) {
    for (const { 0: start, index } of text.matchAll(/\/\*\*[\s*]*(\w+)?/g)) {
      docstrings++;
      if (!/\b(?:What|How|Whether|Where)$/.test(start)) continue;
      const line = text.slice(0, index).split("\n").length;
      questions.push(`${path}:${line}`);
    }
  }
  assert.ok(docstrings > 1000, `only ${docstrings}`);
  assert.deepEqual(questions, []);
});

Deno.test("A @param of a public symbol says more than its name", async () => {
  const short: string[] = [];
  for (const { name, doc } of await publicApi()) {
    for (const tag of doc.tags ?? []) {
      const words = tag.doc?.trim().split(/\s+/).length ?? 0;
      if (tag.kind === "param" && words <= 4) {
        short.push(`${name}: @param ${tag.name} ${tag.doc}`);
      }
    }
  }
  assert.deepEqual(short, []);
});
