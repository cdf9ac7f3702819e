import type { DeadLetter } from "./dead_letter.ts";

/**
 * One message of a batch that could not be handled.
 *
 * @example
 * ```ts
 * import { type BatchFailure, Inbox, Outbox, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using outbox = new Outbox(server.redisArgs);
 * await outbox.push("queue", ["1", "2", "three"]);
 * await using inbox = await Inbox.open(server.redisArgs, { queue: "queue" });
 * const batch = await inbox.next();
 *
 * const failures: BatchFailure[] = [];
 * for (const [index, payload] of batch!.payloads.entries()) {
 *   const text = new TextDecoder().decode(payload);
 *   if (!Number.isNaN(Number(text))) continue;
 *   const error = new Error(`"${text}" is no number`);
 *   failures.push({ index, reason: "malformed", error });
 * }
 * await batch!.settle(failures);
 * console.assert(inbox.stats().deadLettered === 1);
 * ```
 */
export interface BatchFailure {
  /** Which message of the batch, from 0. */
  readonly index: number;
  /**
   * Why: `failed` and `dropped` messages are tried again, the others are not.
   * One that was `left` by somebody who went away has not failed: it goes back at
   * once to the head of the queue; with at-most-once it was `dropped`. `crashed`
   * is for what consumers die of, which the inbox finds out itself.
   */
  readonly reason: DeadLetter["reason"] | "left";
  /** The error that says what went wrong. */
  readonly error: Error;
  /**
   * Says who still has to get the message, in ASCII. It comes back as one of
   * {@linkcode Batch.retries}.
   */
  readonly retry?: string | undefined;
}

/** Messages that left the queue together, as an {@linkcode Inbox} hands them out. */
export interface Batch {
  /** The queue they were in. */
  readonly queue: string;
  /** The messages, as they were pushed. */
  readonly payloads: readonly Uint8Array[];
  /** The number of times that each of them was delivered before. */
  readonly deliveries: readonly number[];
  /**
   * The `retry` of each one's last failure; `undefined` where there was none.
   */
  readonly retries: readonly (string | undefined)[];
  /**
   * Gives each message the id and the time that it has for good where its sender
   * has left them out: they are the same however often it is delivered at least
   * once, and to whom. A message that came before is in `known`, by its index;
   * any other has the `time`, in seconds since the epoch, and as its id the
   * `prefix` and ten digits of its index in hexadecimal.
   */
  readonly identities: {
    readonly prefix: string;
    readonly time: number;
    readonly known: Readonly<
      Record<number, { readonly id: string; readonly timestamp?: number }>
    >;
  };
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
    failures?: readonly BatchFailure[],
    returned?: readonly BatchFailure[],
  ): Promise<void>;
}
