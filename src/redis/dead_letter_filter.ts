import {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type FailureReason,
} from "./dead_letter.ts";
import { nearest } from "../nearest.ts";

/**
 * Which of the {@linkcode DeadLetters} are meant: those to which everything said
 * here applies.
 */
export interface DeadLetterFilter {
  /** Those of this queue, or these. */
  readonly queue?: string | readonly string[] | undefined;
  /** The one with this id, or those with these. */
  readonly id?: string | readonly string[] | undefined;
  /**
   * The one at this place among the dead letters of its queue, or those at
   * these; the oldest is at 0. It takes one queue for that.
   */
  readonly index?: number | readonly number[] | undefined;
  /** Those that have this reason, or one of these. */
  readonly reason?: FailureReason | readonly FailureReason[] | undefined;
  /** Those that have been dead letters for longer than so many seconds. */
  readonly olderThan?: number | undefined;
  /** Those that have been dead letters for at most so many seconds. */
  readonly newerThan?: number | undefined;
}

type Check = (value: unknown) => boolean;
const isText: Check = (value) => typeof value === "string";
const isIndex: Check = (value) => Number.isInteger(value) && Number(value) >= 0;
const isSeconds: Check = (value) => typeof value === "number" && value >= 0;
const isReason: Check = (value) =>
  DEAD_LETTER_REASONS.some((reason) => reason === value);

const FIELDS: Readonly<Record<keyof DeadLetterFilter, [Check, string]>> = {
  queue: [oneOrMore(isText), "a queue, or a list of queues"],
  id: [oneOrMore(isText), "an id, or a list of ids"],
  index: [
    oneOrMore(isIndex),
    "a whole number from 0 on, or a list of such numbers",
  ],
  reason: [
    oneOrMore(isReason),
    `one of ${DEAD_LETTER_REASONS.join(", ")}, or a list of them`,
  ],
  olderThan: [isSeconds, "a number of seconds from 0 on"],
  newerThan: [isSeconds, "a number of seconds from 0 on"],
};

/**
 * Refuses a filter that says something that does not exist or makes no sense.
 *
 * @param filter The filter.
 * @throws {TypeError} It does.
 */
export function checkFilter(filter: DeadLetterFilter): void {
  for (const [name, value] of Object.entries(filter)) {
    if (!Object.hasOwn(FIELDS, name)) {
      throw new TypeError(
        `Cannot choose dead letters: there is no \`${name}\`; the nearest one is \`${
          nearest(name, Object.keys(FIELDS))
        }\`.`,
      );
    }
    const [isValid, expected] = FIELDS[name as keyof DeadLetterFilter];
    if (value !== undefined && !isValid(value)) {
      throw new TypeError(
        `Cannot choose dead letters: \`${name}\` has to be ${expected}.`,
      );
    }
  }
}

/** Whether a filter lets everything pass. */
export function isEmpty(filter: DeadLetterFilter): boolean {
  return Object.values(filter).every((value) => value === undefined);
}

/**
 * Makes the function that tells whether a dead letter is meant. Ages count from
 * now on.
 *
 * @param filter The filter.
 */
export function matcher(
  filter: DeadLetterFilter,
): (letter: DeadLetter) => boolean {
  const { olderThan = -Infinity, newerThan = Infinity } = filter;
  const now = Date.now() / 1000;
  const queues = setOf(filter.queue);
  const ids = setOf(filter.id);
  const indexes = setOf(filter.index);
  const reasons = setOf(filter.reason);
  return ({ queue, id, index, reason, time }) =>
    now - time > olderThan && now - time <= newerThan &&
    (queues?.has(queue) ?? true) && (ids?.has(id) ?? true) &&
    (indexes?.has(index) ?? true) && (reasons?.has(reason) ?? true);
}

/** What was given as one value or as several. */
export function setOf<Value extends string | number>(
  value: Value | readonly Value[] | undefined,
): ReadonlySet<Value> | undefined {
  if (value === undefined) return undefined;
  return new Set(typeof value === "object" ? value : [value]);
}

function oneOrMore(check: Check): Check {
  return (value) => Array.isArray(value) ? value.every(check) : check(value);
}
