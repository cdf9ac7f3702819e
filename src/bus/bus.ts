import { checkOptions, checkValue, row } from "../options.ts";
import { SECONDS, SIGNAL } from "../kinds.ts";
import { guarded, stackOf } from "../guarded.ts";
import { createLogger, type Logger } from "../logger.ts";
import { type CompiledCondition, readCondition } from "../message/condition.ts";
import {
  type Condition,
  Event,
  type EventDefinition,
  type Filter,
  Message,
  type MessageClass,
  type MessageInput,
  type Schema,
} from "../message/mod.ts";
import { type AnyDefinition, isDefinition } from "../message/define_event.ts";
import {
  type ActionHandler,
  type ActionOptions,
  toAction,
} from "./action_table.ts";
import {
  type BusOptions,
  type BusStats,
  checkBusOptions,
  type CheckedBusOptions,
  GET_OPTIONS,
  HANDLER_OPTIONS,
  type HandlerOptions,
  HOOK_OPTIONS,
  type HookOptions,
  POST_OPTIONS,
  type PostOptions,
  STREAM_OPTIONS,
  type StreamOptions,
  WATCH_OPTIONS,
  type WatchOptions,
} from "./bus_options.ts";
import { BusError, whereabouts } from "./errors.ts";
import type { FrameOptions, Postable } from "./frame.ts";
import { Exchange, yieldToEventLoop } from "./exchange.ts";
import { actionBusOf, OfferedActions } from "./offered_actions.ts";
import { addToPool } from "./pooled_thread.ts";
import { Receipt } from "./receipt.ts";
import { UNNAMED } from "./roster.ts";
import {
  checkHandler,
  isOfEvents,
  register,
  registerHandler,
  type Registration,
} from "./registration.ts";
import { Subscriber, type SubscriberOptions } from "./subscriber.ts";
import {
  HandlerSubscription,
  type HookHandler,
  HookSubscription,
  MessageLoop,
  QueueSubscription,
} from "./subscription.ts";
import { type Watch, WatchWindow } from "./watch.ts";

/** In Python, `None` is for ever too. */
const WAIT = row(SECONDS, { isNullable: true });

/**
 * Posts to a bus, for {@linkcode Bus.post} and for a backend: it says whose
 * messages they are, and its options need no check.
 */
export let postBatch: (
  bus: Bus,
  payloads: readonly Postable[],
  options: FrameOptions,
  expected?: readonly string[],
) => Promise<Receipt>;

/** Tells the names of the named subscribers on a bus; its event "names" tells when one comes or goes. */
export let namesOn: (bus: Bus) => ReadonlySet<string>;

/** Tells whether any `Bus` of a bus offers actions; its event "actions" tells when that changes. */
export let hasActions: (bus: Bus) => boolean;

/** Tells a bus that has no device id of its own that of a backend on it. */
export let lendDevice: (bus: Bus, deviceId: string) => void;

/**
 * Carries messages between the threads of a process. Every `Bus` of the same
 * name, in any thread, is the same bus. Each one that listens gets every
 * message. Nothing is lost on the way, and what one bus posts stays in order. A
 * subscriber that falls behind makes {@linkcode Bus.post} wait.
 *
 * A message is handled when its handler has returned, or the promise that it
 * returned has resolved; with `for await` and {@linkcode Bus.get}, when the
 * next message is asked for.
 *
 * Plain listeners, `new BroadcastChannel("platypush/bus")`, get every message
 * as a plain object and may post some. Deno keeps 256 frames for the whole
 * process, so that a listener that does not keep up with 20,000 messages a
 * second misses some. While a `Bus` listens, it is not slowed down for them:
 * when more than that come, plain listeners get 100 a second until fewer do.
 *
 * Events: `"error"` (an `ErrorEvent`) when a handler fails, when a subscriber
 * is dropped, and when this one was; `"subscribers"` when their number has
 * changed.
 *
 * @example
 * ```ts
 * import { Bus, Event } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/bus", deviceId: "livingroom" });
 * const seen: unknown[] = [];
 * bus.registerHandler(Event, (event) => seen.push(event.args.type));
 * await bus.post({ type: "event", args: { type: "custom.Motion" } });
 * await bus.flush();
 * assert.deepEqual(seen, ["custom.Motion"]);
 * ```
 */
