import { loadConfig, type RedisBackendOptions } from "../../mod.ts";
import { Folder } from "./folder.ts";

/** Reads a `config.yaml` with such a text; what is logged is compared too. */
export async function load(
  text: string,
  env: Record<string, string> = {},
): Promise<{ options: RedisBackendOptions; lines: string[] }> {
  await using folder = await Folder.make({ "config.yaml": text });
  const { logger } = folder;
  const options = await loadConfig(folder.file(), { env, logger });
  return { options, lines: folder.lines };
}
