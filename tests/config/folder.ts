import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { ConfigError, loadConfig } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";

/** A temporary folder with files in it, and a logger that keeps its lines. */
export class Folder implements AsyncDisposable {
  readonly path: string;
  readonly logger = new LineLogger();

  private constructor(path: string) {
    this.path = path;
  }

  static async make(files: Record<string, string> = {}): Promise<Folder> {
    const path = await Deno.realPath(await Deno.makeTempDir());
    const folder = new Folder(path);
    for (const [name, text] of Object.entries(files)) {
      await folder.write(name, text);
    }
    return folder;
  }

  /** The path of a file. Default: `config.yaml`. */
  file(name = "config.yaml"): string {
    return join(this.path, name);
  }

  async write(name: string, text: string): Promise<void> {
    await Deno.mkdir(dirname(this.file(name)), { recursive: true });
    await Deno.writeTextFile(this.file(name), text);
  }

  /** What was logged, with the folder's name left out. */
  get lines(): string[] {
    return this.logger.lines.map((line) => line.replaceAll(this.path, ""));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Asserts that such files are refused with such a message, which has no secret. */
export async function refuses(
  files: Record<string, string>,
  message: string,
): Promise<void> {
  await using folder = await Folder.make(files);
  const { logger } = folder;
  await assert.rejects(
    loadConfig(folder.file(), { env: {}, logger }),
    (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.equal(
        error.message.replaceAll(folder.path, ""),
        `Cannot load the configuration: ${message}`,
      );
      assert.doesNotMatch(Deno.inspect(error), /hunter2/);
      return true;
    },
  );
  assert.doesNotMatch(folder.lines.join(), /hunter2/);
}
