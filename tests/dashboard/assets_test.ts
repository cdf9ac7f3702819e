import assert from "node:assert/strict";
import { assetsModule } from "../../scripts/assets.ts";
import { dashboard } from "../../src/dashboard/mod.ts";
import { CHARTS_PATH } from "../../src/dashboard/serve_asset.ts";
import { ask } from "./ask.ts";

const FILE = new URL("../../src/dashboard/assets.ts", import.meta.url);

Deno.test("The module of the script and the style is what `deno task assets` makes", async () => {
  assert.equal(await Deno.readTextFile(FILE), await assetsModule());
});

Deno.test("All that a browser loads is below 150 kB, compressed, and kept for good", async () => {
  await using page = dashboard({ bus: false, token: "correct horse" });
  const text = await (await ask(page, "/login")).text();
  const paths = [...text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)]
    .map(([, path]) => path!);
  assert.equal(paths.length, 3);
  let bytes = 0;
  for (const path of [...paths, CHARTS_PATH]) {
    const response = await ask(page, path, {
      headers: { "accept-encoding": "gzip, br" },
    });
    assert.equal(response.status, 200);
    assert.match(response.headers.get("cache-control")!, /immutable/);
    assert.equal(response.headers.get("content-encoding"), "gzip");
    bytes += (await response.arrayBuffer()).byteLength;
    const plain = await ask(page, path);
    assert.equal(plain.headers.get("content-encoding"), null);
    await plain.body?.cancel();
  }
  assert.ok(bytes < 150_000, `${bytes} bytes`);
});
