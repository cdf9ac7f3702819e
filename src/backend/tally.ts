import type { Batch, Failure } from "../redis/mod.ts";

/** What became of messages. */
export interface Handled {
  /** Messages that every subscriber has handled. */
  delivered: number;
  /** Messages for another device. */
  foreign: number;
  /** Messages that could not be built, or were too large. */
  malformed: number;
}

/** Counts what becomes of the messages of each queue. */
export class Tally {
  readonly #queues = new Map<string, Handled>();

  /**
   * Counts a batch.
   *
   * @param batch The batch.
   * @param failures Its messages that were not handled, each once.
   */
  add({ queue, payloads }: Batch, failures: readonly Failure[]): void {
    const handled = this.#queues.get(queue) ?? nothing();
    this.#queues.set(queue, handled);
    handled.delivered += payloads.length - failures.length;
    for (const { reason } of failures) {
      if (reason === "foreign") handled.foreign++;
      else if (isBad(reason)) handled.malformed++;
    }
  }

  /** What became of the messages of a queue, or of all of them. */
  of(queue?: string): Readonly<Handled> {
    const sum = nothing();
    for (const [name, handled] of this.#queues) {
      if (queue !== undefined && name !== queue) continue;
      sum.delivered += handled.delivered;
      sum.foreign += handled.foreign;
      sum.malformed += handled.malformed;
    }
    return sum;
  }
}

/** Whether a message was none, or too large to be one. */
export function isBad(reason: Failure["reason"]): boolean {
  return reason === "malformed" || reason === "too-large";
}

function nothing(): Handled {
  return { delivered: 0, foreign: 0, malformed: 0 };
}
