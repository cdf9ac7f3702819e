/**
 * Redis: connecting, consuming a queue without losing anything, and sending.
 *
 * @module
 */
export type { CommandOptions, ConnectOptions } from "./connection.ts";
export { Connection } from "./connection.ts";
export type { Argument } from "./server_connection.ts";
export type { Address } from "./address.ts";
export type { Credentials, RedisArgs } from "./redis_args.ts";
export { Outbox, type OutboxOptions } from "./outbox.ts";
export {
  type PrivateRedis,
  startRedis,
  type StartRedisOptions,
} from "./private_server.ts";
export {
  RedisError,
  type RedisErrorCode,
  type RedisErrorOptions,
  type RedisProblem,
} from "./redis_error.ts";
export type { Script } from "./script.ts";
export type { Batch, Failure, InboxStats } from "./consumer.ts";
export {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type DeadLetterFilter,
  type FailureReason,
} from "./dead_letter.ts";
export type { Backlog } from "./consumers.ts";
export { Inbox } from "./inbox.ts";
export type { InboxOptions } from "./inbox_options.ts";
export { DeadLetters, type DeadLettersOptions } from "./dead_letters.ts";
export {
  type ConsumerStatus,
  type DeadLetterStatus,
  type QueueStatus,
  queueStatus,
  type QueueStatusOptions,
  type ServerStatus,
} from "./queue_status.ts";
