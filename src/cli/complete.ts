import COMMANDS from "./completion_words.json" with { type: "json" };

/** The words that may stand behind a command, and what they mean. */
export interface CommandWords {
  /** One line about the command. */
  readonly brief: string;
  /** The commands that it has of its own, by their names. */
  readonly commands?: Readonly<Record<string, CommandWords>>;
  /** Its options, by their names; none where it has commands of its own. */
  readonly options?: Readonly<Record<string, OptionWords>>;
  /** The values that its first argument may have, where it knows them. */
  readonly values?: readonly string[];
}

/** Describes an option. */
interface OptionWords {
  /** One line about it. */
  readonly brief: string;
  /** The value that has to follow it: one of some, a file, or any. */
  readonly value?: readonly string[] | "file" | "any";
}

/** Something that a word can become: a text, or whatever file begins with it. */
type Suggestion = readonly [text: string, brief?: string] | "file";

const ROOT: CommandWords = {
  brief: "",
  commands: COMMANDS as Readonly<Record<string, CommandWords>>,
};
const GENERAL: readonly Suggestion[] = [["--help"], ["--version"]];

/**
 * Writes suggestions as the script for a shell reads them. The scripts are
 * made by `@optique/core`, and this is what it would write; it is done by hand
 * since loading it takes ten times as long, and somebody waits behind the Tab key.
 */
const WRITERS: Readonly<
  Record<string, (texts: readonly (readonly [string, string])[]) => string>
> = {
  bash: (all) => all.map(([text]) => text).join("\n"),
  zsh: (all) => all.map(([text, brief]) => `${text}\0${brief}\0`).join("\n"),
  fish: (all) => all.map((each) => each.join("\t")).join("\n"),
  nu: (all) => all.map((each) => each.join("\t")).join("\n"),
  pwsh: (all) =>
    all.map(([text, brief]) =>
      [text, text.startsWith(FILE) ? "[file]" : text, brief].join("\t")
    ).join("\n"),
};

/** Begins what lets a script look for files itself. */
const FILE = "__FILE__:";

/**
 * Completes a word, for the script that `completions` has printed.
 *
 * @param shell The shell, which reads the answer in its own way.
 * @param words What was typed behind the program's name; the last word is the
 * one to complete, and may be empty.
 * @returns The answer, or `undefined` where there is no such shell.
 */
export function complete(
  shell: string,
  words: readonly string[],
): string | undefined {
  const word = words.at(-1) ?? "";
  const texts = suggest(words.slice(0, -1), word).flatMap((each) => {
    if (each === "file") return [[fileOf(shell, word), ""] as const];
    const [text, brief = ""] = each;
    return text.startsWith(word) ? [[text, brief] as const] : [];
  });
  return Object.hasOwn(WRITERS, shell)
    ? `${WRITERS[shell]!(texts)}\n`
    : undefined;
}

function suggest(before: readonly string[], word: string): Suggestion[] {
  let command = ROOT;
  let depth = 0;
  while (Object.hasOwn(command.commands ?? {}, before[depth] ?? "")) {
    command = command.commands![before[depth++]!]!;
  }
  const rest = before.slice(depth);
  if (rest.includes("--")) return [];
  const { commands, options = {}, values = [] } = command;
  if (commands !== undefined) {
    if (rest.length > 0) return [];
    return word.startsWith("-")
      ? [...GENERAL]
      : Object.entries(commands).map(described);
  }
  const last = rest.at(-1) ?? "";
  const awaited = Object.hasOwn(options, last) && options[last]!.value;
  if (awaited) return valuesOf(awaited);
  const joined = /^(--[^=]+=)/.exec(word)?.[1];
  if (joined !== undefined) {
    const name = joined.slice(0, -1);
    const value = Object.hasOwn(options, name) && options[name]!.value;
    return value ? valuesOf(value, joined) : [];
  }
  const first = rest.length === 0 ? values.map(literal) : [];
  if (word === "" && first.length > 0) return first;
  return [...first, ...Object.entries(options).map(described), ...GENERAL];
}

function literal(text: string): Suggestion {
  return [text];
}

function described(
  [name, { brief }]: [string, { readonly brief: string }],
): Suggestion {
  return [name, brief];
}

function valuesOf(
  value: NonNullable<OptionWords["value"]>,
  joined = "",
): Suggestion[] {
  if (value === "any") return [];
  if (value === "file") return ["file"];
  return value.map((text) => literal(joined + text));
}

/** Writes that files are wanted; behind a `=`, only the script for bash looks for them. */
function fileOf(shell: string, word: string): string {
  const joined = /^--[^=]+=/.exec(word)?.[0];
  if (joined === undefined) {
    const escaped = word.replaceAll("%", "%25").replaceAll(":", "%3A");
    return `${FILE}any::${escaped}:0`;
  }
  return shell === "bash" ? `__JOINED_FILE__:${joined}:any:::0` : word;
}
