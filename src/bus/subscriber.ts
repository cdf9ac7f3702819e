import type { Message } from "../message/mod.ts";
import type { Delivery } from "./delivery.ts";
import { BusError, DroppedError } from "./errors.ts";
import { QueueSubscription, type Subscription } from "./subscription.ts";
import { toError } from "./to_error.ts";

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
  /** How long it may take, in seconds. */
  readonly timeout: number;
  /** When it began, in milliseconds. */
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
  // Replaced, never changed, so that a handler may change it meanwhile.
  #subscriptions: readonly Subscription[] = [];
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
    return this.#subscriptions.length > 0;
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
    this.#change([...this.#subscriptions, subscription]);
    return () => {
      if (!this.#subscriptions.includes(subscription)) return;
      subscription.end();
      this.#change(this.#subscriptions.filter((one) => one !== subscription));
    };
  }

  /** Hands a message to every subscription. */
  deliver(message: Message, index: number, delivery: Delivery): void {
    const before = this.#subscriptions;
    for (const subscription of before) {
      const ended = this.#subscriptions !== before &&
        !this.#subscriptions.includes(subscription);
      if (ended) continue;
      try {
        const result = subscription.deliver(message);
        if (!isThenable(result)) continue;
        const { timeout = this.#handlerTimeout } = subscription;
        const since = performance.now();
        this.#follow({ message, index, delivery, timeout, since }, result);
      } catch (error) {
        this.#fail({ message, index, delivery }, error);
      }
    }
  }

  /** Fails what has taken longer than its time limit. */
  expire(): void {
    const now = performance.now();
    for (const task of this.#tasks) {
      if (now - task.since <= task.timeout * 1000) continue;
      const error = new BusError(
        `A handler of ${this.label} has not finished with message ` +
          `${task.message.id} within ${task.timeout} s: make it ` +
          "faster, or raise handlerTimeout",
      );
      this.#fail(task, error);
      this.#finish(task);
    }
  }

  /** Ends the loops and whoever waits for a message; handlers stay. */
  endQueues(error?: Error): void {
    for (const subscription of this.#subscriptions) {
      if (subscription instanceof QueueSubscription) subscription.end(error);
    }
    this.#change(
      this.#subscriptions.filter((one) => !(one instanceof QueueSubscription)),
    );
  }

  /** Ends every subscription, and fails what handlers are still busy with. */
  end(): void {
    this.endQueues();
    this.#change([]);
    // What get() has handed over is handled first.
    queueMicrotask(() => {
      for (const task of this.#tasks) {
        const reason =
          `${this.label} has closed its bus before it was finished`;
        this.#fail(task, new DroppedError(reason));
        this.#finish(task);
      }
    });
  }

  #change(subscriptions: readonly Subscription[]): void {
    const { listening } = this;
    this.#subscriptions = subscriptions;
    if (this.listening !== listening) this.#events.onChange();
  }

  #follow(task: Task, result: PromiseLike<unknown>): void {
    this.#tasks.add(task);
    task.delivery.begin();
    Promise.resolve(result).then(
      () => this.#finish(task),
      (error) => {
        if (!this.#tasks.has(task)) return;
        this.#fail(task, error);
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
    { message, index, delivery }: Omit<Task, "timeout" | "since">,
    reason: unknown,
  ): void {
    const error = toError(reason);
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
