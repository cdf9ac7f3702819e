import { join } from "node:path";
import type { Environment } from "./environment.ts";
import { mayRead } from "./read_text.ts";

/**
 * Looks for a configuration in the usual places:
 * `$XDG_CONFIG_HOME/platypush/config.yaml` (`~/.config` where that is not set),
 * then `/etc/platypush/config.yaml`. Places that the program may not read are
 * passed over.
 *
 * @param environment Where variables are looked up.
 * @returns The path, or `undefined` if there is none.
 */
export async function findConfigFile(
  environment: Environment,
): Promise<string | undefined> {
  for (const folder of configFolders(environment)) {
    const path = join(folder, "platypush", "config.yaml");
    if (await mayRead(path) && await isThere(path)) return path;
  }
  return undefined;
}

function configFolders(environment: Environment): string[] {
  const home = environment("HOME") ?? environment("USERPROFILE");
  const own = environment("XDG_CONFIG_HOME") ?? (home && join(home, ".config"));
  return own ? [own, "/etc"] : ["/etc"];
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
