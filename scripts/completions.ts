/**
 * Writes what shells complete into `src/cli/completion_words.json`, from the
 * commands: to load them all takes longer than one waits behind the Tab key.
 *
 * @module
 */

import { formatMessage } from "@optique/core/message";
import { type Suggestion, suggestSync } from "@optique/core/parser";
import type { Usage, UsageTerm } from "@optique/core/usage";
import { anyCommand, type Command } from "../src/cli/command.ts";
import type { CommandWords } from "../src/cli/complete.ts";
import { loadCommands } from "../src/cli/main.ts";

type Options = NonNullable<CommandWords["options"]>;

/**
 * Lists the words that may stand behind commands.
 *
 * @param commands The commands.
 * @returns The words behind each command, by its name.
 */
export function completionWords(
  commands: readonly Command[],
): Record<string, CommandWords> {
  const parser = anyCommand(commands);
  const suggest = (...words: string[]): readonly Suggestion[] =>
    suggestSync(parser, words as [string]);
  const describe = (usage: Usage, before: string[]): [string, CommandWords] => {
    const [{ name }, ...rest] = usage as [
      Extract<UsageTerm, { type: "command" }>,
      ...Usage,
    ];
    const path = [...before, name];
    const [itself] = suggest(...path);
    const brief = briefOf(itself);
    const own = rest.flatMap(alternatives).filter(isCommand);
    if (own.length > 0) {
      const commands = Object.fromEntries(
        own.map((usage) => describe(usage, path)),
      );
      return [name, { brief, commands }];
    }
    const options: Options = Object.fromEntries(
      suggest(...path, "--").flatMap((suggestion) =>
        suggestion.kind !== "literal" ? [] : [[suggestion.text, {
          brief: briefOf(suggestion),
          ...(takesValue(rest, suggestion.text) && {
            value: valueOf(suggest(...path, suggestion.text, "")),
          }),
        }]]
      ),
    );
    const values = literals(suggest(...path, ""));
    return [name, { brief, options, ...(values.length > 0 && { values }) }];
  };
  return Object.fromEntries(
    commands.map(({ usage }) => describe(usage, [])),
  );
}

function isCommand([first]: Usage): boolean {
  return first?.type === "command";
}

function alternatives(term: UsageTerm): Usage[] {
  return term.type === "exclusive" ? [...term.terms] : [];
}

function takesValue(usage: Usage, name: string): boolean {
  return usage.some((term) => {
    if (term.type === "option") {
      return term.metavar !== undefined &&
        (term.names as readonly string[]).includes(name);
    }
    return "terms" in term &&
      (term.terms as readonly unknown[]).flat()
        .some((inner) => takesValue([inner as UsageTerm], name));
  });
}

function valueOf(
  suggestions: readonly Suggestion[],
): NonNullable<Options[string]["value"]> {
  if (suggestions.some(({ kind }) => kind === "file")) return "file";
  const texts = literals(suggestions);
  return texts.length > 0 ? texts : "any";
}

function literals(suggestions: readonly Suggestion[]): string[] {
  return suggestions.flatMap((each) =>
    each.kind === "literal" && !each.text.startsWith("-") ? [each.text] : []
  );
}

function briefOf(suggestion: Suggestion | undefined): string {
  const { description } = suggestion ?? {};
  return description === undefined
    ? ""
    : formatMessage(description, { colors: false, quotes: false })
      .replace(/\s+/g, " ");
}

if (import.meta.main) {
  const words = completionWords(await loadCommands([]));
  await Deno.writeTextFile(
    new URL("../src/cli/completion_words.json", import.meta.url),
    `${JSON.stringify(words, null, 2)}\n`,
  );
}
