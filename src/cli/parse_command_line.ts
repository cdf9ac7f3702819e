import { suggestSync } from "@optique/core/parser";
import { runParserSync } from "@optique/core/facade";
import {
  formatMessage,
  type Message,
  message,
  text,
} from "@optique/core/message";
import { findSimilar } from "@optique/core/suggestion";
import { VERSION } from "../version.ts";
import {
  anyCommand,
  type Command,
  type CommandRun,
  usageOf,
} from "./command.ts";
import { printText, terminalWidth } from "./print.ts";
import { UsageError } from "./program.ts";

/** The name that the program is installed. */
const NAME = "platypush-redis";
/** The options that may be anywhere, and are no part of a command. */
const GENERAL = ["--help", "--version"];

/**
 * Reads the arguments of the command line.
 *
 * @param args The arguments, as in `Deno.args`.
 * @param commands The commands that there are.
 * @returns What they ask for: a command, a help text or the version.
 * @throws {UsageError} They ask for nothing that there is.
 */
export function parseCommandLine(
  args: readonly string[],
  commands: readonly Command[],
): CommandRun {
  const output: string[] = [];
  const print: CommandRun = () => printText(output.join(""));
  const parser = anyCommand(commands, {
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
  const candidates = (start: string): string[] =>
    suggestSync(anyCommand(commands), [...before, start] as [string])
      .flatMap((suggestion) =>
        suggestion.kind === "literal" ? [suggestion.text] : []
      );
  const isOption = name.startsWith("-");
  const options = isOption ? candidates("--") : [];
  // Where a command has to be named yet, there are no options.
  const expected = options.length > 0 ? options : candidates("");
  const isInFront = isOption && options.length === 0 && expected.length > 0;
  const [similar] = [
    ...findSimilar(isInFront ? name.replace(/^-+/, "") : name, expected),
    // Two letters at most: "--reason" is not "--version".
    ...findSimilar(name, GENERAL, { maxDistance: 2 }),
  ];
  if (similar !== undefined) {
    return message`Unexpected ${name}, did you mean ${similar}?`;
  }
  if (isInFront) {
    return message`Unexpected ${name}: options stand behind the command they are for.`;
  }
  if (expected.length === 0) {
    const others = candidates("--");
    return others.length === 0
      ? message`Unexpected ${name}.`
      : message`Unexpected ${name}, expected an option: ${
        text(others.join(", "))
      }.`;
  }
  return message`Unexpected ${name}, expected ${text(expected.join(", "))}.`;
}
