import type { OptionAlias } from "../backend/aliases.ts";
import type { RedisBackendOptions } from "../backend/mod.ts";
import { ARGUMENTS } from "../redis/redis_args.ts";

type Check = (value: unknown) => boolean;

/** What a value in a file has to be: the check, and its words for people. */
export type Expectation = readonly [Check, expected: string];

const isText: Check = (value) => typeof value === "string" && value !== "";
const isBoolean: Check = (value) => typeof value === "boolean";
const isCount: Check = (value) => Number.isInteger(value) && Number(value) > 0;
const isTextList: Check = (value) =>
  Array.isArray(value) && value.length > 0 && value.every(isText);
const isSeconds: Check = (value) => typeof value === "number" && value >= 0;
const oneOf = (...choices: string[]): Expectation => [
  (value) => choices.includes(value as string),
  choices.map((choice) => `"${choice}"`).join(" or "),
];

const COUNT: Expectation = [isCount, "a whole number above 0"];
const SECONDS: Expectation = [isSeconds, "a number of seconds from 0 on"];
const POSITIVE_SECONDS: Expectation = [
  (value) => typeof value === "number" && value > 0,
  "a number of seconds above 0",
];
const BOOLEAN: Expectation = [isBoolean, "true or false"];
const TEXT: Expectation = [isText, "a text"];

/** Options that a file can hold, so that the compiler finds one that is missing. */
type FileOption = Exclude<
  keyof RedisBackendOptions,
  | OptionAlias
  | keyof typeof TOP_OPTIONS
  | "bus"
  | "logger"
  | "redisArgs"
>;

/** Options that are at the top of the file, and what they have to be. */
export const TOP_OPTIONS = { deviceId: TEXT, token: TEXT };

/** Options that are under `backend.redis`, and what they have to be. */
export const BACKEND_OPTIONS: Readonly<Record<FileOption, Expectation>> = {
  queue: [
    (value) => isText(value) || isTextList(value),
    "the name of a queue, or a list of names",
  ],
  pollSeconds: SECONDS,
  name: TEXT,
  daemon: BOOLEAN,
  postEvents: BOOLEAN,
  delivery: oneOf("at-least-once", "at-most-once"),
  foreign: oneOf("dead-letter", "drop"),
  batchSize: COUNT,
  maxDeliveries: COUNT,
  maxDeadLetters: [
    (value) => value === 0 || isCount(value),
    "a whole number from 0 on",
  ],
  maxInFlight: COUNT,
  retryPause: SECONDS,
  heartbeatTimeout: POSITIVE_SECONDS,
  maxSize: COUNT,
  stopTimeout: SECONDS,
  subscriberGrace: SECONDS,
  actionConcurrency: COUNT,
  actionTimeout: POSITIVE_SECONDS,
};

/** The name of an option in a file: `batch_size` for `batchSize`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

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
