import type { Message } from "../message/mod.ts";
import type { Delivery } from "./delivery.ts";
import { BusError, DroppedError } from "./errors.ts";
import { QueueSubscription, type Subscription } from "./subscription.ts";

/** Messages that a subscriber may be busy with before no more are handed to it. */
const WINDOW = 1024;

/** What a subscriber tells its bus. */
export interface SubscriberEvents {
  /** It begins or ceases to listen. */
  onChange(): void;
  /** A handler has failed. */
  onFailure(error: Error, message: Message): void;
}

/** A message that a subscription is busy with. */
interface Task {
  readonly message: Message;
  readonly index: number;
  readonly delivery: Delivery;
  readonly since: number;
}

/**
 * All the subscriptions of one `Bus`: hands messages to them, and keeps count
 * of what they are busy with.
 */
export class Subscriber {
  /** Names it in failures. */
  readonly label: string;
  readonly #handlerTimeout: number;
  readonly #events: SubscriberEvents;
  readonly #subscriptions = new Set<Subscription>();
  readonly #tasks = new Set<Task>();
  #room = Promise.withResolvers<void>();

  /**
   * @param label Names it in failures.
   * @param handlerTimeout How long a handler may take, in seconds.
   * @param events Whom to tell.
   */
  constructor(label: string, handlerTimeout: number, events: SubscriberEvents) {
    this.label = label;
    this.#handlerTimeout = handlerTimeout;
    this.#events = events;
  }

  /** Whether there is any subscription. */
  get listening(): boolean {
    return this.#subscriptions.size > 0;
  }

  /** Whether it is busy with as many messages as it may be. */
  get full(): boolean {
    return this.#tasks.size >= WINDOW;
  }

  /** Resolves when it may no longer be {@linkcode full}. */
  room(): Promise<void> {
    return this.#room.promise;
  }

  /**
   * Adds a subscription.
   *
   * @returns Ends it; any further call does nothing.
   */
  add(subscription: Subscription): () => void {
    this.#subscriptions.add(subscription);
    if (this.#subscriptions.size === 1) this.#events.onChange();
    return () => {
      if (!this.#subscriptions.delete(subscription)) return;
      subscription.end();
      if (this.#subscriptions.size === 0) this.#events.onChange();
    };
  }

  /** Hands a message to every subscription. */
  deliver(message: Message, index: number, delivery: Delivery): void {
    for (const subscription of this.#subscriptions) {
      let result: unknown;
      try {
        result = subscription.deliver(message);
      } catch (error) {
        this.#fail(message, index, delivery, error);
        continue;
      }
      if (isThenable(result)) this.#follow(message, index, delivery, result);
    }
  }

  /** Fails what has taken longer than the handlers' time limit. */
  expire(): void {
    const limit = performance.now() - this.#handlerTimeout * 1000;
    for (const task of this.#tasks) {
      if (task.since > limit) break;
      const { message, index, delivery } = task;
      this.#fail(
        message,
        index,
        delivery,
        new BusError(
          `A handler of ${this.label} has not finished with message ${message.id} within ` +
            `${this.#handlerTimeout} s: make it faster, or raise handlerTimeout`,
        ),
      );
      this.#finish(task);
    }
  }

  /** Ends every subscription. */
  end(): void {
    const { listening } = this;
    for (const subscription of this.#subscriptions) subscription.end();
    this.#subscriptions.clear();
    if (listening) this.#events.onChange();
  }

  /**
   * Tells that messages were lost: queues end with the error, and handlers stay
   * for what comes next.
   */
  interrupt(error: Error): void {
    for (const subscription of this.#subscriptions) {
      if (!(subscription instanceof QueueSubscription)) continue;
      subscription.end(error);
      this.#subscriptions.delete(subscription);
    }
    if (!this.listening) this.#events.onChange();
  }

  #follow(
    message: Message,
    index: number,
    delivery: Delivery,
    result: PromiseLike<unknown>,
  ): void {
    const task = { message, index, delivery, since: performance.now() };
    this.#tasks.add(task);
    delivery.begin();
    result.then(
      () => this.#finish(task),
      (error) => {
        if (!this.#tasks.has(task)) return;
        this.#fail(message, index, delivery, error);
        this.#finish(task);
      },
    );
  }

  #finish(task: Task): void {
    const { full } = this;
    if (!this.#tasks.delete(task)) return;
    if (full) {
      this.#room.resolve();
      this.#room = Promise.withResolvers();
    }
    task.delivery.finish();
  }

  #fail(
    message: Message,
    index: number,
    delivery: Delivery,
    reason: unknown,
  ): void {
    const error = reason instanceof Error
      ? reason
      : new BusError(String(reason));
    const dropped = error instanceof DroppedError;
    delivery.fail({
      index,
      reason: dropped ? "dropped" : "failed",
      error,
      subscriber: this.label,
    });
    if (!dropped) this.#events.onFailure(error, message);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value &&
    typeof value.then === "function";
}
