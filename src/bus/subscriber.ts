import type { CompiledCondition } from "../message/condition.ts";
import { type ChosenHook, HookTable } from "../message/hook_table.ts";
import { Event, type Message, SchemaError } from "../message/mod.ts";
import { Alarm } from "../waiting.ts";
import { BusError, DroppedError, LeftError, toError } from "./errors.ts";
import { type Limit, LimitedCall } from "./limit.ts";
import type { Receipt, Retry } from "./receipt.ts";
import { UNNAMED } from "./roster.ts";
import {
  type HookSubscription,
  QueuedMessage,
  QueueSubscription,
  type Subscription,
} from "./subscription.ts";

const NO_HOOKS: ReadonlyMap<Subscription, ChosenHook<unknown>> = new Map();

const WINDOW = 1024;

/** Says how a {@linkcode Subscriber} works, and whom it tells. */
export interface SubscriberOptions {
  /** Names it in failures. */
  readonly label: string;
  /** `=` and its name, where it has one, else {@linkcode UNNAMED}. */
  readonly name: string;
  /**
   * The time in seconds that a handler may take, unless it has a limit of its
   * own.
   */
  readonly handlerTimeout: number;
  /** Messages that it may be busy with before no more are handed to it. 1,024 by default. */
  readonly window?: number | undefined;
  /** Gives a subscription its number. */
  nextSerial(): number;
  /** Called when it begins or ceases to listen. */
  onListening(): void;
  /** Called when a handler has failed. */
  onFailure(error: Error, message: Message): void;
  /** Called when a subscriber was dropped, this one or another. */
  onDropped(error: DroppedError): void;
  /** Called when there are more or fewer subscribers on the bus. */
  onSubscribers(): void;
  /** Called when a named subscriber has come or gone. */
  onNames(): void;
  /** Called when a thread has begun or ceased to offer actions. */
  onActions(): void;
}

/** A message that a subscription is busy with. */
interface Task {
  readonly subscription: Subscription;
  readonly message: Message;
  readonly index: number;
  readonly receipt: Receipt;
  readonly token: number;
  /** The time in seconds that it may take. */
  readonly timeout: number;
  /** When its time is over, in milliseconds; it has not begun before its turn. */
  deadline: number;
  /** Has to be given its turn back. */
  turn: Limit | undefined;
  /** True while it is one of {@linkcode Tasks}, between these two. */
  isOpen: boolean;
  before: Task | undefined;
  after: Task | undefined;
}

/**
 * The tasks that are not finished, in their order: each knows its neighbours,
 * since a set that fills and empties with every batch costs more than that.
 */
class Tasks {
  size = 0;
  #first: Task | undefined;
  #last: Task | undefined;

  add(task: Task): void {
    task.before = this.#last;
    if (task.before === undefined) this.#first = task;
    else task.before.after = task;
    this.#last = task;
    task.isOpen = true;
    this.size++;
  }

  /** Takes one out, unless that is done. */
  delete(task: Task): boolean {
    if (!task.isOpen) return false;
    const { before, after } = task;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    // One that is over must not keep others in memory.
    task.before = task.after = undefined;
    task.isOpen = false;
    this.size--;
    return true;
  }

  /** Gives those that are there now, but for what is taken out meanwhile. */
  *[Symbol.iterator](): Generator<Task> {
    const all: Task[] = [];
    for (let task = this.#first; task !== undefined; task = task.after) {
      all.push(task);
    }
    for (const task of all) if (task.isOpen) yield task;
  }
}

/**
 * All the subscriptions of one `Bus`: hands messages to them, and keeps count
 * of what they are busy with.
 */
export class Subscriber {
  /** Also whom the exchange tells what becomes of the others. */
  readonly options: SubscriberOptions;
  // Replaced, never changed, so that a handler may change it meanwhile.
  #subscriptions: readonly Subscription[] = [];
  readonly #hooks = new HookTable<HookSubscription>();
  #order = 0;
  readonly #tasks = new Tasks();
  /** Those whose time begins with the end of this turn. */
  #begun: Task[] = [];
  #room = Promise.withResolvers<void>();
  /** Goes off at the first deadline; what has begun later has mostly a later one. */
  readonly #alarm = new Alarm(() => this.#expire());
  #isEnded = false;

  /** @param options How it works, and whom it tells. */
  constructor(options: SubscriberOptions) {
    this.options = options;
  }

  /** The name under which it gets again what it has missed. */
  get name(): string {
    return this.options.name;
  }

