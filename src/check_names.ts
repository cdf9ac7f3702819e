import { nearest } from "./nearest.ts";

/** Every option that there is, so that the compiler finds one that is missing. */
export type Names<Options> = Readonly<Record<keyof Options, true>>;

/**
 * Refuses an option that does not exist, which would be passed over silently.
 *
 * @param what What cannot be done then, as in `Cannot ${what}: …`.
 * @param options What was given.
 * @param names The options that there are.
 * @throws {TypeError} There is no such option, or the options are no object.
 */
export function checkNames(
  what: string,
  options: object,
  names: Readonly<Record<string, true>>,
): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot ${what}: the options have to be an object, such as { ${
        Object.keys(names)[0]
      } }`,
    );
  }
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(names, name)) continue;
    throw new TypeError(
      `Cannot ${what}: there is no option \`${name}\`; the nearest one is \`${
        nearest(name, Object.keys(names))
      }\``,
    );
  }
}
