import type { FailureReason } from "./dead_letter.ts";

/** One message of a batch that could not be handled. */
export interface Failure {
  /** Which message of the batch. */
  readonly index: number;
  /**
   * Why: `failed` and `dropped` messages are tried again, the others are not.
   * `crashed` is for what consumers die of, which the inbox finds out itself.
   */
  readonly reason: FailureReason;
  /** What went wrong. */
  readonly error: Error;
}

/** Messages that left the queue together. */
export interface Batch {
  /** The queue they were in. */
  readonly queue: string;
  /** The messages, as they were pushed. */
  readonly payloads: readonly Uint8Array[];
  /** How often each of them was delivered before. */
  readonly deliveries: readonly number[];
  /**
   * Says that the batch was dealt with: messages are acknowledged, except those
   * that failed, which are tried again or become dead letters. Batches may be
   * settled in any order, each of them once.
   *
   * @param failures The messages that could not be handled.
   * @param returned Messages that nobody got round to before the end. They stay
   * in hand until the inbox is stopped, and go back to the head of the queue
   * then, in their order, without counting as failed. With at-most-once they
   * are failures.
   * @returns Settles when the server knows. It never rejects: what could not be
   * acknowledged is logged, and delivered again.
   */
  settle(
    failures?: readonly Failure[],
    returned?: readonly Failure[],
  ): Promise<void>;
}