export class Bus extends EventTarget implements AsyncDisposable {
  /** The bus's name. */
  readonly name: string;
  readonly #options: CheckedBusOptions;
  /** Its name in errors and logs. */
  readonly #label: string;
  readonly #logger: Logger;
  /** The exchange on which it posts and watches. */
  readonly #exchange: Exchange;
  readonly #poster: Subscriber;
  /** The exchange on which it listens; a member of a group has one of its own. */
  readonly #inlet: Exchange;
  readonly #subscriber: Subscriber;
  readonly #receipts = new Set<Receipt>();
  readonly #watches = new Set<WatchWindow>();
  #actions: OfferedActions | undefined;
  #posts: Promise<void> = Promise.resolve();
  #pull: QueueSubscription | undefined;
  #endPull: () => void = () => {};
  #failed = 0;
  readonly #leavePool: () => void;
  #closing: Promise<void> | undefined;

  /**
   * Opens the bus.
   *
   * @param options The bus's name and limits; everybody on one name is on one bus.
   * @throws {TypeError} When there is no such option or it is of another kind,
   * the name is no text, there is a `concurrency` without a `group`, or a
   * `subscriber` with one.
   * @throws {RangeError} When a time limit is not a positive number, the name
   * has a `#`, or this thread has too many named subscribers.
   * @throws {BusError} When the runtime is too old.
   */
  constructor(options: BusOptions = {}) {
    super();
    const given = checkBusOptions(options);
    const {
      name,
      label = defaultLabel(),
      stallTimeout,
      daemon,
      deviceId,
      group,
      concurrency = 1,
      logger = createLogger("bus"),
    } = given;
    this.name = name;
    this.#options = given;
    this.#label = label;
    this.#logger = logger;
    const subscriberOptions = this.#subscriberOptions(
      group === undefined ? undefined : concurrency,
    );
    this.#poster = new Subscriber(subscriberOptions);
    this.#exchange = Exchange.enter({
      name,
      label,
      stallTimeout,
      daemon,
      ...(deviceId === undefined ? {} : { deviceId }),
      logger,
    }, this.#poster);
    if (group === undefined) {
      this.#inlet = this.#exchange;
      this.#subscriber = this.#poster;
    } else {
      this.#subscriber = new Subscriber({
        ...subscriberOptions,
        // The poster tells already.
        onSubscribers: () => {},
        onNames: () => {},
        onActions: () => {},
      });
      this.#inlet = this.#exchange.seat(
        { group, concurrency },
        label,
        this.#subscriber,
      );
    }
    this.#leavePool = addToPool(this);
  }

  /** Says how it subscribes, and how its user hears of what becomes of that. */
  #subscriberOptions(window: number | undefined): SubscriberOptions {
    const { subscriber, handlerTimeout } = this.#options;
    return {
      label: this.#label,
      name: subscriber === undefined ? UNNAMED : `=${subscriber}`,
      handlerTimeout,
      window,
      nextSerial: () => this.#inlet.nextSerial(),
      onListening: () => this.#inlet.onListening(),
      onFailure: (error, message) => {
        this.#failed++;
        this.#blame(
          `A handler in "${this.#label}" has failed with message ${message.id}`,
          error,
        );
      },
      onDropped: (error) => this.#report(error),
      onSubscribers: () =>
        this.dispatchEvent(new globalThis.Event("subscribers")),
      onNames: () => this.dispatchEvent(new globalThis.Event("names")),
      onActions: () => this.dispatchEvent(new globalThis.Event("actions")),
    };
  }

  /** The number of threads of this process that subscribe; each member of a group counts. */
  get subscribers(): number {
    return this.#exchange.subscribers;
  }

  /**
   * Waits until all threads on the bus know whether this one subscribes, and
   * it knows of them: whatever they post from then on arrives.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   *
   * await using bus = new Bus({ name: "example/ready", deviceId: "livingroom" });
   * bus.registerHandler("custom.Motion", console.log);
   * await bus.ready();
   * console.log("I listen."); // a worker tells whoever has started it
   * ```
   */
  async ready(): Promise<void> {
    await this.#exchange.ready();
    await this.#inlet.ready();
    await this.#actions?.ready();
  }

  /**
   * Posts messages. Objects, texts and messages are checked here; bytes are
   * built where they are received, and what is wrong with them is reported by
   * the receipt.
   *
   * @param input A message or several, or what they can be built from.
   * @param options Says which messages are accepted, and how they came here.
   * @returns When every subscriber has room for more: a promise of what became
   * of the messages. Waiting for it only after the next post keeps subscribers
   * busy. Handlers in two threads that wait for posts to each other may, when
   * both are full, wait for ever: such handlers should post without waiting.
   * @throws {MessageError} When an input is not a message. None is posted then.
   * @throws {TypeError} When there is no such option or it is of another kind.
   * @throws {RangeError} When the size limit is no number above 0.
   * @throws {BusError} When the bus is closed.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/post", deviceId: "livingroom" });
   * bus.registerHandler("custom.Motion", () => {
   *   throw new Error("no light bulb");
   * });
   * const receipt = await bus.post({ type: "event", args: { type: "custom.Motion" } });
   * const [failure] = await receipt.handled;
   * assert.equal(failure?.error.message, "no light bulb");
   * ```
   */
  async post(
    input: MessageInput | readonly MessageInput[],
    options: PostOptions = {},
  ): Promise<Receipt> {
    checkOptions("post", options, POST_OPTIONS);
    const building = this.#withDevice(options);
    const inputs = (isArray(input) ? input : [input]).map((one) =>
      one instanceof Uint8Array ? one : Message.build(one, building)
    );
    const receipt = await postBatch(this, inputs, building);
    await yieldToEventLoop();
    return receipt;
  }

  static {
    hasActions = (bus) => bus.#exchange.hasActions;
    postBatch = async (bus, payloads, options, expected) => {
      bus.#checkOpen("post");
      const { plain } = bus.#options;
      const receipt = new Receipt(undefined, bus.#receipts);
      if (expected !== undefined) receipt.expected = expected;
      // One post after the other keeps the order.
      const before = bus.#posts;
      const isOver = Promise.withResolvers<void>();
      bus.#posts = isOver.promise;
      try {
        await before;
        const from = bus.#poster;
        await bus.#exchange.publish(from, payloads, options, plain, receipt);
        return receipt;
      } finally {
        receipt.finish();
        isOver.resolve();
      }
    };
    namesOn = (bus) => bus.#exchange.names;
    lendDevice = (bus, deviceId) => {
      bus.#exchange.deviceId ??= deviceId;
    };
  }

  /** Says whose messages they are that do not say so themselves. */
  #withDevice(options: FrameOptions): FrameOptions {
    const { deviceId = options.target ?? this.#exchange.deviceId } =
      this.#options;
    return deviceId === undefined ? options : { deviceId, ...options };
  }

  /**
   * Waits until every subscriber has finished with all that was posted before. A
   * handler that awaits it waits for itself, until its time limit is over.
   */
  async flush(): Promise<void> {
    await Promise.all([...this.#receipts].map((receipt) => receipt.handled));
  }

  /**
   * Takes the next message. The first call begins to listen, and from then on
   * messages wait here to be taken, until {@linkcode Bus.release} is called.
   * Several calls at once are several readers: each call settles the message
   * that was taken first.
   *
   * A message counts as handled when the next one is asked for. Nobody knows
   * whether another call will follow, so it also counts when the bus is
   * released or closed, and when the backend stops whose own bus it is. Where
   * `stop()` has to wait for the work on a message, do that work in a loop or a
   * handler.
   *
   * @param timeout How long to wait for one, in seconds; without end by default.
   * @param options A signal that ends the wait.
   * @returns The message, or `undefined` when none came in time, the bus was
   * closed, or the backend stopped whose own bus it is.
   * @throws {RangeError} When the time is no number of seconds.
   * @throws {TypeError} When there is no such option or it is of another kind.
   * @throws {Error} The signal's reason, when it is aborted while no message is
   * there; a `DOMException` by default.
   * @throws {DroppedError} When this subscriber was dropped: messages may be
   * missing. The next call listens again.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/get", deviceId: "livingroom" });
   * assert.equal(await bus.get(0.01), undefined);
   * await bus.post({ type: "event", args: { type: "custom.Motion" } });
   * assert.equal((await bus.get())?.target, "livingroom");
   * ```
   */
  async get(
    timeout?: number | null,
    options: { signal?: AbortSignal } = {},
  ): Promise<Message | undefined> {
    checkOptions("get a message", options, GET_OPTIONS);
    checkValue("get a message", "timeout", timeout, WAIT);
    if (this.#closing !== undefined) return undefined;
    if (this.#pull === undefined) {
      this.#pull = new QueueSubscription();
      this.#endPull = this.#subscriber.add(this.#pull);
    }
    try {
      return await this.#pull.next(timeout ?? undefined, options.signal);
    } catch (error) {
      if (!options.signal?.aborted) this.#pull = undefined;
      throw error;
    }
  }

  /**
   * Ends what {@linkcode Bus.get} has begun: messages that it has handed over
   * count as handled, those that still wait are `left`, and whoever waits for
   * one gets `undefined`. The next call begins to listen again.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/release", deviceId: "livingroom" });
   * await bus.get(0);
   * const receipt = await bus.post({ type: "event", args: { type: "custom.Motion" } });
   * await bus.get();
   * bus.release();
   * assert.deepEqual(await receipt.handled, []);
   * ```
   */
  release(): void {
    this.#pull?.finish();
    this.#endPull();
    this.#pull = undefined;
    this.#endPull = () => {};
  }

  /**
   * Calls a handler for each message of a type.
   *
   * @param type A message class, such as `Event`, the name of an event type, or
   * what {@linkcode defineEvent} has made. A class of yours that is derived from
   * `Event` gets only its instances that were posted in this thread: what comes
   * from elsewhere is an `Event`, so name its type.
   * @param handler Called with each message. What it throws, or rejects with,
   * counts as a failure of that message.
   * @param filter What attributes must be, by path: `{ "args.state": true }`.
   * @param options How long it may take, a schema for the `args` of events, and a
   * signal that ends it.
   * @returns A function that ends it, and that `using` can end too.
   * @throws {TypeError} When the type is none, the handler is no function, or
   * the filter is no object or can never match. Also when there is a schema for
   * what is no event, or an option is unknown or of another kind.
   * @throws {BusError} When the bus is closed.
   * @throws {RangeError} When the time limit is not a positive number.
   *
   * @example
   * ```ts
   * import { Bus, Event } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/handler", deviceId: "livingroom" });
   * let lit = 0;
   * bus.registerHandler(Event, () => lit++, { "args.type": "custom.Light", "args.on": true });
   * await bus.post([
   *   { type: "event", args: { type: "custom.Light", on: true } },
   *   { type: "event", args: { type: "custom.Light", on: false } },
   * ]);
   * await bus.flush();
   * assert.equal(lit, 1);
   * ```
   */
  registerHandler<Args = Event["args"]>(
    type: string | typeof Event,
    handler: (event: Event<Args>) => unknown,
    filter?: Filter,
    options?: HandlerOptions<Args>,
  ): Registration;
  /** {@linkcode Bus.registerHandler}; for what {@linkcode defineEvent} has made. */
  registerHandler<Args, Input>(
    type: EventDefinition<Args, Input>,
    handler: (event: Event<Args>) => unknown,
    filter?: Filter,
    options?: HandlerOptions<Args>,
  ): Registration;
  /** {@linkcode Bus.registerHandler}; for any class of messages. */
  registerHandler<M extends Message>(
    type: MessageClass<M> | string,
    handler: (message: M) => unknown,
    filter?: Filter,
    options?: HandlerOptions,
  ): Registration;
  /** {@linkcode Bus.registerHandler}; what it does. */
  registerHandler(
    given: MessageClass | string | AnyDefinition,
    handler: (message: never) => unknown,
    filter?: Filter,
    options: HandlerOptions = {},
  ): Registration {
    this.#checkOpen("register a handler");
    checkOptions("register a handler", options, HANDLER_OPTIONS);
    const type = isDefinition(given) ? given.type : given;
    const { timeout, concurrency, signal, schema = schemaOf(given) } = options;
    checkHandler(type, handler, filter);
    if (schema !== undefined && !isOfEvents(type)) {
      throw new TypeError(
        "Cannot register a handler: a schema is for the args of events, and the type is another one",
      );
    }
    return registerHandler(
      handler as (message: Message) => unknown,
      { schema, concurrency, signal },
      (call) =>
        this.#subscriber.add(
          new HandlerSubscription(type, call, filter, timeout),
        ),
    );
  }

  /**
   * Calls a handler for each event that meets a condition, as Platypush's event
   * hooks do, in any thread. All other messages count as handled without it.
   * Of the hooks of this `Bus` that match one event, those with the highest
   * priority are called, and those that match best: all of them, where none has
   * a priority. `docs/hooks.md` has the rules.
   *
   * @param condition What the event's `args` have to be, as
   * {@linkcode compileCondition} describes: `type`, the class of the event or
   * one that it is derived from; values to be equal to; or `$gt`, `$gte`,
   * `$lt`, `$lte`, `$eq`, `$ne` or `$regex` of something. It is read at once;
   * later changes to it have no effect.
   * @param handler Called with each such event, and with the words that its
   * phrase has caught: `{ lights: "kitchen" }` for `turn on the ${lights}`. What
   * it throws, or rejects with, counts as a failure of that event.
   * @param options How long it may take, its priority, a schema for the event's
   * `args`, and a signal that ends it.
   * @returns A function that ends it, and that `using` can end too.
   * @throws {TypeError} When the condition is no object, or holds what no event
   * can; the handler is no function; or there is no such option or it is of
   * another kind.
   * @throws {RegexError} When a regular expression in it cannot be used.
   * @throws {MessageError} When the condition contains itself.
   * @throws {BusError} When the bus is closed.
   * @throws {RangeError} When the time limit is not a positive number.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/on", deviceId: "livingroom" });
   * const bright: unknown[] = [];
   * bus.on(
   *   { type: "custom.Motion", room: { $regex: "^hall" }, level: { $gt: 3 } },
   *   (event) => bright.push(event.args.level),
   * );
   * const motion = { type: "custom.Motion", room: "hallway" };
   * await bus.post([2, 3, 4, "5.5"].map((level) => ({
   *   type: "event",
   *   args: { ...motion, level },
   * })));
   * await bus.flush();
   * assert.deepEqual(bright, [4, "5.5"]);
   * ```
   */
  on<Args = Event["args"]>(
    condition: Condition,
    handler: (
      event: Event<Args>,
      captures: Readonly<Record<string, string>>,
    ) => unknown,
    options?: HookOptions<Args>,
  ): Registration;
  /** {@linkcode Bus.on}; for what {@linkcode defineEvent} has made. */
  on<Args, Input>(
    definition: EventDefinition<Args, Input>,
    handler: (
      event: Event<Args>,
      captures: Readonly<Record<string, string>>,
    ) => unknown,
    options?: HookOptions<Args>,
  ): Registration;
  /** {@linkcode Bus.on}; what it does. */
  on(
    condition: Condition | AnyDefinition,
    handler: (
      event: never,
      captures: Readonly<Record<string, string>>,
    ) => unknown,
    options: HookOptions = {},
  ): Registration {
    this.#checkOpen("register a handler");
    checkOptions("register a handler", options, HOOK_OPTIONS);
    checkHandler(Event, handler, undefined);
    const { timeout, priority = 0, concurrency, signal } = options;
    const { schema = schemaOf(condition) } = options;
    const compiled = this.#read(
      isDefinition(condition) ? { type: condition.type } : condition,
    );
    return registerHandler(
      handler as HookHandler,
      { schema, concurrency, signal },
      (call) =>
        this.#subscriber.addHook(
          new HookSubscription(call, timeout),
          compiled,
          priority,
        ),
    );
  }

  /**
   * Answers requests for an action, in whatever thread this is: a
   * {@linkcode RedisBackend} on the bus, in any thread of the process, checks who
   * asks, has the action executed here and sends the response. What the backend
   * has registered itself goes first; of several threads with one name, the one
   * that was first is asked until it is gone. {@linkcode Bus.ready} tells when
   * every backend knows.
   *
   * @param name Such as `lights.on`, or `lights.*` or `*` for all that begin so.
   * @param handler Called with the request's `args`. The answer is what it
   * returns, or what it throws.
   * @param options A time limit, a description, schemas for the arguments and the
   * output, and a signal that ends it.
   * @returns A function that ends it, and that `using` can end too.
   * @throws {TypeError} When the name is none, the handler is no function, or
   * there is no such option or it is of another kind.
   * @throws {RangeError} When the time limit is not a positive number.
   * @throws {Error} When this `Bus` has an action of this name.
   * @throws {BusError} When the bus is closed.
   *
   * @example In a worker
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   *
   * await using bus = new Bus({ name: "example/actions", deviceId: "livingroom" });
   * using action = bus.registerAction("lights.on", ({ room }) => `Lit: ${room}`);
   * await bus.ready();
   * ```
   */
  registerAction<Args = Record<string, unknown>>(
    name: string,
    handler: ActionHandler<Args>,
    options: ActionOptions<Args> & { signal?: AbortSignal } = {},
  ): Registration {
    this.#checkOpen("register an action");
    const { signal, ...others } = options;
    checkValue("register an action", "signal", signal, SIGNAL);
    const action = toAction(name, handler, others);
    const { daemon, group } = this.#options;
    const actions = this.#actions ??= new OfferedActions({
      bus: new Bus({
        name: actionBusOf(this.name),
        label: this.#label,
        plain: false,
        handlerTimeout: Infinity,
        ...(daemon !== undefined && { daemon }),
        logger: this.#logger,
      }),
      label: this.#label,
      group,
      onOffered: (isOffered) => this.#exchange.offerActions(isOffered),
      logger: this.#logger,
    });
    actions.check(name);
    return register(() => actions.add(name, action), signal);
  }

  /**
   * Takes every message, until the loop or the bus ends.
   *
   * @returns The messages, each handled when the next one is asked for.
   * @throws {BusError} When the bus is closed.
   * @throws {DroppedError} When this subscriber was dropped: messages may be
   * missing. Another loop listens again.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/iterate", deviceId: "livingroom" });
   * setTimeout(() => bus.post({ type: "request", action: "light.on" }), 10);
   * for await (const message of bus) {
   *   assert.equal(message.type, "request");
   *   break;
   * }
   * ```
   */
  [Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    this.#checkOpen("iterate");
    const queue = new QueueSubscription();
    return new MessageLoop(queue, this.#subscriber.add(queue));
  }

  /**
   * Gives the messages as a web stream, each handled when the next one is asked
   * for. A stream that nobody reads makes {@linkcode Bus.post} wait, as a loop
   * does; one that is only to show what passes is made of {@linkcode Bus.watch}.
   *
   * @param options Which messages, and a signal that closes it.
   * @returns The stream; it closes with the bus, and cancelling it ends it.
   * @throws {TypeError} When there is no such option or it is of another kind, or
   * the condition holds what no event can.
   * @throws {RegexError} When a regular expression in it cannot be used.
   * @throws {BusError} When the bus is closed.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/stream", deviceId: "livingroom" });
   * const motions = bus.stream({ condition: { type: "custom.Motion" } });
   * await bus.post({ type: "event", args: { type: "custom.Motion", room: "hall" } });
   * for await (const { args } of motions) {
   *   assert.equal(args.room, "hall");
   *   break;
   * }
   * ```
   */
  stream<Args = Event["args"]>(
    options: StreamOptions & { condition: Condition },
  ): ReadableStream<Event<Args>>;
  /** {@linkcode Bus.stream}; of every message. */
  stream(options?: StreamOptions): ReadableStream<Message>;
  /** {@linkcode Bus.stream}; what it does. */
  stream(options: StreamOptions = {}): ReadableStream<Message> {
    this.#checkOpen("make a stream");
    const { condition, signal } = checkOptions(
      "make a stream",
      options,
      STREAM_OPTIONS,
    );
    const queue = new QueueSubscription(
      condition === undefined ? undefined : this.#read(condition),
    );
    const registration = register(() => this.#subscriber.add(queue), signal);
    if (signal?.aborted) queue.end();
    return new ReadableStream<Message>({
      pull: async (controller) => {
        const message = await queue.next();
        if (message !== undefined) return controller.enqueue(message);
        registration();
        controller.close();
      },
      cancel: () => {
        queue.finish();
        registration();
      },
    }, { highWaterMark: 0 });
  }

  /**
   * Shows the messages that pass, to whoever only looks on: a page, a log, a
   * test. They are neither acknowledged nor waited for, and who watches is no
   * subscriber: nothing is consumed for it. A window keeps what the loop has not
   * come to yet; when it is full, messages are skipped, and the watch tells how
   * many (`onSkip`, and `skipped`).
   *
   * It begins at once, in every thread that has the bus, and shows what is
   * posted from then on; {@linkcode Bus.ready} tells when every thread knows.
   * What comes a second time, because a handler has failed, is not shown again.
   *
   * @param options Which messages, how many may wait, and whom to tell.
   * @returns The messages, for a loop, which ends with the bus.
   * @throws {TypeError} When there is no such option or it is of another kind, or
   * the condition holds what no event can.
   * @throws {RangeError} When the limit is no whole number above 0.
   * @throws {RegexError} When a regular expression in the condition cannot be used.
   * @throws {BusError} When the bus is closed.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/watch", deviceId: "livingroom" });
   * const watch = bus.watch({ condition: { type: "custom.Motion" } });
   * assert.equal(bus.subscribers, 0);
   * await bus.post({ type: "event", args: { type: "custom.Motion", room: "hall" } });
   * for await (const { args } of watch) {
   *   assert.equal(args.room, "hall");
   *   break;
   * }
   * ```
   */
  watch<Args = Event["args"]>(
    options: WatchOptions & { condition: Condition },
  ): Watch<Event<Args>>;
  /** {@linkcode Bus.watch}; every message. */
  watch(options?: WatchOptions): Watch<Message>;
  /** {@linkcode Bus.watch}; what it does. */
  watch(options: WatchOptions = {}): unknown {
    this.#checkOpen("watch");
    const { condition, limit, onSkip, signal } = checkOptions(
      "watch",
      options,
      WATCH_OPTIONS,
    );
    const watch: WatchWindow = new WatchWindow({
      limit,
      condition: condition === undefined ? undefined : this.#read(condition),
      onSkip: guarded(onSkip, (error) => {
        this.#blame(`\`onSkip\` in "${this.#label}" has failed`, error);
      }),
      onRoom: () => this.#exchange.onWatchRoom(),
      onEnd: () => registration(),
    });
    const registration = register(() => {
      this.#watches.add(watch);
      this.#exchange.addWatch(watch);
      return () => {
        this.#watches.delete(watch);
        this.#exchange.removeWatch(watch);
        watch[Symbol.dispose]();
      };
    }, signal);
    if (signal?.aborted) watch[Symbol.dispose]();
    return watch;
  }

  /**
   * Tells what was counted since the bus was opened.
   *
   * @returns The counters of this moment, some of which count for all buses of
   * this name in the thread.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/stats", deviceId: "livingroom" });
   * await bus.post({ type: "event", args: { type: "custom.Motion" } });
   * assert.equal(bus.stats().posted, 1);
   * ```
   */
  stats(): BusStats {
    return { ...this.#exchange.counts, failed: this.#failed };
  }

  /**
   * Leaves the bus: handlers and loops end, and what was posted here reaches
   * the subscribers. Messages that were not handled here are `left`, which is no
   * failure, also the one that a loop is at: leave the loop first.
   */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#leavePool();
      this.release();
      // Whoever waits for room here would otherwise wait for ever.
      this.#subscriber.endQueues();
      for (const watch of this.#watches) watch[Symbol.dispose]();
      await this.#actions?.close();
      await this.#posts;
      this.#subscriber.end();
      await this.#inlet.leave(this.#subscriber);
      await this.#exchange.leave(this.#poster);
    })();
    return this.#closing;
  }

  /** Platypush's name for {@linkcode Bus.close}. */
  stop(): Promise<void> {
    return this.close();
  }

  /** Does what {@linkcode Bus.close} does, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #read(condition: Condition): CompiledCondition {
    const { logger = createLogger("message") } = this.#options;
    return readCondition(condition, logger);
  }

  #checkOpen(what: string): void {
    if (this.#closing === undefined) return;
    throw new BusError(`Cannot ${what}: the bus "${this.name}" is closed`);
  }

  /** Says what has failed that the bus was given to call. */
  #blame(what: string, error: Error): void {
    this.#logger.error(`${what}: ${whereabouts(error)}.`);
    this.#logger.debug(stackOf(error));
    this.#report(error);
  }

  #report(error: Error): void {
    this.dispatchEvent(
      new ErrorEvent("error", { error, message: error.message }),
    );
  }
}

function isArray(
  input: MessageInput | readonly MessageInput[],
): input is readonly MessageInput[] {
  return Array.isArray(input);
}

function defaultLabel(): string {
  const inWorker = "postMessage" in globalThis;
  // Not every set of libraries has the name of a worker in its types.
  const { name } = globalThis as { readonly name?: string };
  return name || (inWorker ? "worker" : "main");
}

/** Gives the schema of a definition of events. */
function schemaOf(given: unknown): Schema | undefined {
  return isDefinition(given) ? given.schema : undefined;
}
