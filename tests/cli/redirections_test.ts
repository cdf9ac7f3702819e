import assert from "node:assert/strict";
import { decodeLines } from "../../src/cli/read_lines.ts";
import { TestServer } from "../servers.ts";
import { at, queued } from "./helpers.ts";

const CLI = new URL("../../cli.ts", import.meta.url).pathname;
const ignore = Deno.build.os === "windows";

/** Runs a command as a shell does, where `how` says what is redirected. */
async function redirected(
  how: string,
  ...args: string[]
): Promise<{ code: number; stderr: string }> {
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", how, Deno.execPath(), "run", "--quiet", "-A", CLI, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** A disk that is full. */
const FULL = "/dev/full";

Deno.test({
  name: "A command says that its output cannot be written",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    assert.deepEqual(await redirected(`"$0" "$@" > ${FULL}`, "--help"), {
      code: 1,
      stderr:
        "error: Cannot write to the standard output: No space left on device (os error 28); give it a place that can be written to, and start again\n",
    });
  },
});

Deno.test({
  name: "A command ends with its exit code although its errors go nowhere",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { code } = await redirected(`"$0" "$@" 2> ${FULL}`, "--nothing");
    assert.equal(code, 2);
  },
});

Deno.test({
  name: "send message says that its input cannot be read",
  ignore,
  fn: async () => {
    const how = '"$0" "$@" < /';
    assert.deepEqual(await redirected(how, "send", "message"), {
      code: 2,
      stderr:
        "error: Cannot read the standard input: Is a directory (os error 21); expected messages, one a line\n",
    });
  },
});

Deno.test({
  name:
    "send message sends nothing in place of what is not UTF-8, and what is before it",
  ignore,
  fn: async () => {
    await using server = await TestServer.start();
    const line = (type: string): string =>
      String.raw`{"type": "event", "args": {"type": "custom.${type}"}}\n`;
    const text = line("é") + line("B") + line(String.raw`\377`) + line("D");
    assert.deepEqual(
      await redirected(
        `printf '${text}' | "$0" "$@"`,
        ...["send", "message", ...at(server)],
      ),
      {
        code: 2,
        stderr:
          "error: A line of the standard input is not encoded in UTF-8, as messages are; what is before line 3 was sent\n",
      },
    );
    const types = (await queued(server)).map(({ args }) =>
      (args as Record<string, unknown>).type
    );
    assert.deepEqual(types, ["custom.é", "custom.B"]);
  },
});

Deno.test("decodeLines gives any number of lines, up to one that is not UTF-8", () => {
  const text = "é\n".repeat(200_000);
  const whole = new TextEncoder().encode(text);
  const { lines, isWhole } = decodeLines(whole);
  assert.deepEqual([lines.length, lines.at(-1), isWhole], [200_000, "é", true]);
  const bytes = Uint8Array.of(65, 10, 10, 66, 10, 0xff, 10, 67);
  assert.deepEqual(decodeLines(bytes), {
    lines: ["A", "", "B"],
    isWhole: false,
  });
  assert.deepEqual(decodeLines(Uint8Array.of(65)), {
    lines: ["A"],
    isWhole: true,
  });
});

Deno.test({
  name: "send event sends no text in place of JSON that is nested too deep",
  ignore,
  fn: async () => {
    const value = `x=${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    assert.deepEqual(
      await redirected('"$0" "$@"', "send", "event", "custom.Deep", value),
      {
        code: 2,
        stderr:
          "error: `NAME=VALUE`: x: the value is nested too deep, a message has at most 200 levels. See --help\n",
      },
    );
  },
});
