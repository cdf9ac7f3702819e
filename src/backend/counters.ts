import type { Batch, Failure } from "../redis/mod.ts";

/**
 * Counts of a backend since it was made, and how it stands, as
 * {@linkcode RedisBackend.stats} gives them.
 */
export interface BackendStats {
  /** Messages that came from Redis; a message that comes again counts again. */
  readonly received: number;
  /** Messages that every subscriber has handled. */
  readonly delivered: number;
  /** Messages for another device. */
  readonly foreign: number;
  /** Messages that could not be built, or were too large. */
  readonly malformed: number;
  /** Messages that were put into the dead letters. */
  readonly deadLettered: number;
  /** Messages that had been delivered before. */
  readonly redelivered: number;
  /** The number of times that the connection was lost and found again. */
  readonly reconnects: number;
  /** Messages that subscribers are busy with at the moment. */
  readonly inFlight: number;
  /** Isolates that subscribe to the bus at the moment. */
  readonly subscribers: number;
  /** Requests that registered actions, or errors, have answered. */
  readonly answered: number;
  /** Registered actions that are being executed at the moment. */
  readonly actionsRunning: number;
  /** Requests that wait until one of these has finished. */
  readonly actionsWaiting: number;
}

/** Counts what became of messages. */
interface Handled {
  /** Messages that every subscriber has handled. */
  delivered: number;
  /** Messages for another device. */
  foreign: number;
  /** Messages that could not be built, or were too large. */
  malformed: number;
}

/** Counts what becomes of the messages of each queue. */
export class Counters {
  readonly #queues = new Map<string, Handled>();

  /**
   * Counts a batch.
   *
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

  /** Sums up what became of the messages of a queue, or of all of them. */
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

/** Tells whether a message was none, or too large to be one. */
export function isBad(reason: Failure["reason"]): boolean {
  return reason === "malformed" || reason === "too-large";
}

function nothing(): Handled {
  return { delivered: 0, foreign: 0, malformed: 0 };
}
