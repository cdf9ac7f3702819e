import assert from "node:assert/strict";
import { formatDocPage } from "@optique/core/doc";
import { getDocPageSync } from "@optique/core/parser";
import config from "../../deno.json" with { type: "json" };
import { VERSION } from "../../mod.ts";
import { anyCommand } from "../../src/cli/command.ts";
import { loadCommands } from "../../src/cli/main.ts";
import { parseCommandLine } from "../../src/cli/parse_command_line.ts";
import { runProgram } from "../programs.ts";

/** The names of all commands, those of groups behind theirs. */
const COMMANDS = await loadCommands([]);
const NAMES = COMMANDS.flatMap(({ usage }) => namesIn(usage));

function namesIn(usage: typeof COMMANDS[number]["usage"]): string[] {
  const [first, ...rest] = usage;
  if (first?.type !== "command") return [];
  const inner = rest.flatMap((term) =>
    term.type === "exclusive" ? term.terms.flatMap(namesIn) : []
  );
  return [first.name, ...inner.map((name) => `${first.name} ${name}`)];
}

Deno.test("the command line tells its version, which is the package's, and its commands", async () => {
  const [version, nothing, help] = await Promise.all(
    [["--version"], [], ["--help"]].map((args) =>
      runProgram(["cli.ts", ...args])
    ),
  );
  assert.deepEqual(version, { code: 0, stdout: `${VERSION}\n`, stderr: "" });
  assert.equal(VERSION, config.version);
  assert.deepEqual(nothing, help);
  assert.equal(help!.code, 0);
  assert.match(help!.stdout, /^Messages between programs.*\nUsage:/);
  for (const name of NAMES.filter((name) => !name.includes(" "))) {
    assert.match(help!.stdout, new RegExp(`^  ${name} +[A-Z]`, "m"));
  }
});

Deno.test("every command has a help text with an example that can be read", () => {
  assert.ok(NAMES.includes("listen") && NAMES.includes("send request"));
  for (const name of NAMES) {
    const words = name.split(" ");
    const page = getDocPageSync(anyCommand(COMMANDS), words)!;
    const help = formatDocPage("platypush-redis", page);
    const [, examples = ""] = help.split("\nExamples:\n");
    assert.match(
      examples,
      new RegExp(`^  platypush-redis ${words[0]}\\b`),
      name,
    );
    for (const line of examples.trimEnd().split("\n")) {
      assertReadable(line);
      // A terminal of 80 columns does not break it.
      assert.ok(line.length <= 80, line);
    }
  }
});

Deno.test("every command line in the guides can be read", async () => {
  const root = new URL("../../", import.meta.url);
  const pages = ["README.md"];
  for await (const { name } of Deno.readDir(new URL("docs/", root))) {
    if (name.endsWith(".md")) pages.push(`docs/${name}`);
  }
  let count = 0;
  for (const page of pages) {
    const text = await Deno.readTextFile(new URL(page, root));
    const commands = [
      ...text.match(/^(\$ )?platypush-redis [^`\n]*$/gm) ?? [],
      ...text.match(/^[^`\n]*\brun -A cli\.ts [^`\n]*$/gm) ?? [],
      ...text.match(/(?<=`)platypush-redis [^`]+(?=`)/g) ?? [],
    ].map((command) => command.replace(/^.* cli\.ts /, "platypush-redis "));
    commands.forEach(assertReadable);
    count += commands.length;
  }
  assert.ok(count >= 50, `only ${count} are there`);
});

