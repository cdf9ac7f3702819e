import assert from "node:assert/strict";
import { jsonLine, printable } from "../../src/cli/print.ts";
import { Program, whyNoTerminals } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { testUnless } from "../test_unless.ts";

/** What a terminal would obey: to clear, to colour, to begin a line, to write backwards. */
const EVIL = "\x1b[2J\x9b31m\r\nfaked line\u202e\u061c";
const SHOWN = String.raw`\u001b[2J\u009b31m\u000d\u000afaked line\u202e\u061c`;
/** The codes with which the command paints. */
// deno-lint-ignore no-control-regex -- they are what is looked for
const PAINT = /\x1b\[\d+m/g;

/**
 * Runs `listen` on a terminal, on a queue with a foreign name, and returns the
 * lines up to the warning of a message with a foreign id.
 */
async function warn(env: Record<string, string>): Promise<string[]> {
  await using server = await TestServer.start();
  const queue = `lights${EVIL}`;
  const message = {
    ...{ type: "event", id: `a${EVIL}`, target: `stranger${EVIL}` },
    args: { type: "custom.A" },
  };
  await server.run("RPUSH", queue, JSON.stringify(message));
  await using listen = new Program([
    ...["cli.ts", "listen", "--device-id", "hall"],
    ...["--url", server.url, "--queue", queue],
  ], { isOnTerminal: true, env });
  const lines: string[] = [];
  do lines.push((await listen.line()).replace(/\r$/, "")); while (
    !lines.at(-1)!.includes('expected "hall"')
  );
  await listen.end("SIGTERM");
  return lines;
}

testUnless(
  whyNoTerminals(),
  "Warnings show a foreign id and name as escapes",
  async () => {
    const lines = await warn({});
    assert.match(lines.join(""), PAINT);
    const plain = lines.map((line) => line.replace(PAINT, ""));
    for (const line of plain) assert.doesNotMatch(line, /[\p{Cc}\p{Bidi_C}]/u);
    const last = plain.at(-1)!;
    assert.match(last, /^\d\d:\d\d:\d\d WRN redis: A message of /);
    for (const text of [`"lights${SHOWN}"`, `a${SHOWN} is for`]) {
      assert.ok(last.includes(text), last);
    }
  },
);

testUnless(
  whyNoTerminals(),
  "A terminal that is dumb gets no codes, in warnings either",
  async () => {
    const lines = await warn({ TERM: "dumb" });
    for (const line of lines) assert.doesNotMatch(line, /[\p{Cc}\p{Bidi_C}]/u);
    assert.ok(lines.at(-1)!.includes(`a${SHOWN} is for`), lines.at(-1)!);
  },
);

Deno.test("What turns the direction of a line is shown as escapes, in JSON too", () => {
  for (const code of [0x61c, 0x200e, 0x200f, 0x202a, 0x202e, 0x2066, 0x2069]) {
    const text = `a${String.fromCodePoint(code)}b`;
    const hex = code.toString(16);
    assert.equal(printable(text), `a\\u{${hex}}b`);
    const json = jsonLine(text);
    assert.equal(json, `"a\\u${hex.padStart(4, "0")}b"`);
    assert.equal(JSON.parse(json), text);
  }
});
