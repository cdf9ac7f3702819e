import { LONGEST_TIMER, whenAborted } from "../waiting.ts";
import type { CompiledCondition } from "../message/condition.ts";
import {
  Event,
  type EventMatch,
  type Filter,
  matchesFilter,
  type Message,
  type MessageClass,
} from "../message/mod.ts";
import { LeftError } from "./errors.ts";

/** A handler, a loop, or whoever calls `get()`. */
export interface Subscription {
  /** Tells it from all others on the bus, in the order in which they came. */
  serial: number;
  /** Its place among those of its `Bus`, in the order in which they came. */
  order: number;
  /**
   * The time in seconds that it may take with a message; the bus's `handlerTimeout`
   * by default.
   */
  readonly timeout?: number | undefined;
  /**
   * Takes a message, when it is one that this subscription wants.
   *
   * @param match How a hook's event matches it.
   * @returns A {@linkcode QueuedMessage}, or something with a `then`, when the
   * message is handled only later.
   */
  deliver(message: Message, match?: EventMatch): unknown;
  /** Takes no more messages. */
  end(error?: Error): void;
}

/** Calls a handler for each message of a type that passes a filter. */
export class HandlerSubscription implements Subscription {
  serial = 0;
  order = 0;
  readonly timeout: number | undefined;
  readonly #type: MessageClass | string;
  readonly #handler: (message: Message) => unknown;
  readonly #filter: Filter | undefined;

  /**
   * @param type A message class, or the name of an event type.
   * @param timeout How long the handler may take, in seconds.
   */
  constructor(
    type: MessageClass | string,
    handler: (message: Message) => unknown,
    filter: Filter | undefined,
    timeout: number | undefined,
  ) {
    this.timeout = timeout;
    this.#type = type;
    this.#handler = handler;
    this.#filter = filter;
  }

  deliver(message: Message): unknown {
    const type = this.#type;
    const wanted = typeof type === "string"
      ? message instanceof Event && message.args.type === type
      : message instanceof type;
    if (!wanted) return;
    if (this.#filter !== undefined && !matchesFilter(message, this.#filter)) {
      return;
    }
    return this.#handler(message);
  }

  end(): void {}
}

/** A hook's handler, as {@linkcode Bus.on} takes it. */
export type HookHandler = (
  event: Event,
  captures: Readonly<Record<string, string>>,
) => unknown;

/** Calls a handler for each event that it is chosen for. */
export class HookSubscription implements Subscription {
  serial = 0;
  order = 0;
  readonly timeout: number | undefined;
  readonly #handler: HookHandler;

  /**
   * @param handler Called with the event, and with what its phrase has caught.
   * @param timeout How long the handler may take, in seconds.
   */
  constructor(handler: HookHandler, timeout: number | undefined) {
    this.#handler = handler;
    this.timeout = timeout;
  }

  deliver(message: Message, match?: EventMatch): unknown {
    return this.#handler(message as Event, match!.captures);
  }

  end(): void {}
}

/**
 * A message in a queue. Whoever waits until it is handled says so in the fields,
 * with functions that are the same for all messages: a promise for each would
 * cost as much as the message.
 */
export class QueuedMessage<Task = unknown> {
  readonly message: Message;
  /** Given back to whoever waits, with the call. */
  task: Task | undefined = undefined;
  /** Called when it was handled. */
  onHandled: ((task: Task) => void) | undefined = undefined;
  /** Called when nobody will handle it. */
  onLeft: ((task: Task, error: Error) => void) | undefined = undefined;

  constructor(message: Message) {
    this.message = message;
  }

  /** Tells that it was handled. */
  handled(): void {
    this.onHandled?.(this.task!);
  }

  /** Tells that nobody will handle it. */
  left(error: Error): void {
    this.onLeft?.(this.task!, error);
  }
}

/**
 * Keeps messages until they are asked for, one at a time. A message counts as
 * handled when the next one is asked for.
 */
export class QueueSubscription implements Subscription {
  serial = 0;
  order = 0;
  /** A loop over messages takes the time that it takes. */
  readonly timeout: number = Infinity;
  readonly #condition: CompiledCondition | undefined;
  readonly #queue: QueuedMessage[] = [];
  readonly #waiting: PromiseWithResolvers<Message | undefined>[] = [];
  /** Messages that were taken, and after which no other was asked for yet. */
  readonly #taken: QueuedMessage[] = [];
  #ended = false;
  #error: Error | undefined;

  /** @param condition What events have to be; every message is kept without it. */
  constructor(condition?: CompiledCondition) {
    this.#condition = condition;
  }

  deliver(message: Message): QueuedMessage | undefined {
    const isWanted = this.#condition === undefined ||
      message instanceof Event && this.#condition.match(message) !== undefined;
    if (!isWanted) return undefined;
    const queued = new QueuedMessage(message);
    const reader = this.#waiting.shift();
    if (reader === undefined) {
      this.#queue.push(queued);
    } else {
      this.#taken.push(queued);
      reader.resolve(message);
    }
    return queued;
  }

  /** Takes the next message where there is one, and counts the one before as handled. */
  take(): Message | undefined {
    this.#taken.shift()?.handled();
    const queued = this.#queue.shift();
    if (queued !== undefined) this.#taken.push(queued);
    return queued?.message;
  }

  /**
   * Asks for the next message.
   *
   * @param timeout How long to wait for it, in seconds.
   * @returns The message, or `undefined` when none came in time or the
   * subscription has ended.
   * @throws The error that the subscription has ended with, once; or the
   * signal's reason.
   */
  async next(
    timeout: number = Infinity,
    signal?: AbortSignal,
  ): Promise<Message | undefined> {
    signal?.throwIfAborted();
    const message = this.take();
    if (message !== undefined) return message;
    if (this.#ended) {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) throw error;
      return undefined;
    }
    const reader = Promise.withResolvers<Message | undefined>();
    this.#waiting.push(reader);
    if (timeout === Infinity && signal === undefined) {
      return await reader.promise;
    }
    const stop = (): void => {
      const place = this.#waiting.indexOf(reader);
      if (place >= 0) this.#waiting.splice(place, 1);
    };
    using _end = whenAborted(signal, () => {
      stop();
      reader.reject(signal!.reason);
    });
    const timer = timeout === Infinity ? undefined : setTimeout(() => {
      stop();
      reader.resolve(undefined);
    }, Math.min(timeout * 1000, LONGEST_TIMER));
    try {
      return await reader.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Counts what was taken as handled, without asking for more. */
  finish(): void {
    for (const queued of this.#taken.splice(0)) queued.handled();
  }

  end(error?: Error): void {
    this.#ended = true;
    const left = new LeftError(
      "The subscription ended before it was through with the message",
    );
    const open = [...this.#taken.splice(0), ...this.#queue.splice(0)];
    for (const queued of open) queued.left(left);
    const [first, ...others] = this.#waiting.splice(0);
    if (first === undefined) this.#error = error;
    else if (error !== undefined) first.reject(error);
    else first.resolve(undefined);
    for (const reader of others) reader.resolve(undefined);
  }
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

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
