import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

Deno.test("A program elsewhere finds the package as the README says", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const [, json] = /^```json\n([^`]*"links"[^`]*)^```$/m.exec(readme)!;
  const folder = await Deno.makeTempDir();
  try {
    await Deno.symlink(ROOT.pathname, `${folder}/redis`);
    await Deno.mkdir(`${folder}/mine`);
    await Deno.writeTextFile(`${folder}/mine/deno.json`, json!);
    await Deno.writeTextFile(
      `${folder}/mine/main.ts`,
      `import { Event } from "@platypush/redis";
      import { Bus } from "@platypush/redis/bus";
      import { discover } from "@platypush/redis/zeroconf";
      import { main } from "@platypush/redis/cli";
      console.log([Event, Bus, discover, main].map(({ name }) => name).join());`,
    );
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "main.ts"],
      cwd: `${folder}/mine`,
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    assert.equal(
      decoder.decode(stdout),
      "Event,Bus,discover,main\n",
      decoder.decode(stderr),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
