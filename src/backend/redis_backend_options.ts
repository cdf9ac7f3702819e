import type { BackendOptions } from "./backend_options.ts";

/** The options of a {@linkcode RedisBackend}. */
export interface RedisBackendOptions extends BackendOptions {
  /**
   * The queue to consume, or several: while there are messages in one, nothing is
   * taken from those that are named after it. `send…` sends to the first one.
   * Default: `platypush/backend/redis`.
   */
  queue?: string | readonly string[] | undefined;
  /**
   * `at-least-once` keeps each message in Redis until it is handled, so that
   * none is lost, but one may come again; `at-most-once` removes it as it is
   * taken. Default: `at-least-once`.
   */
  delivery?: "at-least-once" | "at-most-once";
  /** The largest number of messages that are taken at once. Default: 512. */
  batchSize?: number;
  /**
   * The number of times that a message that fails is delivered before it
   * becomes a dead letter. Deliveries to a process that died do not count. But
   * one that was in hand so often, less one, when the process died is handed
   * out alone from then on, and becomes a dead letter when the process dies of
   * it twice more. Default: 3.
   */
  maxDeliveries?: number;
  /**
   * The pause before a message that failed is delivered again, in seconds; it
   * doubles each time, up to 300. Default: 1.
   */
  retryPause?: number;
  /**
   * The number of dead letters that a queue keeps; the oldest make room.
   * Default: 10,000.
   */
  maxDeadLetters?: number;
  /**
   * The number of bytes that the dead letters of a queue may take in Redis; the
   * oldest make room. The text of one that alone is larger is kept beside them; there
   * is one such text at a time, the newest. Default: 16 MiB.
   */
  maxDeadLetterBytes?: number;
  /** For how many seconds a dead letter is kept. Default: 30 days. */
  deadLetterAge?: number;
  /**
   * The number of messages that wait for a named subscriber that is away, see
   * {@linkcode BusOptions.subscriber}; the oldest make room. Default: 10,000.
   */
  maxMissed?: number;
  /**
   * The number of bytes that these may take in Redis, for each subscriber.
   * Default: 8 MiB.
   */
  maxMissedBytes?: number;
  /**
   * For how many seconds they wait, and a named subscriber that is away is
   * remembered. Default: a day.
   */
  missedAge?: number;
  /**
   * The number of bytes that may be with subscribers at a time, of all queues
   * together; no more are taken until some of them are handled. Default: 64 MiB.
   */
  maxMemory?: number;
  /**
   * The number of messages that may be with subscribers at a time; no more are
   * taken until some of them are handled. Default: 16 times `batchSize`, and
   * `batchSize` for each queue that is not the first.
   */
  maxInFlight?: number;
  /**
   * After how many seconds without a heartbeat a consumer is dead, so that
   * others get what it had in hand. Default: 10.
   */
  heartbeatTimeout?: number;
  /**
   * Says what becomes of messages for another device: they are kept among the dead
   * letters, or dropped as Platypush does. Default: `dead-letter`.
   */
  foreign?: "dead-letter" | "drop";
  /**
   * For how many seconds a message is valid, by its `_timestamp`: a number for
   * all queues, or an object with a number for some of them. Older ones come to
   * nobody; requests among them are answered with an error. Default: no limit.
   * Actions have one of their own, {@linkcode BackendOptions.actionMaxAge}.
   */
  maxAge?: number | Readonly<Record<string, number>>;
  /**
   * Says what becomes of messages that are older than `maxAge`: they are kept among
   * the dead letters, or dropped. Default: `dead-letter`.
   */
  expired?: "dead-letter" | "drop";
  /**
   * The time in seconds to wait for the first subscriber of the bus before
   * consuming for plain listeners alone; 0 does not wait, `Infinity` never
   * consumes without a subscriber. While `registerService()` is under way it
   * does not pass. Default: 1.
   */
  subscriberGrace?: number;
}
