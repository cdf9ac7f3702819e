import assert from "node:assert/strict";
import { Program, runProgram, whyNoTerminals } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { testUnless } from "../test_unless.ts";

const ROOT = new URL("../../", import.meta.url);
const RECIPE = "### A new kind of message";

/** What the recipe tells to write: a new file and its name, and a line of `mod.ts`. */
async function recipe(): Promise<{ name: string; file: string; line: string }> {
  const page = await Deno.readTextFile(new URL("CONTRIBUTING.md", ROOT));
  const text = page.slice(page.indexOf(RECIPE));
  const name = /,\sin\s`(src\/message\/\w+\.ts)`:/.exec(text)?.[1];
  const blocks = [...text.matchAll(/^```ts ignore\n([^]*?)^```$/gm)];
  assert.ok(name !== undefined && blocks.length === 2);
  return { name, file: blocks[0]![1]!, line: blocks[1]![1]! };
}

/** Copies what is published, as far as it is code. */
async function copyTree(to: string): Promise<void> {
  const names = ["mod.ts", "cli.ts", "deno.json", "deno.lock", "src"];
  const sources = names.map((name) => new URL(name, ROOT).pathname);
  const { success } = await new Deno.Command("cp", {
    args: ["-r", ...sources, to],
  }).output();
  assert.ok(success);
}

async function deno(...args: string[]): Promise<string> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stderr);
  assert.ok(success, text);
  return text;
}

testUnless(
  whyNoTerminals(),
  "A kind of messages made by the recipe is built, sent and printed",
  async () => {
    const tree = await Deno.makeTempDir();
    try {
      await copyTree(tree);
      const { name, file, line } = await recipe();
      await Deno.writeTextFile(`${tree}/${name}`, file);
      await Deno.writeTextFile(`${tree}/src/message/mod.ts`, line, {
        append: true,
      });
      await Deno.writeTextFile(
        `${tree}/notice_test.ts`,
        `import assert from "node:assert/strict";
        import { Bus, Message, Notice } from "./mod.ts";
        const wire = { type: "notice", notice: { title: "Rain" }, target: "hall" };
        Deno.test("a notice", async () => {
          const built = Message.build(JSON.stringify(wire));
          assert.ok(built instanceof Notice);
          assert.deepEqual(Message.build(built.toString()), built);
          await using bus = new Bus({ deviceId: "hall" });
          const seen: Notice[] = [];
          bus.registerHandler(Notice, (notice) => seen.push(notice));
          await bus.post(wire);
          await bus.flush();
          assert.equal(seen[0]?.notice.title, "Rain");
        });
        `,
      );
      const config = `--config=${tree}/deno.json`;
      await deno("check", config, `${tree}/cli.ts`, `${tree}/notice_test.ts`);
      await deno("test", "-A", config, `${tree}/notice_test.ts`);

      await using server = await TestServer.start();
      const { url } = server;
      const place = ["--url", url, "--device-id", "hall"];
      const sent = await runProgram([
        ...[`${tree}/cli.ts`, "send", "message", ...place],
        '{"type": "notice", "target": "hall", "notice": {"title": "Rain", "at": 5}}',
      ]);
      assert.equal(sent.code, 0, sent.stderr);
      await using listener = new Program(
        [`${tree}/cli.ts`, "listen", "--count", "1", ...place],
        { isOnTerminal: true, env: { NO_COLOR: "1" } },
      );
      const { stdout, code } = await listener.end();
      assert.match(stdout, /notice {3}Rain hall at=5/);
      assert.equal(code, 0);
    } finally {
      await Deno.remove(tree, { recursive: true });
    }
  },
);
