import { type QueueKeys, queueKeys } from "./queue_keys.ts";

/** One life of a consumer: from joining until it leaves or is taken for dead. */
export class Session {
  /** The part of its name that no other session has. */
  readonly token: string = crypto.randomUUID().slice(0, 8);
  /** The consumer's name during this session. */
  readonly name: string;
  /** The keys of the queue, and of this session. */
  readonly keys: QueueKeys;
  /** The numbers of the batches that are on their way or not settled. */
  readonly known: Set<number> = new Set();
  /** Of these, the ones whose lists are announced and empty: each waits for one message. */
  readonly slots: number[] = [];
  // Tokens of eight digits may be drawn twice, but not within one second.
  #last = Math.floor(Date.now() / 1000);

  /**
   * @param queue The queue that is consumed.
   * @param consumer The start of the name.
   */
  constructor(queue: string, consumer: string) {
    this.name = `${consumer}.${this.token}`;
    this.keys = queueKeys(queue, this.name);
  }

  /** Makes a number that no other batch of this session ever has. */
  next(): number {
    this.known.add(++this.#last);
    return this.#last;
  }

  /** Names the key of a batch's list. */
  list(number: number): string {
    return `${this.keys.batch}${number}`;
  }

  /**
   * Begins the ids of a batch's messages. The script that puts back what a dead
   * consumer had in hand makes the same (`HISTORY_FUNCTIONS`).
   */
  prefix(number: number): string {
    return `${this.token}${number.toString(16).padStart(14, "0")}`;
  }
}
