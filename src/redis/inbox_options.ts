import type { Names } from "../check_names.ts";
import type { Logger } from "../logger.ts";

/** How an {@linkcode Inbox} reads. All of it is optional except the queue. */
export interface InboxOptions {
  /** The queue, or several of them. */
  queue: string | readonly string[];
  /**
   * The start of this consumer's name; something unique is appended to it.
   * Default: `consumer`.
   */
  consumer?: string;
  /**
   * `at-least-once`: a message stays in Redis until it is settled.
   * `at-most-once`: it is gone once it was read, which is faster.
   * Default: `at-least-once`.
   */
  delivery?: "at-least-once" | "at-most-once";
  /** The largest number of messages in a batch. Default: 512. */
  batchSize?: number;
  /**
   * How often handling a message may fail before it becomes a dead letter.
   * Deliveries to a consumer that died do not count. But one that was in hand
   * when so many consumers died, less one, is handed out alone from then on, and
   * becomes a dead letter when two more have died of it. Default: 3.
   */
  maxDeliveries?: number;
  /**
   * The pause before a failed message is tried again, in seconds; it doubles
   * each time, up to 300. Default: 1.
   */
  retryPause?: number;
  /** What becomes of messages for another device. Default: `dead-letter`. */
  foreign?: "dead-letter" | "drop";
  /** The largest number of dead letters of a queue. Default: 10,000. */
  maxDeadLetters?: number;
  /** The largest number of messages handed out and not settled. Default: 16 batches. */
  maxInFlight?: number;
  /** After how many seconds without a sign of life a consumer is dead. Default: 10. */
  heartbeatTimeout?: number;
  /** Takes nothing before {@linkcode Inbox.resume}. Default: `false`. */
  paused?: boolean;
  /** Where to report what happens. Default: LogTape's category of this room. */
  logger?: Logger;
  /** Whether the connections let the process end. Default: `false`. */
  unref?: boolean;
  /** Gives up connecting when aborted. Default: never. */
  signal?: AbortSignal;
}

/** Every option of an {@linkcode Inbox}. */
export const INBOX_OPTIONS: Names<InboxOptions> = {
  queue: true,
  consumer: true,
  delivery: true,
  batchSize: true,
  maxDeliveries: true,
  retryPause: true,
  foreign: true,
  maxDeadLetters: true,
  maxInFlight: true,
  heartbeatTimeout: true,
  paused: true,
  logger: true,
  unref: true,
  signal: true,
};
