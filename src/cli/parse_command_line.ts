import {
  bash,
  fish,
  nu,
  pwsh,
  type ShellCompletion,
  zsh,
} from "@optique/core/completion";
import { type Suggestion, suggestSync } from "@optique/core/parser";
import { runParserSync } from "@optique/core/facade";
import {
  formatMessage,
  type Message,
  message,
  text,
} from "@optique/core/message";
import { findSimilar } from "@optique/core/suggestion";
import { VERSION } from "../version.ts";
import { type Action, type Command, oneOf, usageOf } from "./command.ts";
import { printText, terminalWidth } from "./print.ts";
import { UsageError } from "./program.ts";

/** The command that prints a script for a shell, and completes words for it. */
const COMPLETIONS = "completions";

const SHELLS = { bash, zsh, fish, pwsh, nu };

/**
 * The shells that there are scripts for. They complete `completions` itself too,
 * which the parser of the other commands does not know.
 *
 * @param args The arguments: `completions SHELL`, and the words to complete.
 */
function completionShells(
  args: readonly string[],
): Record<string, ShellCompletion> {
  const words = args.slice(2);
  return Object.fromEntries(
    Object.entries(SHELLS).map(([name, shell]) => [name, {
      ...shell,
      encodeSuggestions: (suggestions) =>
        shell.encodeSuggestions(withCompletions(suggestions, words)),
    }]),
  );
}

function withCompletions(
  suggestions: readonly Suggestion[],
  words: readonly string[],
): readonly Suggestion[] {
  const word = words.at(-1)!;
  const literals = (names: readonly string[]): Suggestion[] =>
    names.filter((name) => name.startsWith(word))
      .map((text) => ({ kind: "literal", text }));
  if (words.length === 1) return [...suggestions, ...literals([COMPLETIONS])];
  if (words[0] !== COMPLETIONS) return suggestions;
  return words.length === 2 ? literals(Object.keys(SHELLS)) : [];
}

/** The name that the program is installed and completed under. */
const NAME = "platypush-redis";
/** The options that may be anywhere, and are no part of a command. */
const GENERAL = ["--help", "--version"];

/**
 * Reads the arguments of the command line.
 *
 * @param args The arguments, as in `Deno.args`.
 * @param commands The commands that there are.
 * @returns What they ask for: a command, a help text, the version, or what a
 * shell needs for completions.
 * @throws {UsageError} They ask for nothing that there is.
 */
export function parseCommandLine(
  args: readonly string[],
  commands: readonly Command[],
): Action {
  const output: string[] = [];
  const print: Action = () => printText(output.join(""));
  const parser = oneOf(commands, {
    unexpectedInput: (token) => unexpected(token, args, commands),
  });
  return runParserSync(parser, NAME, args, {
    brief:
      message`Messages between programs over a Redis queue, as Platypush sends them.`,
    usageLine: usageOf("COMMAND [OPTION]…"),
    commandList: "top-level",
    termWidth: "auto",
    maxWidth: Math.max(40, terminalWidth()),
    help: { option: { names: ["--help", "-h"] }, onShow: () => print },
    version: {
      option: { names: ["--version", "-V"] },
      value: VERSION,
      onShow: () => print,
    },
    completion: {
      command: { names: [COMPLETIONS] },
      shells: completionShells(args),
      onShow: () => print,
    },
    footer: [
      text(
        "Exit codes: 0 done, 1 the answer is no, 2 used wrongly, 3 no connection.",
      ),
    ],
    stdout: (text) => output.push(`${text}\n`),
    stderr: () => {},
    aboveError: "none",
    onError: (_code, error): never => {
      const sentence = formatMessage(error).replace(/\s*\n\s*/g, " ")
        .replace(/\bExpected a (?=[`"]?[AEIO])/g, "Expected an ");
      const end = /[.?!]$/.test(sentence) ? "" : ".";
      throw new UsageError(`${sentence}${end} See --help`);
    },
  });
}

/** Says what could have stood where something unexpected does. */
function unexpected(
  token: string,
  args: readonly string[],
  commands: readonly Command[],
): Message {
  // Behind the "=" there may be a secret.
  const name = token.split("=")[0]!;
  const before = args.slice(0, args.indexOf(token));
  const start = name.startsWith("-") ? "--" : "";
  const expected = suggestSync(oneOf(commands), [...before, start] as [string])
    .flatMap((suggestion) =>
      suggestion.kind === "literal" ? [suggestion.text] : []
    );
  const own = before.length === 0 ? [COMPLETIONS] : [];
  const [similar] = findSimilar(name, [...expected, ...own, ...GENERAL]);
  if (similar !== undefined) {
    return message`Unexpected ${name}, did you mean ${similar}?`;
  }
  if (expected.length === 0) return message`Unexpected ${name}.`;
  return message`Unexpected ${name}, expected ${text(expected.join(", "))}.`;
}
