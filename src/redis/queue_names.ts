/**
 * Reads which queues are meant.
 *
 * @param what What cannot be done otherwise, as in `Cannot ${what}: …`.
 * @param queue One name, or several.
 * @returns Each name once.
 * @throws {TypeError} There is none, or one of them is no name.
 */
export function queueNames(
  what: string,
  queue: string | readonly string[],
): readonly string[] {
  const names = [...new Set([queue].flat())];
  const isName = (name: unknown): boolean =>
    typeof name === "string" && name !== "";
  if (names.length > 0 && names.every(isName)) return names;
  throw new TypeError(
    `Cannot ${what}: \`queue\` has to be a name, or a list of names.`,
  );
}
