import { type Message, summarize } from "../../mod.ts";
import { detailsLine } from "../message/details_line.ts";
import { printable, type Screen, type Style } from "./print.ts";
import { cutToWidth, displayWidth } from "./table.ts";

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
 * @param screen What is wider than it is cut off.
 */
export function messageLine(
  message: Message,
  { paint, width }: Screen,
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
    const short = cutToWidth(printable(text), left);
    left -= displayWidth(short) + 1;
    line.push(paint(style, short));
  }
  const rest = cutToWidth(printable(detailsLine(details)), left);
  return [...line, rest].filter(Boolean).join(" ");
}
