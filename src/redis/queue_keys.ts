import { RedisError, restate } from "./redis_error.ts";

/** Platypush's queue. */
export const DEFAULT_QUEUE = "platypush/backend/redis";

/** The number of hash slots of a cluster. */
const SLOTS = 16384;

/** The keys that belong to a queue, all in the queue's hash slot. */
export interface QueueKeys {
  /** The list with the messages that wait. */
  readonly queue: string;
  /** The start of all other keys. */
  readonly start: string;
  /** A hash of this consumer: the number of each batch in hand to how its messages were delivered before. */
  readonly processing: string;
  /** The start of the keys of this consumer's batches, one list each. */
  readonly batch: string;
  /** The start of the keys of all consumers' hashes. */
  readonly allProcessing: string;
  /** Beats while this consumer is alive, or names the key that beats for it (`=key`). */
  readonly heartbeat: string;
  /** The start of the keys of all heartbeats. */
  readonly allHeartbeats: string;
  /** A hash of all consumers. */
  readonly consumers: string;
  /** A hash with how often messages that wait again were delivered before. */
  readonly deliveries: string;
  /** A hash of the ids of messages that were handled when others had put them back. */
  readonly handled: string;
  /** A sorted set with the messages that pause before they are tried again. */
  readonly retry: string;
  /** The list of the dead letters. */
  readonly dead: string;
  /** The front of that list, while some are taken out of its middle. */
  readonly front: string;
  /**
   * The dead letter whose text is too large for the list, as it is in the list.
   * The text itself is at a key of its own, which ends in `:` and the letter's id.
   */
  readonly text: string;
  /** Since when the queue is paused for all its consumers, and by whom; none while it is not. */
  readonly paused: string;
  /** A sorted set with the messages that were sent with a delay. */
  readonly delayed: string;
  /** The start of the keys that keep duplicates out, one for each key that is given. */
  readonly duplicates: string;
  /** A hash of the named subscribers: when each was there last, in milliseconds since the epoch. */
  readonly subscribers: string;
  /** The start of the keys of the lists with what named subscribers have missed. */
  readonly allMissed: string;
  /** The stream of what has passed, where the dashboard keeps that. */
  readonly passed: string;
}

/**
 * Names the keys of a queue. A name that has a hash tag keeps it, and any other
 * becomes one.
 */
export function queueKeys(queue: string, consumer: string): QueueKeys {
  const prefix = hasTag(queue) || queue.includes("}") ? queue : `{${queue}}`;
  return {
    queue,
    start: `${prefix}:`,
    processing: `${prefix}:processing:${consumer}`,
    batch: `${prefix}:processing:${consumer}:`,
    allProcessing: `${prefix}:processing:`,
    heartbeat: `${prefix}:consumer:${consumer}`,
    allHeartbeats: `${prefix}:consumer:`,
    consumers: `${prefix}:consumers`,
    deliveries: `${prefix}:deliveries`,
    handled: `${prefix}:handled`,
    retry: `${prefix}:retry`,
    dead: `${prefix}:dead`,
    front: `${prefix}:dead:front`,
    text: `${prefix}:dead:text`,
    paused: `${prefix}:paused`,
    delayed: `${prefix}:delayed`,
    duplicates: `${prefix}:duplicates:`,
    subscribers: `${prefix}:subscribers`,
    allMissed: `${prefix}:missed:`,
    passed: `${prefix}:passed`,
  };
}

/** Tells whether a name has a hash tag (Redis Cluster Specification, "Hash tags"). */
function hasTag(queue: string): boolean {
  const open = queue.indexOf("{");
  return open >= 0 && queue.indexOf("}", open) > open + 1;
}

/**
 * Computes the hash slot of a key in a Redis Cluster (Redis Cluster
 * Specification, "Key distribution model"): the CRC16 of the part between the
 * first `{` and the next `}`. Where that part is missing or empty, the whole
 * key counts.
 *
 * @returns The slot, from 0 to 16383.
 */
export function keySlot(key: string): number {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  const tag = close > open + 1 ? key.slice(open + 1, close) : key;
  return crc16(new TextEncoder().encode(tag)) % SLOTS;
}

/** CRC-16/XMODEM: polynomial 0x1021, start value 0. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
    }
  }
  return crc;
}

/** Turns the error of a key of another type into one that names the queue; any other error stays as it is. */
export function explainWrongType(error: unknown, queue: string): unknown {
  if (!(error instanceof RedisError) || error.code !== "wrong-type") {
    return error;
  }
  const attempted = `read "${queue}"`;
  const advice = "use another queue or remove the key";
  const { subject = queue } = error;
  return subject !== queue
    ? restate(error, { attempted, advice })
    : restate(error, {
      attempted,
      reason: "the key exists, but is no list",
      advice,
    });
}
