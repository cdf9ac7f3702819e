/** Platypush's queue. */
export const DEFAULT_QUEUE = "platypush/backend/redis";

/**
 * The type that each key beside a queue has to have, where it exists, by the end
 * of its name. The queue itself is a list.
 */
export const KEY_TYPES: Readonly<Record<string, string>> = {
  "consumers": "hash",
  "deliveries": "hash",
  "handled": "hash",
  "subscribers": "hash",
  "retry": "zset",
  "delayed": "zset",
  "dead": "list",
  "dead:front": "list",
  "dead:text": "string",
  "paused": "string",
};

/**
 * The same of the keys of which a queue has several; but not of those that keep
 * duplicates out: there may be very many, and any type will do.
 */
const TYPES_OF_SEVERAL: readonly (readonly [end: RegExp, type: string])[] = [
  [/^processing:.*\.[0-9a-f]{8}$/s, "hash"],
  [/^processing:.*\.[0-9a-f]{8}:\d+$/s, "list"],
  [/^missed:/, "list"],
  [/^dead:text:/, "list"],
  [/^consumer:/, "string"],
  // There is one, which none but the dashboard needs.
  [/^passed$/, "stream"],
];

/**
 * Tells the type that a key beside a queue has to have.
 *
 * @param end What follows the {@linkcode QueueKeys.start} in its name.
 * @returns `undefined` where it is none of the queue's.
 */
export function keyType(end: string): string | undefined {
  return KEY_TYPES[end] ??
    TYPES_OF_SEVERAL.find(([pattern]) => pattern.test(end))?.[1];
}

/**
 * Names the keys that belong to a queue, all in the queue's hash slot. They are put
 * together when they are asked for: kept, they would be most of what a queue takes
 * where nothing happens.
 */
export class QueueKeys {
  /** The list with the messages that wait. */
  readonly queue: string;
  /** The start of all other keys. */
  readonly start: string;
  readonly #consumer: string;

  /**
   * @param queue A name that has a hash tag keeps it, and any other becomes one.
   * @param consumer Whose keys are meant where each consumer has its own.
   */
  constructor(queue: string, consumer = "") {
    this.queue = queue;
    this.start = hasTag(queue) || queue.includes("}")
      ? `${queue}:`
      : `{${queue}}:`;
    this.#consumer = consumer;
  }

  /** A hash of this consumer: the number of each batch in hand to how its messages were delivered before. */
  get processing(): string {
    return `${this.start}processing:${this.#consumer}`;
  }

  /** The list with the messages of a batch of this consumer. */
  batch(number: number): string {
    return `${this.start}processing:${this.#consumer}:${number}`;
  }

  /** The start of the keys of all consumers' hashes. */
  get allProcessing(): string {
    return `${this.start}processing:`;
  }

  /** Beats while this consumer is alive, or names the key that beats for it (`=key`). */
  get heartbeat(): string {
    return `${this.start}consumer:${this.#consumer}`;
  }

  /** The start of the keys of all heartbeats. */
  get allHeartbeats(): string {
    return `${this.start}consumer:`;
  }

  /** A hash of all consumers. */
  get consumers(): string {
    return `${this.start}consumers`;
  }

  /** A hash with how often messages that wait again were delivered before. */
  get deliveries(): string {
    return `${this.start}deliveries`;
  }

  /** A hash of the ids of messages that were handled when others had put them back. */
  get handled(): string {
    return `${this.start}handled`;
  }

  /** A sorted set with the messages that pause before they are tried again. */
  get retry(): string {
    return `${this.start}retry`;
  }

  /** The list of the dead letters. */
  get dead(): string {
    return `${this.start}dead`;
  }

  /** The front of that list, while some are taken out of its middle. */
  get front(): string {
    return `${this.start}dead:front`;
  }

  /**
   * The dead letter whose text is too large for the list, as it is in the list.
   * The text itself is at a key of its own, which ends in `:` and the letter's id.
   */
  get text(): string {
    return `${this.start}dead:text`;
  }

  /** Since when the queue is paused for all its consumers, and by whom; none while it is not. */
  get paused(): string {
    return `${this.start}paused`;
  }

  /** A sorted set with the messages that were sent with a delay. */
  get delayed(): string {
    return `${this.start}delayed`;
  }

  /** The start of the keys that keep duplicates out, one for each key that is given. */
  get duplicates(): string {
    return `${this.start}duplicates:`;
  }

  /** A hash of the named subscribers: when each was there last, in milliseconds since the epoch. */
  get subscribers(): string {
    return `${this.start}subscribers`;
  }

  /** The start of the keys of the lists with what named subscribers have missed. */
  get allMissed(): string {
    return `${this.start}missed:`;
  }

  /** The stream of what has passed, where the dashboard keeps that. */
  get passed(): string {
    return `${this.start}passed`;
  }
}

/** Tells whether a name has a hash tag (Redis Cluster Specification, "Hash tags"). */
function hasTag(queue: string): boolean {
  const open = queue.indexOf("{");
  return open >= 0 && queue.indexOf("}", open) > open + 1;
}

/** Writes a key as a pattern that matches it alone, as in an ACL. */
export function escapePattern(key: string): string {
  return key.replace(/[*?[\]\\]/g, "\\$&");
}
