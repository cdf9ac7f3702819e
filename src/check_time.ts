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
  throw new RangeError(
    `Cannot ${what}: \`${name}\` is ${
      String(seconds)
    }, expected a number of seconds from 0 on`,
  );
}
