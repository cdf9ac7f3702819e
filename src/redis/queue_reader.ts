import { setImmediate } from "node:timers";
import type { Logger } from "../logger.ts";
import type { Batch } from "./batch.ts";
import type { Connection } from "./connection.ts";
import type { Handoff } from "./handoff.ts";
import type { InboxStats } from "./inbox_stats.ts";

/** What a reader of one queue needs. */
export interface ReaderOptions {
  /** The queue. */
  queue: string;
  /** The consumer's name; each reader appends something unique to it. */
  consumer: string;
  /** The largest number of messages in a batch. */
  batchSize: number;
  /** How often a message is delivered before it becomes a dead letter. */
  maxDeliveries: number;
  /** The pause before a failed message is tried again for the first time, in seconds. */
  retryPause: number;
  /** What becomes of messages that are for another device. */
  foreign: "dead-letter" | "drop";
  /** The largest number of dead letters. */
  maxDeadLetters: number;
  /** The largest number of messages that are handed out and not settled. */
  maxInFlight: number;
  /** After how many seconds without a sign of life a consumer is dead. */
  heartbeatTimeout: number;
  logger: Logger;
  /** What is counted. */
  stats: InboxStats;
  /** Where batches go. */
  handoff: Handoff<Batch>;
  /** For commands that block. */
  blocking: Connection;
  /** For everything else. */
  control: Connection;
}

/** Reads one queue until it is stopped. */
export interface QueueReader {
  /** Begins; rejects where the queue cannot be read at all. */
  start(): Promise<void>;
  /** Stops taking messages; resolves when what was taken and not handed out is back. */
  pause(): Promise<void>;
  /** Goes on. */
  resume(): void;
  /** Ends, and waits up to `timeout` seconds for batches to be settled. Never rejects. */
  stop(timeout: number): Promise<void>;
  /** Called after a connection was lost and found again. */
  onReconnect(): void;
}

/** How long one command blocks while the queue is empty, in seconds. */
export const BLOCK_SECONDS = 1;
/** The number of bytes after which a batch is full. */
export const MAX_BATCH_BYTES = 4 * 2 ** 20;

/** Resolves when the client has written the commands of this turn. */
export function written(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
