import { Buffer } from "node:buffer";
import type { DeadLetter } from "../../mod.ts";
import { printableJson } from "./printable.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The message of a dead letter as text, or `undefined` where it is not UTF-8. */
export function textOf({ payload }: DeadLetter): string | undefined {
  try {
    return decoder.decode(payload);
  } catch {
    return undefined;
  }
}

/** The message of a dead letter in base64. */
export function base64Of({ payload }: DeadLetter): string {
  return Buffer.from(payload).toString("base64");
}

/**
 * Writes a dead letter as one line of JSON: with the message as text under
 * `message`, or under `base64` where it is not UTF-8.
 */
export function deadLetterJson(letter: DeadLetter): string {
  const { payload: _, ...rest } = letter;
  const message = textOf(letter);
  const whole = message === undefined
    ? { ...rest, base64: base64Of(letter) }
    : { ...rest, message };
  return printableJson(JSON.stringify(whole));
}
