import type { Message } from "../message/mod.ts";
import type { Failure } from "./receipt.ts";

/** Hands a message to the subscribers of this isolate. */
export type Deliver = (
  message: Message,
  index: number,
  delivery: Delivery,
) => void;

/**
 * What becomes of the messages of one post, or of one frame, in this isolate:
 * counts what handlers are still busy with, and collects what failed.
 */
export class Delivery {
  // The first one stands for handing the messages out.
  #open = 1;
  readonly #failures: Failure[] = [];
  readonly #done: (failures: readonly Failure[]) => void;

  /** @param done Called once, when everybody has finished with every message. */
  constructor(done: (failures: readonly Failure[]) => void) {
    this.#done = done;
  }

  /** Notes that a handler is busy with a message until it {@linkcode finish}es. */
  begin(): void {
    this.#open++;
  }

  /** Notes that a handler is finished, or that all messages are handed out. */
  finish(): void {
    if (--this.#open === 0) this.#done(this.#failures);
  }

  /** Notes a failure. */
  fail(failure: Failure): void {
    this.#failures.push(failure);
  }
}
