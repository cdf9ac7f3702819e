import assert from "node:assert/strict";
import {
  bash,
  fish,
  nu,
  pwsh,
  type ShellCompletion,
  zsh,
} from "@optique/core/completion";
import { suggestSync } from "@optique/core/parser";
import { completionWords } from "../../scripts/completions.ts";
import { anyCommand } from "../../src/cli/command.ts";
import { complete } from "../../src/cli/complete.ts";
import words from "../../src/cli/completion_words.json" with { type: "json" };
import { loadCommands } from "../../src/cli/main.ts";
import { runProgram } from "../programs.ts";
import { testUnless } from "../test_unless.ts";

const CLI = new URL("../../cli.ts", import.meta.url).pathname;

/** Makes a folder in which `platypush-redis` is a program. */
async function installed(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${path}/platypush-redis`,
    `#!/bin/sh\nexec '${Deno.execPath()}' run --quiet -A '${CLI}' "$@"\n`,
    { mode: 0o755 },
  );
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

async function run(
  shell: string,
  script: string,
  folder: string,
): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(shell, {
    args: ["-c", script],
    env: {
      PATH: `${folder}:${Deno.env.get("PATH")}`,
      XDG_CONFIG_HOME: folder,
      XDG_DATA_HOME: folder,
    },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  assert.equal(decoder.decode(stderr), "");
  return decoder.decode(stdout);
}

function has(shell: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${shell}`] })
    .outputSync().success;
}

/** What is to be completed, and what that gives. */
const CASES: readonly (readonly [words: string, expected: string[]])[] = [
  ["se", ["send"]],
  ["comp", ["completions"]],
  ["completions z", ["zsh"]],
  ["listen --co", ["--config", "--count"]],
  ["dead list --reason f", ["failed", "foreign"]],
  ["send event custom.A --log-level w", ["warning"]],
];

/** For each shell, what loads the completions, and what prints them. */
const SHELLS: Readonly<
  Record<string, { load: string; complete: (words: string) => string }>
> = {
  bash: {
    load: `eval "$(platypush-redis completions bash)"`,
    complete: (words) =>
      `COMP_WORDS=(platypush-redis ${words})
       COMP_CWORD=${words.split(" ").length}
       _platypush-redis
       printf '%s\\n' "\${COMPREPLY[@]}"`,
  },
  fish: {
    load: "platypush-redis completions fish | source",
    complete: (words) => `complete -C 'platypush-redis ${words}'`,
  },
};

for (const [shell, { load, complete }] of Object.entries(SHELLS)) {
  const reason = has(shell) ? undefined : `there is no ${shell}`;
  testUnless(reason, `completions work in ${shell}`, async () => {
    await using folder = await installed();
    const script = [load, ...CASES.map(([words]) => complete(words))];
    const output = await run(shell, script.join("\necho ===\n"), folder.path);
    const answers = output.split("===\n").slice(1).map((answer) =>
      answer.trim().split("\n").map((line) => line.split("\t")[0]!.trim())
        .toSorted()
    );
    assert.deepEqual(answers, CASES.map(([, expected]) => expected));
  });
}

Deno.test("completions for zsh are a script for zsh, and tell of what they offer", async () => {
  const [script, answer, shells] = await Promise.all([
    runProgram(["cli.ts", "completions", "zsh"]),
    runProgram(["cli.ts", "completions", "zsh", "lis"]),
    runProgram(["cli.ts", "completions", "zsh", "completions", ""]),
  ]);
  assert.match(script.stdout, /^#compdef platypush-redis$/m);
  assert.match(answer.stdout, /^listen\0Print messages as they arrive\0/);
  assert.deepEqual(
    shells.stdout.split("\n").map((line) => line.split("\0")[0])
      .filter((name) => name !== "").toSorted(),
    ["bash", "fish", "nu", "pwsh", "zsh"],
  );
  if (!has("zsh")) return;
  const { success, stderr } = await new Deno.Command("zsh", {
    args: ["-nc", script.stdout],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
});

Deno.test("the words to complete are those that the commands take", async () => {
  assert.deepEqual(
    completionWords(await loadCommands([])),
    words,
    "run `deno task completions`",
  );
});

Deno.test("a word is completed as the library would, in each shell, without loading it", async () => {
  const parser = anyCommand(await loadCommands([]));
  const shells: Record<string, ShellCompletion> = { bash, zsh, fish, nu, pwsh };
  const cases = [
    ["li"],
    ["send", "req"],
    ["listen", "--c"],
    ["listen", "--count", "1", "--no-c"],
    ["listen", "--count", "--"],
    ["listen", "--", "--"],
    ["listen", "--filter", ""],
    ["status", "--log-level", "e"],
    ["status", "--log-level=e"],
    ["status", "--config", "/a%b:c"],
    ["status", "--config=/a"],
    ["dead", "list", "--reason", "failed", "--reason", "c"],
    ["send", "event", "custom.A", "room=h"],
    ["completions", "z"],
    ["lissen", "x"],
  ];
  for (const [name, shell] of Object.entries(shells)) {
    for (const words of cases) {
      const suggestions = suggestSync(parser, words as [string]);
      const expected = [...shell.encodeSuggestions(suggestions)].join("\n");
      const lines = (text: string): string[] =>
        text.split(/\n+/).filter(Boolean);
      assert.deepEqual(
        lines(complete(name, words)!),
        lines(expected),
        words.join(" "),
      );
    }
  }
  assert.equal(complete("tcsh", ["li"]), undefined);
  const { code, stdout } = await runProgram(
    ["cli.ts", "completions", "bash", "send", "ev"],
    { permissions: ["-A", "--no-npm"] },
  );
  assert.deepEqual([code, stdout], [0, "event\n"]);
});
