import type { Logger } from "../mod.ts";
import { inTime } from "./in_time.ts";

/** A logger that keeps what it is told, and can be waited for. */
export class LineLogger implements Logger {
  readonly lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  readonly debug = (text: string): void => this.#add(`debug: ${text}`);
  readonly info = (text: string): void => this.#add(`info: ${text}`);
  readonly warn = (text: string): void => this.#add(`warn: ${text}`);
  error = (text: string): void => this.#add(`error: ${text}`);

  /** Resolves with the first line that matches, also one from before. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) => pattern.test(line));
      if (found !== undefined) return found;
      const more = new Promise<void>((resolve) => this.#waiting.add(resolve));
      await inTime(more, `a line that matches ${pattern}`);
    }
  }

  #add(line: string): void {
    this.lines.push(line);
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
