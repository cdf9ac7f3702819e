import { dirname, join } from "node:path";
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
