import {
  bash,
  fish,
  nu,
  pwsh,
  type ShellCompletion,
  zsh,
} from "@optique/core/completion";
import type { Suggestion } from "@optique/core/parser";

/** The command that prints a script for a shell, and completes words for it. */
export const COMPLETIONS = "completions";

const SHELLS = { bash, zsh, fish, pwsh, nu };

/**
 * The shells that there are scripts for. They complete `completions` itself too,
 * which the parser of the other commands does not know.
 *
 * @param args The arguments: `completions SHELL`, and the words to complete.
 */
export function completionShells(
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
