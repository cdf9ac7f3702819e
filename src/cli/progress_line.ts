import { tell, terminalWidth } from "./print.ts";
import { cutToWidth, displayWidth } from "./table.ts";

/** The time between two drawings, in milliseconds. */
const INTERVAL = 100;
/** The length of the bar, in characters. */
const WIDTH = 30;
const CLEAR = "\r\x1b[K";

/**
 * Shows on a terminal how far something is, on one line that is drawn again and
 * again: a bar where the whole is known, and what is told besides. Elsewhere it
 * shows nothing.
 */
export class ProgressLine implements Disposable {
  readonly #isShown = Deno.stderr.isTerminal();
  #drawn: number;
  #isDrawn = false;
  #line = "";

  /** @param delay For so many seconds nothing is shown, as it may be over by then. */
  constructor(delay = 0) {
    this.#drawn = performance.now() + delay * 1000 - INTERVAL;
  }

  /**
   * Shows how far it is.
   *
   * @param part The part that is done, from 0 to 1; `undefined` where unknown.
   */
  show(text: string, part?: number): void {
    if (!this.#isShown) return;
    this.#line = lineOf(text, part, terminalWidth() - 1);
    if (performance.now() - this.#drawn < INTERVAL) return;
    this.#drawn = performance.now();
    this.#isDrawn = true;
    tell(`${CLEAR}${this.#line}`);
  }

  /** Leaves the line to whatever comes next. */
  [Symbol.dispose](): void {
    if (this.#isDrawn) tell(`${CLEAR}${this.#line}\n`);
  }
}

/** Puts the part that is done before a text, with a bar where there is room: a line that wraps could not be drawn over. */
function lineOf(text: string, part: number | undefined, width: number): string {
  if (part === undefined) return cutToWidth(text, width);
  const done = Math.min(1, part);
  const line = `${Math.floor(done * 100)} %  ${text}`;
  const bar = "█".repeat(Math.round(done * WIDTH)).padEnd(WIDTH, "░");
  return displayWidth(line) + WIDTH + 1 > width
    ? cutToWidth(line, width)
    : `${bar} ${line}`;
}
