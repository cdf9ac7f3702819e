import { DELIVERY_OPTIONS, type InboxOptions } from "../redis/inbox_options.ts";
import { number, size } from "../units.ts";

/** The part of a limit from which on it is mentioned. */
const NEAR = 0.8;

/** The options that limit what a queue keeps, by what is kept. */
const LIMITS = {
  deadLetters: ["maxDeadLetters", "maxDeadLetterBytes"],
  missed: ["maxMissed", "maxMissedBytes"],
} as const;

/** Limits what a queue may keep, as far as that is known; else the defaults hold. */
export type Limits = Pick<
  InboxOptions,
  "maxDeadLetters" | "maxDeadLetterBytes" | "maxMissed" | "maxMissedBytes"
>;

/** Finds among other options those that limit what a queue keeps. */
export function limitsIn(options: Limits): Limits {
  const names = Object.values(LIMITS).flat();
  return Object.fromEntries(
    names.filter((name) => options[name] !== undefined)
      .map((name) => [name, options[name]]),
  );
}

/**
 * Says how much of its limits something takes where that is much. Redis does not
 * know the limits of those who consume: what is not given is taken for the default.
 *
 * @param kept How many there are, and their bytes where these are known.
 * @param limits The limits of those who consume, as far as they are known.
 * @returns A sentence's end, such as `take ... of what they may: 9,000 of 10,000`;
 * `undefined` where there is enough room.
 */
export function nearLimit(
  what: keyof typeof LIMITS,
  { count, bytes = 0 }: {
    readonly count: number;
    readonly bytes: number | undefined;
  },
  limits: Limits,
): string | undefined {
  const [maxCount, maxBytes] = LIMITS[what];
  const {
    [maxCount]: most = DELIVERY_OPTIONS[maxCount].default,
    [maxBytes]: mostBytes = DELIVERY_OPTIONS[maxBytes].default,
  } = limits;
  if (count < NEAR * most && bytes < NEAR * mostBytes) return undefined;
  const isDefault = (limits[maxCount] ?? limits[maxBytes]) === undefined;
  return `take more than ${NEAR * 100} % of what they may${
    isDefault ? " by default" : ""
  }: ${number(count)} of ${number(most)} (${maxCount}), ${size(bytes)} of ${
    size(mostBytes)
  } (${maxBytes})`;
}
