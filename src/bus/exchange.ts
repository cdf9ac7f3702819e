import type { Logger } from "../logger.ts";
import { buildAll } from "../message/message.ts";
import { Message, MessageError, type WireMessage } from "../message/mod.ts";
import { Processing } from "../telemetry/mod.ts";
import type { BusStats } from "./bus_options.ts";
import { MinuteReport, othersBefore } from "../minute_report.ts";
import { nextTurn } from "../waiting.ts";
import { channelTurn } from "./control_channel.ts";
import { BusError, type DroppedError } from "./errors.ts";
import {
  type Chunk,
  cutOptions,
  type Frame,
  type FrameOptions,
  type Postable,
  type Wire,
} from "./frame.ts";
import { Links } from "./links.ts";
import { Membership } from "./membership.ts";
import { Echoes, PlainChannel } from "./plain_channel.ts";
import { type Failure, Receipt, Retry } from "./receipt.ts";
import { checkNames, type GroupSeat } from "./roster.ts";
import type { Subscriber } from "./subscriber.ts";
import type { WatchWindow } from "./watch.ts";

/** The longest time that a thread works on messages in one go, in milliseconds. */
const SLICE = 8;

/** The options of all buses of one name in a thread. */
interface ExchangeOptions {
  /** The bus's name. */
  readonly name: string;
  /** Names the thread for people. */
  readonly label: string;
  /** The time in seconds for which a subscriber may give no sign of life. */
  readonly stallTimeout: number;
  /** True if the process may end all the same. */
  readonly daemon: boolean;
  /** Fills in the target and origin of what plain listeners and other threads post. */
  readonly deviceId?: string;
  /** The seat of a member of a group; the thread's own exchange has none. */
  readonly seat?: GroupSeat;
  /** The logger to report to. */
  readonly logger: Logger;
}

const exchanges = new Map<string, Exchange>();

/**
 * Lets all buses of one name in a thread meet. It hands what is posted here to
 * the subscribers here, and over links to those in other threads. What comes
 * over links, it hands to the subscribers here.
 *
 * ```text
 * Bus.post -> publish -> chunk by chunk: room? -+-> Links: a frame for each subscriber elsewhere
 *                                               +-> built, handed to each Subscriber here
 *                                               +-> WatchWindow: what has room in its window
 *             Receipt <-- what becomes of it <--+-> PlainChannel: objects, nothing comes back
 * ```
 */
export class Exchange {
  /** Whose messages are that do not say so; that of the first who knows. */
  deviceId: string | undefined;
  readonly #options: ExchangeOptions;
  readonly #host: Exchange | undefined;
  readonly #seats = new Set<Exchange>();
  readonly #membership: Membership;
  readonly #plain: PlainChannel;
  readonly #links: Links;
  readonly #rubbish = new MinuteReport();
  // Replaced, never changed, so that a handler may open or close a bus meanwhile.
  #subscribers: readonly Subscriber[] = [];
  #watches: readonly WatchWindow[] = [];
  #watchRoom = Promise.withResolvers<void>();
  #posted = 0;
  #dropped = 0;
  #population = 0;
  #offering = 0;
  #offers = "";
  #isOpen = false;
  /** True when anybody here subscribes. */
  #isListening = false;

