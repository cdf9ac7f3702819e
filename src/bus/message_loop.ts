import type { Message } from "../message/mod.ts";
import type { QueueSubscription } from "./subscription.ts";

const DONE = { value: undefined, done: true } as const;

/**
 * Takes every message, as `for await` asks for them. A generator would make
 * several promises for each; here a message that is there costs one.
 */
export class MessageLoop implements AsyncGenerator<Message, void, void> {
  readonly #queue: QueueSubscription;
  readonly #unsubscribe: () => void;

  /**
   * @param queue Collects the messages.
   * @param unsubscribe Ends that.
   */
  constructor(queue: QueueSubscription, unsubscribe: () => void) {
    this.#queue = queue;
    this.#unsubscribe = unsubscribe;
  }

  next(): Promise<IteratorResult<Message, void>> {
    const message = this.#queue.take();
    return message === undefined
      ? this.#wait()
      : Promise.resolve({ value: message, done: false });
  }

  return(): Promise<IteratorResult<Message, void>> {
    // The loop was left, and is through with the message that it had.
    this.#queue.finish();
    this.#unsubscribe();
    return Promise.resolve(DONE);
  }

  async throw(error: unknown): Promise<IteratorResult<Message, void>> {
    await this.return();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #wait(): Promise<IteratorResult<Message, void>> {
    try {
      const message = await this.#queue.next();
      return message === undefined ? DONE : { value: message, done: false };
    } catch (error) {
      this.#unsubscribe();
      throw error;
    }
  }
}
