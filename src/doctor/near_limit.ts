import { DELIVERY_OPTIONS } from "../redis/inbox_options.ts";
import { number, size } from "../units.ts";

/** The part of a limit from which on it is mentioned. */
const NEAR = 0.8;

/** The options that limit what a queue keeps, by what is kept. */
const LIMITS = {
  deadLetters: ["maxDeadLetters", "maxDeadLetterBytes"],
  missed: ["maxMissed", "maxMissedBytes"],
} as const;

/**
 * Says how much of its limits something takes where that is much. Redis does not
 * know the limits of those who consume: it is held against the defaults.
 *
 * @param what What is kept.
 * @param kept How many there are, and their bytes where these are known.
 * @returns A sentence's end, such as `take … of what they may: 9,000 of 10,000`;
 * `undefined` where there is enough room.
 */
export function nearLimit(
  what: keyof typeof LIMITS,
  { count, bytes = 0 }: {
    readonly count: number;
    readonly bytes: number | undefined;
  },
): string | undefined {
  const [maxCount, maxBytes] = LIMITS[what];
  const most = DELIVERY_OPTIONS[maxCount].default;
  const mostBytes = DELIVERY_OPTIONS[maxBytes].default;
  if (count < NEAR * most && bytes < NEAR * mostBytes) return undefined;
  return `take more than ${NEAR * 100} % of what they may by default: ${
    number(count)
  } of ${number(most)} (${maxCount}), ${size(bytes)} of ${
    size(mostBytes)
  } (${maxBytes})`;
}
