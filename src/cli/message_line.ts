import {
  jsonText,
  type Message,
  type MessageSummary,
  summarize,
} from "../../mod.ts";
import { displayWidth, shorten } from "./layout.ts";
import { type Paint, printable, type Style } from "./print.ts";

/** The colours of the kinds of messages; any other kind is bold. */
const STYLES: Readonly<Record<string, Style>> = {
  event: "green",
  request: "yellow",
  response: "magenta",
};

/**
 * Writes a message as one short line for people: when, what, the most important
 * of it, and from whom to whom.
 *
 * @param width How many columns of a terminal the line may take; what is more is
 * cut off.
 */
export function messageLine(
  message: Message,
  width: number,
  paint: Paint,
): string {
  const time = new Date(message.timestamp * 1000).toTimeString().slice(0, 8);
  const { label, subject, details, failed } = summarize(message);
  const route = message.origin === message.target
    ? message.target
    : `${message.origin} → ${message.target}`;
  const parts: [style: Style, text: string][] = [
    ["dim", time],
    [failed ? "red" : STYLES[label] ?? "bold", label.padEnd(8)],
    ["bold", subject],
    ["cyan", route],
  ];
  const line: string[] = [];
  let left = width;
  for (const [style, text] of parts) {
    if (left < 1) break;
    const short = shorten(printable(text), left);
    left -= displayWidth(short) + 1;
    line.push(paint(style, short));
  }
  const rest = shorten(printable(detailsLine(details)), left);
  return [...line, rest].filter(Boolean).join(" ");
}

/** Writes values by name as one would write them behind `send event`, a list with semicolons. */
function detailsLine(details: MessageSummary["details"]): string {
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
