import type { InboxOptions } from "./inbox_options.ts";

type Check = (value: unknown) => boolean;

const isCount: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) > 0;
const isNumber: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 0;
const isPause: Check = (value) => Number.isFinite(value) && Number(value) >= 0;
const isTime: Check = (value) =>
  isPause(value) && Number(value) > 0 && Number(value) <= 86_400;
const oneOf = (...choices: string[]): [Check, string] => [
  (value) => choices.includes(String(value)),
  choices.map((choice) => `"${choice}"`).join(" or "),
];

/** The options of an inbox that are values, and what they have to be. */
const OPTIONS: Readonly<
  Partial<Record<keyof InboxOptions, [Check, expected: string]>>
> = {
  batchSize: [isCount, "a whole number above 0"],
  maxDeliveries: [isCount, "a whole number above 0"],
  maxInFlight: [isCount, "a whole number above 0"],
  maxDeadLetters: [isNumber, "a whole number from 0 on"],
  retryPause: [isPause, "a number of seconds from 0 on"],
  heartbeatTimeout: [isTime, "a number of seconds above 0, up to a day"],
  delivery: oneOf("at-least-once", "at-most-once"),
  foreign: oneOf("dead-letter", "drop"),
};

/**
 * Refuses values that make no sense.
 *
 * @param options The options of an inbox, and perhaps others.
 * @param what What cannot be done then, as in `Cannot ${what}: …`.
 * @throws {RangeError} A value makes no sense.
 */
export function checkInboxOptions(
  options: Partial<Omit<InboxOptions, "queue">>,
  what: string,
): void {
  for (const [name, [isValid, expected]] of Object.entries(OPTIONS)) {
    const value = options[name as keyof typeof options];
    if (value !== undefined && !isValid(value)) {
      refuseValue(what, name, value, expected);
    }
  }
}

/** Throws the error for a value that makes no sense. */
export function refuseValue(
  what: string,
  name: string,
  value: unknown,
  expected: string,
): never {
  // JSON has neither NaN nor Infinity, nor big integers.
  const shown = ["number", "bigint"].includes(typeof value)
    ? String(value)
    : JSON.stringify(value);
  throw new RangeError(
    `Cannot ${what}: \`${name}\` is ${shown}, expected ${expected}`,
  );
}
