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
  #last = 0;

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

  /** Names one of a batch's messages; as text, such names sort in their order. */
  nameMessage(number: number, index: number): string {
    return `${this.token}:${pad(number)}:${pad(index)}`;
  }
}

function pad(number: number): string {
  return String(number).padStart(10, "0");
}
