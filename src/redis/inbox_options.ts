import { type Kind, row, type Rows } from "../options.ts";
import {
  COUNT,
  DAEMON,
  FLAG,
  INDEX,
  LOGGER,
  NAMES,
  oneOf,
  required,
  SIGNAL,
  SIZE,
  TEXT,
  TIME_LIMIT,
} from "../kinds.ts";
import type { Logger } from "../logger.ts";

/**
 * Says how messages come from a queue: how many at a time, how often they are
 * tried, and what is kept of those that fail. An {@linkcode Inbox} and a backend
 * have these options in common.
 */
export interface DeliveryOptions {
  /**
   * `at-least-once` keeps each message in Redis until it is handled, so that
   * none is lost, but one may come again. `at-most-once` removes it as it is
   * taken, which is faster. Default: `at-least-once`.
   */
  delivery?: "at-least-once" | "at-most-once";
  /** The largest number of messages that are taken at once. Default: 512. */
  batchSize?: number;
  /**
   * The number of times that handling a message may fail before it becomes a
   * dead letter. Deliveries to a consumer that died do not count. But one that
   * was in hand when so many consumers died, less one, is handed out alone from
   * then on, and becomes a dead letter when two more have died of it. Default:
   * 3.
   */
  maxDeliveries?: number;
  /**
   * The pause before a message that failed is tried again, in seconds; it
   * doubles each time, up to 300. Default: 1.
   */
  retryPause?: number;
  /**
   * Says what becomes of messages for another device: they are kept among the
   * dead letters, or dropped as Platypush does. Default: `dead-letter`.
   */
  foreign?: "dead-letter" | "drop";
  /**
   * Says what becomes of messages that are older than they may be: they are kept
   * among the dead letters, or dropped. Default: `dead-letter`.
   */
  expired?: "dead-letter" | "drop";
  /**
   * The number of dead letters that a queue keeps; the oldest make room.
   * Default: 10,000.
   */
  maxDeadLetters?: number;
  /**
   * The number of bytes that the dead letters of a queue may take in Redis; the
   * oldest make room. The text of one that alone is larger is kept beside them;
   * there is one such text at a time, the newest. Default: 16 MiB.
   */
  maxDeadLetterBytes?: number;
  /** For how many seconds a dead letter is kept. Default: 30 days. */
  deadLetterAge?: number;
  /**
   * The number of messages that wait for a named subscriber that is away, see
   * `BusOptions.subscriber`; the oldest make room. Default: 10,000.
   */
  maxMissed?: number;
  /**
   * The number of bytes that these may take in Redis, for each subscriber.
   * Default: 8 MiB.
   */
  maxMissedBytes?: number;
  /**
   * For how many seconds they wait, and a named subscriber that is away is
   * remembered. Default: 1 day.
   */
  missedAge?: number;
  /**
   * The number of bytes that may be in hand at a time, of all queues together;
   * no more are taken until some of them are handled. Default: 64 MiB.
   */
  maxMemory?: number;
  /**
   * The number of messages of each queue that may be in hand at a time; no more
   * are taken until some of them are handled. Default: 16 times `batchSize`, and
   * `batchSize` for each queue that is not the first.
   */
  maxInFlight?: number;
  /**
   * After how many seconds without a heartbeat a consumer is dead, so that
   * others get what it had in hand: from 0.1 to 86,400. Default: 10.
   */
  heartbeatTimeout?: number;
}

/**
 * Says how an {@linkcode Inbox} takes messages. All of it is optional except
 * the queue.
 */
export interface InboxOptions extends DeliveryOptions {
  /**
   * The queue, or several of them: while there are messages in one, nothing is
   * taken from those that are named after it.
   */
  queue: string | readonly string[];
  /**
   * The start of this consumer's name; something unique is appended to it.
   * Default: `consumer`.
   */
  consumer?: string;
  /**
   * The limit for one message, in bytes. One that is larger becomes a dead
   * letter in Redis, without being carried here. Default: 8 MiB.
   */
  maxSize?: number;
  /** Takes nothing before {@linkcode Inbox.resume}. Default: `false`. */
  paused?: boolean;
  /**
   * The logger that hears what happens. Default: LogTape's category
   * `["platypush", "redis", "redis"]`.
   */
  logger?: Logger;
  /** True if the connections let the process end. Default: `false`. */
  daemon?: boolean;
  /** Gives up connecting when aborted. Default: never. */
  signal?: AbortSignal;
}

