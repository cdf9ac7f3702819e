import type { RedisBackendOptions } from "../backend/mod.ts";
import { ARGUMENTS } from "../redis/options.ts";

type Check = (value: unknown) => boolean;

/** What a value in a file has to be: the check, and its words for people. */
export type Expectation = readonly [Check, expected: string];

const isText: Check = (value) => typeof value === "string" && value !== "";
const isBoolean: Check = (value) => typeof value === "boolean";
const isCount: Check = (value) => Number.isInteger(value) && Number(value) > 0;
const isSeconds: Check = (value) => typeof value === "number" && value >= 0;
const oneOf = (...choices: string[]): Expectation => [
  (value) => choices.includes(value as string),
  choices.map((choice) => `"${choice}"`).join(" or "),
];

const COUNT: Expectation = [isCount, "a whole number above 0"];
const SECONDS: Expectation = [isSeconds, "a number of seconds from 0 on"];
const TEXT: Expectation = [isText, "a text"];

/** What may be under `backend.redis`: the option, and what it has to be. */
export const BACKEND_OPTIONS: Readonly<
  Record<string, [keyof RedisBackendOptions, Expectation]>
> = {
  queue: ["queue", [
    (value) =>
      isText(value) ||
      Array.isArray(value) && value.length > 0 && value.every(isText),
    "the name of a queue, or a list of names",
  ]],
  poll_seconds: ["pollSeconds", SECONDS],
  name: ["name", TEXT],
  daemon: ["daemon", [isBoolean, "true or false"]],
  delivery: ["delivery", oneOf("at-least-once", "at-most-once")],
  foreign: ["foreign", oneOf("dead-letter", "drop")],
  batch_size: ["batchSize", COUNT],
  max_deliveries: ["maxDeliveries", COUNT],
  max_size: ["maxSize", COUNT],
  stop_timeout: ["stopTimeout", SECONDS],
  subscriber_grace: ["subscriberGrace", SECONDS],
  action_concurrency: ["actionConcurrency", COUNT],
  action_timeout: ["actionTimeout", [
    (value) => typeof value === "number" && value > 0,
    "a number of seconds above 0",
  ]],
};

/** What may be at the top: the option, and what it has to be. */
export const TOP_OPTIONS: Readonly<
  Record<string, [keyof RedisBackendOptions, Expectation]>
> = { device_id: ["deviceId", TEXT], token: ["token", TEXT] };

/** What may be under `redis_args` and `redis`. */
export const REDIS_ARGUMENTS: Readonly<Record<string, Expectation>> = ARGUMENTS;

const WORDS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  false: false,
  no: false,
  off: false,
};

/**
 * Reads a value as what it has to be. As in Python, where Platypush's file is
 * read, it does not matter whether a number is in quotes, or a password is made
 * of digits.
 *
 * @returns The value, or `undefined` if it cannot be read so.
 */
export function convert(value: unknown, [isValid]: Expectation): unknown {
  const candidates = [value];
  if (typeof value === "string") {
    const word = value.toLowerCase();
    if (/^\d+(\.\d+)?$/.test(value)) candidates.push(Number(value));
    if (Object.hasOwn(WORDS, word)) candidates.push(WORDS[word]);
  }
  if (Number.isSafeInteger(value)) candidates.push(String(value));
  return candidates.find(isValid);
}

/** Whether a value would be right in quotes, as a text of digits or `yes`. */
export function needsQuotes(value: unknown, [isValid]: Expectation): boolean {
  const isBare = typeof value === "number" || typeof value === "boolean" ||
    value instanceof Date;
  return isBare && isValid("text");
}
