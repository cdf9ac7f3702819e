import { type Kind, OBJECT } from "./kinds.ts";
import { nearest } from "./nearest.ts";

/** The kind of every option that there is, so that the compiler finds one that is missing. */
export type Kinds<Options> = Readonly<Record<keyof Options, Kind>>;

/**
 * Refuses options that do not exist, which would be passed over silently, and
 * values that make no sense.
 *
 * @param what What cannot be done then, as in `Cannot ${what}: …`.
 * @param options What was given.
 * @param kinds What they may be.
 * @throws {TypeError} There is no such option, one is missing or of another
 * kind, or the options are no object.
 * @throws {RangeError} A value makes no sense.
 */
export function checkOptions(
  what: string,
  options: object,
  kinds: Readonly<Record<string, Kind>>,
): void {
  if (!OBJECT.accepts(options)) {
    throw new TypeError(
      `Cannot ${what}: the options have to be an object, such as { ${
        Object.keys(kinds)[0]
      } }`,
    );
  }
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(kinds, name)) continue;
    throw new TypeError(
      `Cannot ${what}: there is no option \`${name}\`; the nearest one is \`${
        nearest(name, Object.keys(kinds))
      }\``,
    );
  }
  const values = options as Readonly<Record<string, unknown>>;
  for (const name in kinds) checkValue(what, name, values[name], kinds[name]!);
}

/**
 * Refuses a value that makes no sense.
 *
 * @param what What cannot be done then, as in `Cannot ${what}: …`.
 * @param name What the value is called.
 * @param value The value; `undefined` where none was given.
 * @param kind What it may be.
 * @throws {TypeError} It is missing or of another kind.
 * @throws {RangeError} It makes no sense.
 */
export function checkValue(
  what: string,
  name: string,
  value: unknown,
  kind: Kind,
): void {
  if (value === undefined ? !kind.isRequired : kind.accepts(value)) return;
  const start = `Cannot ${what}: \`${name}\` is`;
  if (value === undefined) {
    throw new TypeError(`${start} missing, expected ${kind.expected}`);
  }
  if (kind.isRange) {
    const shown = Deno.inspect(value);
    throw new RangeError(`${start} ${shown}, expected ${kind.expected}`);
  }
  // What it is may be a secret, such as a URL with a password.
  throw new TypeError(`${start} of the wrong kind, expected ${kind.expected}`);
}