  /**
   * Enters the exchange of a name, which whoever is first makes.
   *
   * @param options What the exchange is made with.
   * @throws {RangeError} If this thread has too many named subscribers.
   */
  static enter(options: ExchangeOptions, subscriber: Subscriber): Exchange {
    const exchange = exchanges.get(options.name) ?? new Exchange(options);
    const subscribers = [...exchange.#subscribers, subscriber];
    checkNames(options.name, subscribers.map(({ name }) => name));
    exchanges.set(options.name, exchange);
    exchange.#subscribers = subscribers;
    exchange.deviceId ??= options.deviceId;
    return exchange;
  }

  /** Makes the exchange of one member of a group, which only listens. */
  seat(seat: GroupSeat, label: string, subscriber: Subscriber): Exchange {
    const exchange = new Exchange({ ...this.#options, label, seat }, this);
    exchange.#subscribers = [subscriber];
    this.#seats.add(exchange);
    return exchange;
  }

  private constructor(options: ExchangeOptions, host?: Exchange) {
    const { name, daemon, stallTimeout, logger } = options;
    this.#options = options;
    this.#host = host;
    this.#membership = new Membership({
      ...options,
      host: host && host.#membership,
      onEntered: () => {
        const { echoes } = this.#membership.roster!;
        if (host === undefined) this.#plain.share(new Echoes(echoes));
        for (const subscriber of this.#subscribers) subscriber.renumber();
      },
      onMember: (member) => {
        this.#links.onMember(member);
        this.#onSubscribers();
        this.#onActions();
      },
      onGone: (id) => {
        this.#links.onGone(id);
        this.#onSubscribers();
        this.#onActions();
      },
      onOffer: (from, memory) => this.#links.onOffer(from, memory),
      onView: (from, memory) => this.#links.onView(from, memory),
      onSilence: () =>
        logger.warn(
          `Somebody on the bus "${name}" has not answered for ` +
            `${stallTimeout} s: going on without`,
        ),
      onRefused: (error) => logger.error(`${error.message}.`),
    });
    this.#plain = host === undefined
      ? new PlainChannel(name, daemon, logger, (data) => this.#onPlain(data))
      : host.#plain;
    this.#links = new Links({
      membership: this.#membership,
      stallTimeout,
      onFrame: (frame, receipt) => this.#onFrame(frame, receipt),
      onView: (frame) => this.#onView(frame),
      onViewLost: (error) => {
        logger.error(`${error.message}.`);
        this.#membership.renewView();
      },
      onSubscriberDropped: (error) => this.#onSubscriberDropped(error),
      onDropped: (error) => this.#onDropped(error),
    });
  }

  /** The number of threads that subscribe, this one included. */
  get subscribers(): number {
    this.#membership.update();
    return Number(this.#membership.subscribes) + this.#membership.subscribers;
  }

  /** The names of the subscribers that have one, and are there. */
  get names(): ReadonlySet<string> {
    return this.#membership.namesOnBus();
  }

  /** The counts since the exchange was made. */
  get counts(): Omit<BusStats, "failed"> {
    return {
      posted: this.#posted,
      dropped: this.#dropped,
      plainSent: this.#plain.sent,
      plainSkipped: this.#plain.skipped,
      ignored: this.#membership.ignored,
    };
  }

  /** Gives a subscription its number. */
  nextSerial(): number {
    return this.#membership.roster?.nextSerial() ?? 0;
  }

  /** Resolves when everybody on the bus can see whether this thread subscribes. */
  ready(): Promise<void> {
    return this.#membership.ready();
  }

  /** Tells the others whether anybody here listens. */
  onListening(): void {
    const names = this.#subscribers.filter(({ listening }) => listening)
      .map(({ name }) => name);
    this.#isListening = names.length > 0;
    this.#membership.subscribe([...new Set(names)]);
    if (!this.#isListening) this.#links.leave();
    this.#onSubscribers();
  }

  /** Lets somebody see what passes, without being a subscriber. */
  addWatch(watch: WatchWindow): void {
    this.#watches = [...this.#watches, watch];
    this.#membership.watches = true;
  }

  /** Ends that. */
  removeWatch(watch: WatchWindow): void {
    this.#watches = this.#watches.filter((one) => one !== watch);
    if (this.#watches.length > 0) return;
    this.#membership.watches = false;
    this.#links.leaveViews();
  }

  /** Takes notice that somebody who watches may have room for more. */
  onWatchRoom(): void {
    this.#watchRoom.resolve();
    this.#watchRoom = Promise.withResolvers();
  }

  /** True while any thread on the bus offers actions, this one included. */
  get hasActions(): boolean {
    this.#membership.update();
    const { offers, members } = this.#membership;
    return offers || members.some(({ actions }) => actions !== 0);
  }

  /** Tells the others that a `Bus` here offers actions, or does no more. */
  offerActions(isOffered: boolean): void {
    this.#offering += isOffered ? 1 : -1;
    this.#membership.offers = this.#offering > 0;
    this.#onActions();
  }

  /** Lets somebody go; with the last one the exchange is closed. */
  async leave(subscriber: Subscriber): Promise<void> {
    if (!this.#subscribers.includes(subscriber)) return;
    this.#subscribers = this.#subscribers.filter((one) => one !== subscriber);
    this.onListening();
    if (this.#subscribers.length > 0) return;
    if (this.#host === undefined) exchanges.delete(this.#options.name);
    else this.#host.#seats.delete(this);
    await this.#links.drain();
    this.#links.end();
    await this.#membership.close();
    if (this.#host === undefined) this.#plain.close();
    this.#rubbish.stop();
    await channelTurn();
  }

  /**
   * Posts messages.
   *
   * @param from Who posts; its own subscriptions are not waited for, since a
   * handler that posts would wait for itself.
   * @param inputs The messages, or bytes to build them from.
   * @param plain Whether they go out to plain listeners too.
   * @param receipt Takes what becomes of them.
   * @returns A promise that resolves when every subscriber has room for more.
   */
  async publish(
    from: Subscriber,
    inputs: readonly Postable[],
    options: FrameOptions,
    plain: boolean,
    receipt: Receipt,
  ): Promise<void> {
    if (!this.#isOpen) await this.#open();
    this.#posted += inputs.length;
    for (let first = 0; first < inputs.length;) {
      for (const subscriber of this.#subscribers) {
        while (subscriber !== from && subscriber.full) await subscriber.room();
      }
      const stamp = this.#membership.update();
      const { chunk, rooms } = this.#links.send(
        inputs,
        first,
        options,
        receipt,
      );
      // Whoever comes from here on has not got it.
      if (stamp !== undefined) receipt.handed.push({ end: chunk.end, stamp });
      if (receipt.expected.length > 0) {
        const { names, roster } = this.#membership;
        const present = new Set([...names, ...this.#links.names]);
        receipt.noteMissed(chunk, present, roster?.name);
      }
      if (this.#isListening) this.#hand(chunk, plain, receipt);
      else await this.#handToOnlookers(chunk, plain, receipt);
      if (plain) {
        // Handlers go on first: to post takes longer than to deliver.
        await undefined;
        this.#plain.post();
      }
      if (rooms.length > 0) await Promise.all(rooms);
      first = chunk.end;
      if (first < inputs.length) await yieldToEventLoop();
    }
  }

  /** Makes ready to post, when the first post comes. */
  async #open(): Promise<void> {
    await this.#membership.ready();
    this.#links.open();
    this.#isOpen = true;
  }

  /** Hands messages to the subscribers in this thread, to who watches here, and to plain listeners. */
  #hand(
    { inputs, first, options }: Chunk,
    plain: boolean,
    receipt: Receipt,
  ): void {
    const all = receiveAll(inputs, options);
    for (let i = 0; i < all.length; i++) {
      const received = all[i]!;
      if (!(received instanceof Message)) {
        receipt.fail({ ...received, index: first + i });
        continue;
      }
      // Only subscribers get it again.
      if (typeof options.retries?.[i] !== "string") {
        if (plain) this.#plain.take(received, inputs[i]!);
        for (const watch of this.#watches) watch.offer(received);
      }
      this.#deliver(received, i, first + i, options, receipt);
    }
  }

  /**
   * Hands messages to who watches here and to plain listeners, where nobody
   * subscribes. Where nobody does elsewhere, either, it is here that messages
   * are found to be none, and plain listeners are waited for.
   */
  async #handToOnlookers(
    { inputs, first, options }: Chunk,
    plain: boolean,
    receipt: Receipt,
  ): Promise<void> {
    const alone = this.#links.subscribers === 0;
    if (!alone && !plain && !this.#isWatched) {
      return this.#skipWatches(inputs.length);
    }
    const all = alone ? receiveAll(inputs, options) : [];
    for (const [i, input] of inputs.entries()) {
      const isRetry = typeof options.retries?.[i] === "string";
      if (plain && alone) await this.#plain.pace();
      const isPlain = plain && !isRetry && (alone || this.#plain.admit(input));
      const isWatched = !isRetry && this.#isWatched;
      if (!alone && !isPlain && !isWatched) {
        if (!isRetry) this.#skipWatches(1);
        continue;
      }
      // Where most are passed over, only those that somebody sees are built.
      const received = all[i] ??
        receiveAll([input], cutOptions(options, i, i + 1))[0]!;
      if (!(received instanceof Message)) {
        receipt.fail({ ...received, index: first + i });
        continue;
      }
      if (isPlain) {
        this.#plain.take(received, input);
        this.#plain.post();
      }
      if (isRetry) continue;
      for (const watch of this.#watches) watch.offer(received);
    }
  }

  /** Takes messages that have come from another thread. */
  async #onFrame(
    { messages, options }: Frame,
    receipt: Receipt,
  ): Promise<void> {
    for (;;) {
      const busy = this.#subscribers.find(({ full }) => full);
      if (busy === undefined) break;
      await busy.room();
    }
    const building = { ...this.#ours, ...options };
    const all = receiveAll(messages, building);
    for (let i = 0; i < all.length; i++) {
      const received = all[i]!;
      // The publisher may have given this thread up, and the messages to others.
      if (!receipt.hand(i)) break;
      if (!(received instanceof Message)) {
        receipt.fail(received);
        continue;
      }
      // Only subscribers get it again.
      if (typeof options.retries?.[i] !== "string") {
        for (const watch of this.#watches) watch.offer(received);
      }
      this.#deliver(received, i, i, options, receipt);
    }
    receipt.hand(messages.length);
    receipt.finish();
    await yieldToEventLoop();
  }

  /** Shows messages of another thread to who watches here. */
  async #onView({ messages, options }: Frame): Promise<void> {
    if (options.skipped !== undefined) this.#skipWatches(options.skipped);
    const all = receiveAll(messages, { ...this.#ours, ...options });
    for (const [i, received] of all.entries()) {
      // What comes again was seen before.
      if (typeof options.retries?.[i] === "string") continue;
      if (!(received instanceof Message)) continue;
      for (const watch of this.#watches) watch.offer(received);
    }
    await yieldToEventLoop();
    // The publisher goes on meanwhile, and skips what finds no room.
    while (this.#watches.length > 0 && !this.#isWatched) {
      await this.#watchRoom.promise;
    }
  }

  /** False while the windows of all who watch here are full. */
  get #isWatched(): boolean {
    return this.#watches.some(({ hasRoom }) => hasRoom);
  }

  #skipWatches(count: number): void {
    for (const watch of this.#watches) watch.skip(count);
  }

  /** Hands a message to every subscriber here that it is meant for. */
  #deliver(
    message: Message,
    place: number,
    index: number,
    options: FrameOptions,
    receipt: Receipt,
  ): void {
    const { reception, retries } = options;
    const again = retries?.[place];
    const retry = typeof again === "string"
      ? Retry.read(again, this.#membership.roster?.name)
      : undefined;
    if (reception === undefined) {
      for (const subscriber of this.#subscribers) {
        subscriber.deliver(message, index, receipt, retry, this.#membership.id);
      }
      return;
    }
    // A span of its own, which ends with the last handler.
    const processing = new Processing(message, reception);
    const own = new Receipt();
    const token = receipt.begin(index);
    own.handled.then((failures) => {
      for (const failure of failures) receipt.fail(failure);
      processing.end(failures[0]?.error);
      receipt.finish(token);
    });
    processing.run(() => {
      for (const subscriber of this.#subscribers) {
        subscriber.deliver(message, index, own, retry, this.#membership.id);
      }
    });
    own.finish();
  }

  /** Takes what a plain listener has posted. */
  #onPlain(data: unknown): void {
    for (const seat of this.#seats) {
      if (seat.#membership.isFirstOfGroup) seat.#onPlain(data);
    }
    const { subscribes, watches } = this.#membership;
    if (!subscribes && !watches) return;
    const [received] = receiveAll([data as WireMessage], this.#ours);
    if (received instanceof Message) {
      for (const watch of this.#watches) watch.offer(received);
      this.#deliver(received, 0, 0, {}, new Receipt());
    } else {
      this.#rubbish.add((sum) => {
        this.#options.logger.warn(
          `What a plain listener has posted is no message: ${
            received!.error.message
          }${othersBefore(sum!)}.`,
        );
      }, 1);
    }
  }

  /** Says whose messages are that do not say so. */
  get #ours(): FrameOptions {
    const { deviceId } = this.#host ?? this;
    return deviceId === undefined ? {} : { deviceId };
  }

  #onSubscriberDropped(error: DroppedError): void {
    this.#dropped++;
    this.#reportDropped(error);
    this.#onSubscribers();
  }

  /** Takes notice that this thread was dropped by a publisher. */
  #onDropped(error: DroppedError): void {
    this.#reportDropped(error);
    for (const subscriber of this.#subscribers) subscriber.endQueues(error);
    this.#membership.renew();
  }

  #reportDropped(error: DroppedError): void {
    this.#options.logger.error(`${error.message}.`);
    for (const subscriber of this.#subscribers) {
      subscriber.options.onDropped(error);
    }
  }

  #onActions(): void {
    const others = this.#membership.members.map(({ actions }) => actions)
      .filter((actions) => actions !== 0);
    const offers = [this.#offering, ...others].join();
    if (offers === this.#offers) return;
    this.#offers = offers;
    for (const subscriber of this.#subscribers) subscriber.options.onActions();
  }

  #onSubscribers(): void {
    const subscribers = Number(this.#membership.subscribes) +
      this.#membership.subscribers;
    if (this.#membership.takeNews()) {
      for (const subscriber of this.#subscribers) subscriber.options.onNames();
    }
    this.#plain.threads = this.#membership.threads;
    if (subscribers === this.#population) return;
    this.#population = subscribers;
    for (const subscriber of this.#subscribers) {
      subscriber.options.onSubscribers();
    }
  }
}

/** Builds what was posted into messages, or tells why there is none. */
function receiveAll(
  inputs: readonly (Postable | Wire | WireMessage)[],
  options: FrameOptions,
): (Message | Failure)[] {
  const { target, redelivered, maxAge = Infinity } = options;
  const now = Date.now() / 1000;
  const all: (Message | Failure)[] = [];
  const messages = buildAll(inputs, options);
  // By index, for the reason that `buildAll()` tells.
  for (let index = 0; index < messages.length; index++) {
    const built = messages[index]!;
    if (built instanceof Error) {
      const reason = built instanceof MessageError ? built.reason : "failed";
      all.push({ index, reason, error: built });
    } else if (target !== undefined && built.target !== target) {
      const error = new BusError(
        `Message ${built.id} is for "${built.target}", expected "${target}"`,
      );
      all.push({ index, reason: "foreign", error });
    } else if (now - built.timestamp > maxAge) {
      const age = Math.round(now - built.timestamp);
      const error = new BusError(
        `Message ${built.id} has expired: it was made ${age} s ago by its sender's clock, more than ${maxAge} s (maxAge)`,
      );
      all.push({ index, reason: "expired", error });
    } else {
      if (redelivered !== undefined) built.redelivered = redelivered[index]!;
      all.push(built);
    }
  }
  return all;
}

/** When timers and sockets had their turn, as far as is known. */
let yielded = performance.now();

/**
 * Lets timers and sockets have their turn in the middle of a long stream of
 * messages, of one post or of many. Messages that come by a socket need it not:
 * each batch has waited for its own turn.
 */
export async function yieldToEventLoop(): Promise<void> {
  if (performance.now() - yielded < SLICE) return;
  await nextTurn();
  yielded = performance.now();
}
