/** The keys that belong to a queue, all in the queue's hash slot. */
export interface QueueKeys {
  /** The list with the messages that wait. */
  readonly queue: string;
  /** A hash of this consumer: the number of each batch in hand to how its messages were delivered before. */
  readonly processing: string;
  /** The start of the keys of this consumer's batches, one list each. */
  readonly batch: string;
  /** The start of the keys of all consumers' hashes. */
  readonly allProcessing: string;
  /** Exists while this consumer is alive. */
  readonly heartbeat: string;
  /** The start of the keys of all heartbeats. */
  readonly allHeartbeats: string;
  /** A hash of all consumers. */
  readonly consumers: string;
  /** A hash with how often messages that wait again were delivered before. */
  readonly deliveries: string;
  /** A sorted set with the messages that pause before they are tried again. */
  readonly retry: string;
  /** The list of the dead letters. */
  readonly dead: string;
}

/**
 * Names the keys of a queue. A name that has a hash tag keeps it, and any other
 * becomes one.
 *
 * @param queue The queue.
 * @param consumer The consumer's own name.
 */
export function queueKeys(queue: string, consumer: string): QueueKeys {
  const prefix = hasTag(queue) || queue.includes("}") ? queue : `{${queue}}`;
  return {
    queue,
    processing: `${prefix}:processing:${consumer}`,
    batch: `${prefix}:processing:${consumer}:`,
    allProcessing: `${prefix}:processing:`,
    heartbeat: `${prefix}:consumer:${consumer}`,
    allHeartbeats: `${prefix}:consumer:`,
    consumers: `${prefix}:consumers`,
    deliveries: `${prefix}:deliveries`,
    retry: `${prefix}:retry`,
    dead: `${prefix}:dead`,
  };
}

/** Redis Cluster Specification, "Hash tags". */
function hasTag(queue: string): boolean {
  const open = queue.indexOf("{");
  return open >= 0 && queue.indexOf("}", open) > open + 1;
}
