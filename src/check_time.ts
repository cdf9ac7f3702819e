/**
 * Refuses a time that is none, which would end at once or never.
 *
 * @param what What cannot be done then, as in `Cannot ${what}: …`.
 * @param name What the time is called.
 * @param seconds The time; `undefined` where none was given.
 * @throws {RangeError} It is no number of seconds from 0 on.
 */
export function checkTime(
  what: string,
  name: string,
  seconds: number | undefined,
): void {
  if (seconds === undefined) return;
  if (typeof seconds === "number" && seconds >= 0) return;
  refuse(what, name, seconds, "a number of seconds from 0 on");
}

/**
 * Refuses a time limit that leaves no time for anything.
 *
 * @param what What cannot be done then, as in `Cannot ${what}: …`.
 * @param name What the time limit is called.
 * @param seconds The time limit.
 * @throws {RangeError} It is no number of seconds above 0.
 */
export function checkTimeLimit(
  what: string,
  name: string,
  seconds: number,
): void {
  if (typeof seconds === "number" && seconds > 0) return;
  refuse(what, name, seconds, "a number of seconds above 0");
}

function refuse(
  what: string,
  name: string,
  value: unknown,
  expected: string,
): never {
  throw new RangeError(
    `Cannot ${what}: \`${name}\` is ${String(value)}, expected ${expected}`,
  );
}
