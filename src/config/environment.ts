/**
 * Looks up an environment variable; an empty one counts as unset.
 *
 * @returns The value, or `undefined`.
 */
export type Environment = (name: string) => string | undefined;

/**
 * Looks up a variable of the process. One that the process has no permission to
 * read counts as unset: asking for it in the middle of something else would
 * stop the program.
 */
export function readEnvironment(name: string): string | undefined {
  return mayRead(name) ? Deno.env.get(name) || undefined : undefined;
}

/** Makes an {@linkcode Environment} of an object. */
export function environmentOf(
  variables: Readonly<Record<string, string | undefined>>,
): Environment {
  return (name) =>
    Object.hasOwn(variables, name) ? variables[name] || undefined : undefined;
}

function mayRead(variable: string): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted";
}
