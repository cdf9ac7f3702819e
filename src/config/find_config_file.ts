import { join, resolve } from "node:path";

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
  return mayAsk(name) ? Deno.env.get(name) || undefined : undefined;
}

/** Makes an {@linkcode Environment} of an object; without one, it is the process's. */
export function environmentOf(
  variables: Readonly<Record<string, string | undefined>> | undefined,
): Environment {
  if (!variables) return readEnvironment;
  return (name) =>
    Object.hasOwn(variables, name) ? variables[name] || undefined : undefined;
}

function mayAsk(variable: string): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted";
}

/**
 * Tells where the configuration is: where somebody says, else where
 * `PLATYPUSH_CONFIG` does, else at the first usual place that has one:
 * `$XDG_CONFIG_HOME/platypush/config.yaml` (`~/.config` where that is not set),
 * then `/etc/platypush/config.yaml`. Usual places that the program may not read
 * are passed over.
 *
 * @param path What somebody says; `~` is the home folder.
 * @param environment Where variables are looked up.
 * @returns The absolute path, or `undefined` if there is none.
 */
export async function findConfigFile(
  path: string | undefined,
  environment: Environment,
): Promise<string | undefined> {
  const named = path || environment("PLATYPUSH_CONFIG");
  return named
    ? resolve(named.replace(/^~(?=\/)/, () => home(environment) ?? "~"))
    : await findUsualFile(environment);
}

async function findUsualFile(
  environment: Environment,
): Promise<string | undefined> {
  for (const folder of configFolders(environment)) {
    const path = join(folder, "platypush", "config.yaml");
    if (await mayRead(path) && await isThere(path)) return path;
  }
  return undefined;
}

function configFolders(environment: Environment): string[] {
  const root = home(environment);
  const own = environment("XDG_CONFIG_HOME") ?? (root && join(root, ".config"));
  return own ? [own, "/etc"] : ["/etc"];
}

function home(environment: Environment): string | undefined {
  return environment("HOME") ?? environment("USERPROFILE");
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

/** Tells whether a file may be read without asking anybody. */
export async function mayRead(path: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "read", path });
  return state === "granted";
}
