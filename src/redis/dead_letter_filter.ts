import {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type FailureReason,
} from "./dead_letter.ts";
import type { Kinds } from "../check_options.ts";
import { INDEX, oneOf, oneOrMore, SECONDS, TEXT } from "../kinds.ts";

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

/** Everything that a filter may say. */
export const DEAD_LETTER_FILTER: Kinds<DeadLetterFilter> = {
  queue: oneOrMore(TEXT),
  id: oneOrMore(TEXT),
  index: oneOrMore(INDEX),
  reason: oneOrMore(oneOf(...DEAD_LETTER_REASONS)),
  olderThan: SECONDS,
  newerThan: SECONDS,
};

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