const PAUSE: Kind = {
  expected: "a finite number of seconds from 0 on",
  accepts: (value) => Number.isFinite(value) && Number(value) >= 0,
  isRange: true,
};
const HEARTBEAT_TIMEOUT: Kind = {
  expected: "a number of seconds from 0.1 to a day",
  // Below that, a short pause of the process or of the network is its death.
  accepts: (value) =>
    typeof value === "number" && value >= 0.1 && value <= 86_400,
  isRange: true,
};

/** Options that have the same default for everybody. */
export type FilledInboxOption =
  | Exclude<keyof DeliveryOptions, "maxInFlight">
  | "maxSize";

/** The options of taking messages, in an {@linkcode Inbox} and in a backend. */
export const DELIVERY_OPTIONS: Rows<
  DeliveryOptions & Pick<InboxOptions, "maxSize">,
  FilledInboxOption
> = {
  delivery: row(oneOf("at-least-once", "at-most-once"), {
    description: "`at-least-once`, or `at-most-once`, which is faster",
    default: "at-least-once",
  }),
  batchSize: row(COUNT, {
    description: "Messages that are taken at once, at most",
    default: 512,
  }),
  maxDeliveries: row(COUNT, {
    description:
      "How often a message that fails, or that the process dies of, is delivered",
    default: 3,
  }),
  retryPause: row(PAUSE, {
    description:
      "The pause before a message that failed comes again; it doubles each time",
    default: 1,
  }),
  foreign: row(oneOf("dead-letter", "drop"), {
    description: "Messages for another device: `dead-letter`, or `drop`",
    default: "dead-letter",
  }),
  expired: row(oneOf("dead-letter", "drop"), {
    description: "Messages over their `maxAge`: `dead-letter`, or `drop`",
    default: "dead-letter",
  }),
  maxDeadLetters: row(INDEX, {
    description: "Dead letters that a queue keeps",
    default: 10_000,
  }),
  maxDeadLetterBytes: row(SIZE, {
    description: "What the dead letters of a queue may take in Redis, in bytes",
    default: 16 * 2 ** 20,
    defaultText: "16 MiB",
  }),
  deadLetterAge: row(TIME_LIMIT, {
    description: "How long a dead letter is kept",
    default: 30 * 86_400,
    defaultText: "30 days",
  }),
  maxMissed: row(INDEX, {
    description: "Messages that wait for a named subscriber that is away",
    default: 10_000,
  }),
  maxMissedBytes: row(SIZE, {
    description: "What these may take in Redis, in bytes",
    default: 8 * 2 ** 20,
    defaultText: "8 MiB",
  }),
  missedAge: row(TIME_LIMIT, {
    description: "How long they wait, and such a subscriber is remembered",
    default: 86_400,
    defaultText: "1 day",
  }),
  maxSize: row(SIZE, {
    description: "The size limit of a message, in bytes",
    default: 8 * 2 ** 20,
    defaultText: "8 MiB",
  }),
  maxMemory: row(SIZE, {
    description: "What may be with subscribers at a time, in bytes",
    default: 64 * 2 ** 20,
    defaultText: "64 MiB",
  }),
  maxInFlight: row(COUNT, {
    description: "Messages that are with subscribers at a time",
    defaultText: "16 × `batchSize`",
  }),
  heartbeatTimeout: row(HEARTBEAT_TIMEOUT, {
    description: "After what time a silent consumer counts as dead",
    default: 10,
  }),
};

/** Every option of an {@linkcode Inbox}. */
export const INBOX_OPTIONS: Rows<InboxOptions, FilledInboxOption> = {
  ...DELIVERY_OPTIONS,
  queue: required(NAMES),
  consumer: TEXT,
  paused: FLAG,
  logger: LOGGER,
  daemon: DAEMON,
  signal: SIGNAL,
};
