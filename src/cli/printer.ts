import { DroppedError, type Message } from "../../mod.ts";
import { printLine } from "./print_line.ts";

/** Says how a {@linkcode Printer} prints. */
export interface PrinterOptions {
  /** Makes a line of a message. */
  format(message: Message): string;
  /** The number of messages to print; without end by default. */
  readonly limit: number | undefined;
  /** Called when no more is printed. */
  onEnd(): unknown;
}

/** Prints one message after the other, up to a number or until nobody reads. */
export class Printer {
  readonly #options: PrinterOptions;
  #printed = 0;
  #turn: Promise<void> = Promise.resolve();
  #isOver = false;
  /** Why no more could be printed; that nobody reads any more included. */
  error: unknown;

  constructor(options: PrinterOptions) {
    this.#options = options;
  }

  /**
   * Prints a message when it is its turn.
   *
   * @throws {DroppedError} It was not printed, so it is not handled.
   */
  print(message: Message): Promise<void> {
    const turn = this.#turn.then(() => this.#print(message));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #print(message: Message): Promise<void> {
    if (this.#isOver) throw new DroppedError("No more is printed");
    const { format, limit } = this.#options;
    try {
      await printLine(format(message));
    } catch (error) {
      this.error = error;
      this.#end();
      throw new DroppedError("It could not be printed");
    }
    if (++this.#printed === limit) this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#options.onEnd();
  }
}
