import { loadConfig, type RedisBackendOptions } from "../../mod.ts";
import { Folder } from "./folder.ts";

/** What was read, and what was logged meanwhile. */
interface Loaded {
  readonly options: RedisBackendOptions;
  readonly lines: string[];
}

/** Reads a `config.yaml` with such a text; what is logged is compared too. */
export async function load(
  text: string,
  env: Record<string, string> = {},
): Promise<Loaded> {
  return await loadFiles({ "config.yaml": text }, env);
}

/** Reads a `config.yaml` that includes others. */
export async function loadFiles(
  files: Record<string, string>,
  env: Record<string, string> = {},
): Promise<Loaded> {
  await using folder = await Folder.make(files);
  const { logger } = folder;
  const options = await loadConfig(folder.file(), { env, logger });
  return { options, lines: folder.lines };
}
