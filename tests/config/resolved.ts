import {
  type RedisArgs,
  resolveConfig,
  type ResolveConfigOptions,
} from "../../mod.ts";
import { Folder } from "./folder.ts";

/** An environment with no file to be found. */
export const NOWHERE = { HOME: "/nowhere" };

/** Brings sources together, of which `file` is the text of a file. */
export async function resolved(
  { file, ...sources }: ResolveConfigOptions & { file?: string },
): Promise<{
  args: RedisArgs | undefined;
  settings: Record<string, string>;
  lines: string[];
}> {
  await using folder = await Folder.make(file ? { "config.yaml": file } : {});
  const { options, settings } = await resolveConfig({
    env: NOWHERE,
    logger: folder.logger,
    ...(file !== undefined && { path: folder.file() }),
    ...sources,
  });
  return {
    args: options.redisArgs,
    settings: Object.fromEntries(settings.map(
      ({ name, value, origin }) => [
        name,
        `${value} (${origin.replace(folder.path, "")})`,
      ],
    )),
    lines: folder.lines,
  };
}