Deno.test("the command line refuses what there is not, and says what there is", () => {
  const wrong: [args: string[], error: RegExp][] = [
    [["lissen"], /Unexpected "lissen", did you mean "listen"\?/],
    [["--queue", "jobs"], /"--queue": options stand behind the command/],
    [["completion"], /did you mean "completions"\?/],
    [["--versoin"], /did you mean "--version"\?/],
    [
      ["listen", "--cuont", "1"],
      /Unexpected "--cuont", did you mean "--count"/,
    ],
    [["listen", "--count", "many"], /--count.* a whole number above 0.*"many"/],
    [["listen", "--count"], /--count.* requires `N`/],
    [["listen", "--log-level", "ifno"], /--log-level.*Did you mean "info"\?/],
    [
      ["listen", "--ulr=redis://:secret@h"],
      /Unexpected "--ulr", did you mean "--url"\? See/,
    ],
    [["listen", "--filter", "type"], /--filter.*expected PATH=VALUE/],
    [["listen", "--filter", 'a={"$regex":"(?P<n"}'], /--filter.*\(\?P<n.*">"/],
    [
      ["listen", "--filter", 'a.b={"$almost":1}'],
      /--filter.* on a\.b has .*\$almost.*\$gt/,
    ],
    [["listen", "extra"], /Unexpected "extra"/],
    [["listen", "--queue", ""], /--queue.*the name of a queue.* got ""/],
    [["listen", "--device-id="], /--device-id.*the id of a device.* got ""/],
    [["status", "--url", ""], /--url.*a URL, such as redis:.* got ""/],
    [["send"], /Expected a command: event, request, message/],
    [["dead", "--lst"], /Unexpected "--lst", did you mean "list"\? See/],
    [
      ["dead", "--reason", "failed", "list"],
      /"--reason": options stand behind the command they are for/,
    ],
    [["send", "letter", "x"], /"letter", expected event, request, message/],
    [["send", "event"], /Expected a `TYPE`/],
    [["send", "event", "custom.A", "x"], /expected NAME=VALUE.* "x"/],
    [["send", "event", "custom.A", "__proto__=1"], /cannot be a name/],
    [["send", "event", "custom.A", "x = 1"], /"x ".* no blanks around the "="/],
    [["listen", "--filter", "args.x = 1"], /"args\.x ".* no blanks around/],
    [
      ["listen", "--filter", "args.room= hall"],
      /args\.room would be compared with " hall"; leave out the blank/,
    ],
    [["listen", "--filter", "args.room=hall "], /leave out the blank/],
    [["send", "event", "x=1"], /the type of an event.*but got "x=1"/],
    [["send", "request", "x=1"], /an action, such as light\.on, but got "x=1"/],
    [["status", "main"], /"main", expected an option: .*--queue/],
    [["dead", "list", "failed"], /"failed", expected an option: .*--reason/],
    [["dead", "list", "--reason", "x"], /--reason.*"failed".*"crashed"/],
    [["send", "event", "custom.A", "--wait", "1"], /Unexpected "--wait"/],
    [["send", "request", "light.on", "--wait", "0"], /--wait.*seconds above 0/],
    [["completions", "tcsh"], /"bash", .* but got "tcsh"/],
  ];
  for (const [args, message] of wrong) {
    assert.throws(() => parseCommandLine(args, COMMANDS), (error) => {
      assert.equal((error as Error).name, "UsageError");
      assert.match((error as Error).message, message);
      assert.doesNotMatch((error as Error).message, /\n|secret/);
      return true;
    });
  }
});

Deno.test("an error of use is one line on stderr, and an exit code; help is for each command", async () => {
  const [ended, traced, help] = await Promise.all([
    runProgram(["cli.ts", "lissen"]),
    runProgram(["cli.ts", "lissen"], { env: { PLATYPUSH_DEBUG: "1" } }),
    runProgram(["cli.ts", "send", "event", "--help"]),
  ]);
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /Usage: platypush-redis send event TYPE/);
  assert.deepEqual(ended, {
    code: 2,
    stdout: "",
    stderr: 'error: Unexpected "lissen", did you mean "listen"? See --help\n',
  });
  assert.equal(traced.code, 2);
  assert.match(traced.stderr, /UsageError: Unexpected "lissen".*\n +at /);
});

/** Fails where the command line does not understand what is written as in a shell. */
function assertReadable(line: string): void {
  const words = [...line.matchAll(/((?:'[^']*'|[^\s'])+)/g)]
    .map(([word]) => word.replaceAll("'", ""));
  const start = words.lastIndexOf("platypush-redis") + 1;
  const end = words.findIndex((word, at) =>
    at > start && ["|", "<", ">"].includes(word)
  );
  const args = words.slice(start, end < 0 ? undefined : end);
  assert.doesNotThrow(() => parseCommandLine(args, COMMANDS), line);
}
