import { fstatSync } from "node:fs";

const encoder = new TextEncoder();
/** The time between two drawings of the bar, in milliseconds. */
const INTERVAL = 100;
/** The length of the bar, in characters. */
const WIDTH = 30;
const STDIN = 0;
const CLEAR = "\r\x1b[K";

/**
 * Shows on a terminal how far the standard input was read and sent: a bar where
 * its length is known, and else only how many messages that is. Elsewhere it
 * shows nothing.
 */
export class Progress implements Disposable {
  readonly #isShown = Deno.stderr.isTerminal();
  readonly #total = lengthOfStdin();
  readonly #start = performance.now();
  #drawn = -Infinity;
  #messages = 0;
  #bytes = 0;

  /** Counts messages that were sent, and the bytes that were read for them. */
  advance(messages: number, bytes: number): void {
    this.#messages += messages;
    this.#bytes += bytes;
    if (!this.#isShown || performance.now() - this.#drawn < INTERVAL) return;
    this.#drawn = performance.now();
    write(`${CLEAR}${this.#line()}`);
  }

  /** Leaves what was sent in all, and the line to whatever comes next. */
  [Symbol.dispose](): void {
    if (this.#isShown) write(`${CLEAR}${this.#line()}\n`);
  }

  #line(): string {
    const seconds = (performance.now() - this.#start) / 1000;
    const rate = Math.round(this.#messages / Math.max(seconds, 0.001));
    const count = `${this.#messages.toLocaleString("en")} messages, ${
      rate.toLocaleString("en")
    }/s`;
    if (this.#total === undefined) return count;
    const part = Math.min(1, this.#bytes / this.#total);
    const bar = "█".repeat(Math.round(part * WIDTH)).padEnd(WIDTH, "░");
    return `${bar} ${Math.floor(part * 100)} %  ${count}`;
  }
}

/** Tells how many bytes there are to read, where that can be known. */
function lengthOfStdin(): number | undefined {
  const stat = fstatSync(STDIN);
  return stat.isFile() && stat.size > 0 ? stat.size : undefined;
}

function write(text: string): void {
  Deno.stderr.writeSync(encoder.encode(text));
}
