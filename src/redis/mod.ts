/**
 * Redis: connecting, consuming a queue without losing anything, and sending.
 *
 * @module
 */
export type { CommandOptions, ConnectOptions } from "./connect_options.ts";
export { Connection } from "./connection.ts";
export type { Address } from "./address.ts";
export type { Credentials, RedisArgs } from "./redis_args.ts";
export { Outbox, type OutboxOptions } from "./outbox.ts";
export type { ScheduledMessage, ScheduleOptions } from "./delayed.ts";
export {
  type PrivateRedis,
  startRedis,
  type StartRedisOptions,
} from "./start_redis.ts";
export { RedisError } from "./redis_error.ts";
export type { Script } from "./script.ts";
export type { Batch, BatchFailure } from "./batch.ts";
export type { InboxStats } from "./inbox_stats.ts";
export {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type DeadLetterFilter,
} from "./dead_letter.ts";
export type { Backlog } from "./consumers.ts";
export { Inbox } from "./inbox.ts";
export type { DeliveryOptions, InboxOptions } from "./inbox_options.ts";
export { DeadLetters, type DeadLettersOptions } from "./dead_letters.ts";
export {
  pauseQueue,
  type PauseQueueOptions,
  resumeQueue,
} from "./pause_queue.ts";
export type { QueuePause } from "./queue_gate.ts";
export {
  type QueueStatus,
  queueStatus,
  type QueueStatusOptions,
} from "./queue_status.ts";
