import { Event, type Message, Request, Response } from "../../mod.ts";
import type { Paint, Style } from "./paint.ts";
import { printable } from "./printable.ts";

/**
 * Writes a message as one short line for people: when, what, the most important
 * of it, and from whom to whom.
 *
 * @param message The message.
 * @param width How many characters the line may have.
 * @param paint Gives it colours.
 */
export function messageLine(
  message: Message,
  width: number,
  paint: Paint,
): string {
  const time = new Date(message.timestamp * 1000).toTimeString().slice(0, 8);
  const { style, subject, rest } = summaryOf(message);
  const route = message.origin === message.target
    ? message.target
    : `${message.origin} → ${message.target}`;
  const parts: [style: Style, text: string][] = [
    ["dim", time],
    [style, message.type.padEnd(8)],
    ["bold", subject],
    ["cyan", route],
  ];
  const line: string[] = [];
  let left = width;
  for (const [style, text] of parts) {
    const short = shorten(printable(text), left);
    left -= short.length + 1;
    line.push(paint(style, short));
  }
  const details = shorten(printable(rest), left);
  return [...line, details].filter(Boolean).join(" ");
}

/** What a message is about. */
function summaryOf(
  message: Message,
): { style: Style; subject: string; rest: string } {
  if (message instanceof Event) {
    const { type, ...args } = message.args;
    return { style: "green", subject: type, rest: pairs(args) };
  }
  if (message instanceof Request) {
    const { action, args } = message;
    return { style: "yellow", subject: action, rest: pairs(args) };
  }
  const { errors, output, id } = message as Response;
  return errors.length > 0
    ? { style: "red", subject: id, rest: errors.map(word).join("; ") }
    : { style: "magenta", subject: id, rest: word(output) };
}

/** As one would write them behind `send event`. */
function pairs(args: Readonly<Record<string, unknown>>): string {
  return Object.entries(args)
    .map(([name, value]) => `${name}=${word(value)}`)
    .join(" ");
}

/** A value as short as it is clear: a text that is one word needs no quotes. */
function word(value: unknown): string {
  return typeof value === "string" && /^[^\s"'{}[\]]+$/.test(value)
    ? value
    : JSON.stringify(value);
}

function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  // Not between the halves of a surrogate pair.
  return `${
    text.slice(0, Math.max(0, length - 1)).replace(/[\uD800-\uDBFF]$/, "")
  }…`;
}
