import { jsonText } from "./json_value.ts";
import type { MessageSummary } from "./message_kinds.ts";

/**
 * Writes what a message tells on one line, as one would write it behind
 * `send event`; a list with semicolons.
 */
export function detailsLine(details: MessageSummary["details"]): string {
  if (details instanceof Array) return details.map(word).join("; ");
  return Object.entries(details)
    .map(([name, value]) => `${name}=${word(value)}`)
    .join(" ");
}

/** Writes a value as short as it is clear: a text that is one word needs no quotes. */
function word(value: unknown): string {
  return typeof value === "string" && /^[^\s"'{}[\]]+$/.test(value)
    ? value
    : jsonText(value);
}
