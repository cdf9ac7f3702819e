import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import config from "../../deno.json" with { type: "json" };
import { PAGES, withTables } from "../../scripts/options.ts";

const ROOT = new URL("../../", import.meta.url);

/** The pages that people read, by their names. */
async function pages(): Promise<Map<string, string>> {
  const names = ["README.md", "CONTRIBUTING.md", "bench/README.md"];
  for await (const { name } of Deno.readDir(new URL("docs/", ROOT))) {
    if (name.endsWith(".md")) names.push(`docs/${name}`);
  }
  return new Map(
    await Promise.all(
      names.map(async (name) =>
        [name, await Deno.readTextFile(new URL(name, ROOT))] as const
      ),
    ),
  );
}

/** The sources of all tests, one after the other. */
async function testSources(folder = new URL("tests/", ROOT)): Promise<string> {
  let sources = "";
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) sources += await testSources(new URL(`${name}/`, folder));
    else if (name.endsWith("_test.ts")) {
      sources += await Deno.readTextFile(new URL(name, folder));
    }
  }
  return sources;
}

/** Tells whether a file of this package is published, by the lists of `deno.json`. */
function isPublished(path: string): boolean {
  return config.publish.include.some((entry) =>
    entry.endsWith("/") ? path.startsWith(entry) : path === entry
  );
}

/** Text without code blocks, line ends and the padding of tables. */
function prose(page: string): string {
  return page.replace(/^```[\s\S]*?^```/gm, "").replace(/\s+/g, " ");
}

/** The anchor that a heading has on the web. */
function anchor(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}\s-]/gu, "")
    .replace(/\s/g, "-");
}

Deno.test("The links of the guides lead somewhere", async () => {
  const all = await pages();
  for (const [name, page] of all) {
    for (const [, target] of prose(page).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const url = new URL(target!, new URL(name, ROOT));
      const hash = url.hash.slice(1);
      url.hash = "";
      assert.ok(existsSync(url), `${name} links to ${target}`);
      if (hash === "") continue;
      const linked = await Deno.readTextFile(url);
      const anchors = [...linked.matchAll(/^#+ (.*)$/gm)]
        .map(([, heading]) => anchor(heading!));
      assert.ok(anchors.includes(hash), `${name} links to ${target}`);
    }
  }
});

Deno.test("Every picture is shown in a guide", async () => {
  const text = [...(await pages()).values()].join("\n");
  for (const folder of ["docs/images", "docs/plots"]) {
    for await (const { name } of Deno.readDir(new URL(folder, ROOT))) {
      assert.ok(
        text.includes(`/${name})`),
        `${folder}/${name} is shown nowhere`,
      );
    }
  }
});

Deno.test("What the published guides link to is published", async () => {
  for (const entry of config.publish.include) {
    assert.match(entry, /^[\w./-]+$/, "only files and folders are known here");
  }
  const published = [...await pages()].filter(([name]) => isPublished(name));
  for (const [name, page] of published) {
    for (const [, target] of prose(page).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const { pathname } = new URL(target!, new URL(name, ROOT));
      const path = pathname.slice(ROOT.pathname.length);
      assert.ok(isPublished(path), `${name} links to ${target}`);
    }
  }
  assert.ok(published.length >= 20, `only ${published.length} are published`);
});

Deno.test("The tests that the guides name are there", async () => {
  const sources = await testSources();
  const folders = { F: "faults", R: "redis", B: "backend", W: "bus" };
  let count = 0;
  for (const [name, page] of await pages()) {
    const text = prose(page);
    for (const [, path] of text.matchAll(/`([A-Za-z_/]+_test\.ts)`/g)) {
      const folder = Object.entries(folders)
        .find(([letter]) => path!.startsWith(`${letter}/`));
      const whole = folder === undefined
        ? path!
        : `tests/${folder[1]}${path!.slice(1)}`;
      assert.ok(existsSync(new URL(whole, ROOT)), `${name} names ${path}`);
    }
    const behindPaths = /(?:_test\.ts`|tests\)?|[,;(]|\b[A-Z])\s"([^"`]+)"/g;
    for (const [, quoted] of text.matchAll(behindPaths)) {
      if (!quoted!.includes(" ")) continue;
      const title = quoted!.replace(/^… | …$/g, "")
        .replace("(at-most-once)", "(${delivery})");
      assert.ok(sources.includes(title), `${name} names the test "${quoted}"`);
      count++;
    }
  }
  assert.ok(count >= 50, `only ${count} tests are named`);
});

Deno.test("The files that the guides name are there", async () => {
  /** The file that the recipe for a new kind of message makes. */
  const recipe = "src/message/notice.ts";
  const path = /`((?:src|bench|scripts|tests|examples)\/[\w./-]+)`/g;
  let count = 0;
  for (const [name, page] of await pages()) {
    for (const [, file] of prose(page).matchAll(path)) {
      if (file === recipe) continue;
      assert.ok(existsSync(new URL(file!, ROOT)), `${name} names ${file}`);
      count++;
    }
  }
  assert.ok(count >= 100, `only ${count} files are named`);
});

Deno.test("The tables of options are what the rows say", async () => {
  const all = await pages();
  for (const name of PAGES) {
    const page = all.get(name)!;
    assert.match(page, /<!-- end -->/, name);
    assert.equal(
      await withTables(page),
      page,
      `${name} is not what \`deno task options\` writes`,
    );
  }
  const settings = all.get("README.md")!.split("## Settings")[1]!;
  assert.match(settings, /\| `maxDeliveries` +\| .*\| 3 +\|/);
});

Deno.test("The guide to performance is read in two minutes", async () => {
  const page = (await pages()).get("docs/performance.md")!;
  const seen = page.replace(/<!--.*?-->|\]\([^)]*\)/g, "");
  const words = seen.match(/[\p{L}\p{N}][^\s]*/gu)!.length;
  assert.ok(words <= 500, `it has ${words} words`);
});