  /** True while there is a handler, a loop or a hook: only then messages come. */
  get listening(): boolean {
    return this.#subscriptions.length > 0 || this.#hooks.size > 0;
  }

  /** True while it has as many messages in hand as it may; no more are handed to it. */
  get full(): boolean {
    return this.#tasks.size >= (this.options.window ?? WINDOW);
  }

  /** Resolves when it may no longer be {@linkcode full}. */
  room(): Promise<void> {
    return this.#room.promise;
  }

  /**
   * Adds a subscription.
   *
   * @returns A function that ends it; any further call does nothing.
   */
  add(subscription: Subscription): () => void {
    subscription.serial = this.options.nextSerial();
    subscription.order = this.#order++;
    this.#change([...this.#subscriptions, subscription]);
    return () => {
      if (!this.#subscriptions.includes(subscription)) return;
      subscription.end();
      this.#change(this.#subscriptions.filter((one) => one !== subscription));
    };
  }

  /**
   * Adds a hook, which only gets those events for which it is chosen.
   *
   * @returns A function that ends it; any further call does nothing.
   */
  addHook(
    hook: HookSubscription,
    condition: CompiledCondition,
    priority: number,
  ): () => void {
    hook.serial = this.options.nextSerial();
    hook.order = this.#order++;
    const remove = this.#hooks.add(hook, condition, priority);
    if (this.#subscriptions.length + this.#hooks.size === 1) {
      this.options.onListening();
    }
    return () => {
      const { listening } = this;
      remove();
      if (this.listening !== listening) this.options.onListening();
    };
  }

  /** Gives every subscription another number, since those from before hold no longer. */
  renumber(): void {
    for (const subscription of [...this.#subscriptions, ...this.#hooks]) {
      subscription.serial = this.options.nextSerial();
    }
  }

  /**
   * Hands a message to every subscription that wants it.
   *
   * @param index Its place in the post.
   * @param receipt Takes what becomes of it.
   * @param retry Tells which subscriptions get it; all do by default.
   * @param thread The id of this thread, for `retry`.
   */
  deliver(
    message: Message,
    index: number,
    receipt: Receipt,
    retry?: Retry,
    thread = "",
  ): void {
    const before = this.#subscriptions;
    const chosen = this.#hooks.size > 0 && message instanceof Event
      ? this.#choose(message)
      : NO_HOOKS;
    const all = chosen.size === 0
      ? before
      : [...before, ...chosen.keys()].sort((a, b) => a.order - b.order);
    for (const subscription of all) {
      const hook = chosen.get(subscription);
      const ended = hook === undefined
        ? this.#subscriptions !== before &&
          !this.#subscriptions.includes(subscription)
        : !hook.isIn();
      if (ended) continue;
      const { serial } = subscription;
      if (retry?.concerns(serial, thread, this.name) === false) continue;
      try {
        const result = subscription.deliver(message, hook?.match);
        if (result === undefined) continue;
        if (result instanceof LimitedCall) {
          const task = this.#begin(subscription, message, index, receipt);
          this.#followInTurn(task, result);
        } else if (isPending(result)) {
          const task = this.#begin(subscription, message, index, receipt);
          this.#follow(task, result);
        }
      } catch (error) {
        this.#fail({ subscription, message, index, receipt }, error);
      }
    }
  }

  /** Finds the hooks that are called for an event, and how it matches each. */
  #choose(event: Event): ReadonlyMap<Subscription, ChosenHook<unknown>> {
    return new Map(this.#hooks.choose(event).map((one) => [one.hook, one]));
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

  /** Ends every subscription, and gives back what handlers are still busy with. */
  end(): void {
    this.#isEnded = true;
    this.endQueues();
    this.#hooks.clear();
    this.#change([]);
    // What get() has handed over is handled first.
    queueMicrotask(() => {
      this.#alarm[Symbol.dispose]();
      for (const task of this.#tasks) {
        const reason =
          `${this.options.label} has closed its bus before it was finished`;
        this.#fail(task, new LeftError(reason));
        this.#finish(task);
      }
    });
  }

  #change(subscriptions: readonly Subscription[]): void {
    const { listening } = this;
    this.#subscriptions = subscriptions;
    if (this.listening !== listening) this.options.onListening();
  }

  /** Waits for what a handler has returned, or for whoever takes the message out of a queue. */
  #follow(
    task: Task,
    result: PromiseLike<unknown> | QueuedMessage<Task>,
  ): void {
    this.#startTime(task);
    if (result instanceof QueuedMessage) {
      result.task = task;
      result.onHandled = this.#finish;
      result.onLeft = this.#giveUp;
    } else {
      Promise.resolve(result).then(
        () => this.#finish(task),
        (error) => this.#giveUp(task, error),
      );
    }
  }

  /** Calls a handler when it is its turn; its time begins then. */
  #followInTurn(task: Task, { limit, run }: LimitedCall): void {
    const fail = (error: unknown): void => this.#giveUp(task, error);
    limit.take(() => {
      // What waits when the bus is closed is given back by that.
      if (this.#isEnded || !task.isOpen) return limit.give();
      task.turn = limit;
      if (limit.isEnded) {
        return fail(new LeftError("The handler was removed before its turn"));
      }
      this.#startTime(task);
      try {
        const result = run();
        if (!isPending(result)) return this.#finish(task);
        Promise.resolve(result).then(() => this.#finish(task), fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Notes that a handler has a message; its time has not begun. */
  #begin(
    subscription: Subscription,
    message: Message,
    index: number,
    receipt: Receipt,
  ): Task {
    const { timeout = this.options.handlerTimeout } = subscription;
    const token = receipt.begin(index);
    const task: Task = {
      subscription,
      message,
      index,
      receipt,
      token,
      timeout,
      deadline: Infinity,
      turn: undefined,
      isOpen: false,
      before: undefined,
      after: undefined,
    };
    this.#tasks.add(task);
    return task;
  }

  /** Lets the time of a handler begin, where it has a limit. */
  #startTime(task: Task): void {
    if (task.timeout === Infinity) return;
    this.#begun.push(task);
    if (this.#begun.length === 1) queueMicrotask(() => this.#setDeadlines());
  }

  /**
   * Looks at the clock once for all handlers that were called together: for each
   * of them, that would take longer than the handler.
   */
  #setDeadlines(): void {
    const begun = this.#begun;
    this.#begun = [];
    const now = performance.now();
    let first = Infinity;
    for (const task of begun) {
      if (!task.isOpen) continue;
      task.deadline = now + task.timeout * 1000;
      first = Math.min(first, task.deadline);
    }
    if (first < this.#alarm.at) this.#alarm.set((first - now) / 1000);
  }

  /** Fails what has taken longer than its time limit. */
  #expire(): void {
    const now = performance.now();
    for (const task of this.#tasks) {
      if (task.deadline > now) continue;
      const error = new BusError(
        `A handler of ${this.options.label} has not finished with message ` +
          `${task.message.id} within ${task.timeout} s: make it ` +
          "faster, or raise handlerTimeout",
      );
      this.#fail(task, error);
      this.#finish(task);
    }
    // Whoever heard of that may have posted more.
    let next = Infinity;
    for (const { deadline } of this.#tasks) next = Math.min(next, deadline);
    this.#alarm.set((next - performance.now()) / 1000);
  }

  /** Notes that a message was handled, once. */
  readonly #finish = (task: Task): void => {
    const { full } = this;
    if (!this.#tasks.delete(task)) return;
    if (full) {
      this.#room.resolve();
      this.#room = Promise.withResolvers();
    }
    task.receipt.finish(task.token);
    task.turn?.give();
  };

  /** Notes that a message was not handled, unless that is over. */
  readonly #giveUp = (task: Task, error: unknown): void => {
    if (!task.isOpen) return;
    this.#fail(task, error);
    this.#finish(task);
  };

  #fail(
    { subscription, message, index, receipt }: Pick<
      Task,
      "subscription" | "message" | "index" | "receipt"
    >,
    thrown: unknown,
  ): void {
    const error = toError(thrown);
    const reason = error instanceof LeftError
      ? "left"
      : error instanceof DroppedError
      ? "dropped"
      : error instanceof SchemaError
      ? "malformed"
      : "failed";
    receipt.fail({
      index,
      reason,
      error,
      subscriber: this.options.label,
      subscription: this.name === UNNAMED
        ? String(subscription.serial)
        : this.name,
    });
    const isOurs = reason === "failed" || reason === "malformed";
    if (isOurs) this.options.onFailure(error, message);
  }
}

/** Tells whether a message is handled only later. */
function isPending(
  value: unknown,
): value is PromiseLike<unknown> | QueuedMessage<Task> {
  return value instanceof QueuedMessage ||
    typeof value === "object" && value !== null && "then" in value &&
      typeof value.then === "function";
}
