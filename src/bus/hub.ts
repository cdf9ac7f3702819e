import type { Logger } from "../logger.ts";
import { Message } from "../message/mod.ts";
import { breathe } from "./breathe.ts";
import type { BusStats } from "./bus_options.ts";
import { deliverTraced } from "./deliver_traced.ts";
import { type Deliver, Delivery } from "./delivery.ts";
import type { DroppedError } from "./errors.ts";
import type { Frame, FrameOptions } from "./frame.ts";
import { Links } from "./links.ts";
import { locks } from "./locks.ts";
import { Membership } from "./membership.ts";
import { parts, type Postable } from "./parts.ts";
import { PlainChannel } from "./plain_channel.ts";
import { receive, receiveAll, type Received } from "./receive.ts";
import type { Failure, Receipt } from "./receipt.ts";
import { type Seat, Seats } from "./seats.ts";
import { nextTurn } from "./turn.ts";

/** What concerns all buses of one name in an isolate. */
export interface HubOptions {
  /** The bus's name. */
  readonly name: string;
  /** Names the isolate for people. */
  readonly label: string;
  /** How long a subscriber may give no sign of life, in seconds. */
  readonly stallTimeout: number;
  /** Whether the process may end all the same. */
  readonly daemon: boolean;
  /** Fills in the target and origin of what plain listeners post. */
  readonly deviceId?: string;
  /** Where to report. */
  readonly logger: Logger;
}

const hubs = new Map<string, Hub>();

/**
 * The place in an isolate where all buses of one name meet: hands what is
 * posted here to the subscribers here and, over links, to those in other
 * isolates, and what comes over links to the subscribers here.
 */
export class Hub {
  readonly #counts = { posted: 0, dropped: 0 };
  readonly #options: HubOptions;
  readonly #membership: Membership;
  readonly #plain: PlainChannel;
  readonly #seats = new Seats();
  readonly #links: Links;
  readonly #interval: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #settled = false;
  #population = 0;
  #lastBeat = performance.now();

  /**
   * Takes a seat on the hub of a name, which the first one makes.
   *
   * @param options What the hub is made with, if it is the first seat.
   * @param seat The seat.
   */
  static enter(options: HubOptions, seat: Seat): Hub {
    const hub = hubs.get(options.name) ?? new Hub(options);
    hubs.set(options.name, hub);
    hub.#seats.add(seat);
    return hub;
  }

  private constructor(options: HubOptions) {
    const { name, label, daemon, stallTimeout, logger } = options;
    // A Deno that is too old would end the process at the first channel.
    locks();
    this.#options = options;
    this.#plain = new PlainChannel(
      name,
      daemon,
      logger,
      (data) => this.#onPlain(data),
    );
    this.#membership = new Membership(
      name,
      label,
      daemon,
      stallTimeout,
      this.#plain.marks.buffer,
      {
        onMember: (member) => {
          this.#links.onMember(member);
          this.#onSubscribers();
        },
        onGone: (id, crashed) => this.#onGone(id, crashed),
        onMarks: (id, marks) => this.#plain.recognise(id, marks),
        onOffer: (offer) => this.#links.onOffer(offer),
        onSilence: () =>
          logger.warn(
            `Somebody on the bus "${name}" has not answered for ` +
              `${stallTimeout} s: going on without`,
          ),
      },
    );
    this.#links = new Links(this.#membership, stallTimeout, {
      onFrame: (frame, beat, settle) => this.#onFrame(frame, beat, settle),
      onSubscriberDropped: (error) => this.#onSubscriberDropped(error),
      onDropped: (error) => this.#onDropped(error),
    });
    this.#membership.ready().then(() => this.#settled = true);
    this.#interval = Math.min(1, stallTimeout / 4);
    this.#timer = setInterval(() => this.#beat(), this.#interval * 1000);
    if (daemon) Deno.unrefTimer(this.#timer);
  }

  /** The isolates that subscribe, this one included, as far as they are known. */
  get subscribers(): number {
    const here = this.#membership.subscribes ? 1 : 0;
    return here +
      this.#membership.members.filter(({ subscribes }) => subscribes).length;
  }

  /** What was counted since the hub was made. */
  get counts(): Omit<BusStats, "failed"> {
    const { sent: plainSent, skipped: plainSkipped } = this.#plain;
    return { ...this.#counts, plainSent, plainSkipped };
  }

  /** Resolves when everybody on the bus knows whether this isolate subscribes. */
  ready(): Promise<void> {
    return this.#membership.ready();
  }

  /** Tells the others whether anybody here listens. */
  onListening(): void {
    const { listening } = this.#seats;
    this.#membership.subscribes = listening;
    if (!listening) this.#links.leave();
    this.#onSubscribers();
  }

  /** Gives a seat up; with the last one the hub is closed. */
  async leave(seat: Seat): Promise<void> {
    if (!this.#seats.delete(seat)) return;
    this.onListening();
    if (!this.#seats.isEmpty) return;
    hubs.delete(this.#options.name);
    await this.#links.drain();
    clearInterval(this.#timer);
    this.#links.end();
    await this.#membership.close();
    this.#plain.close();
    await nextTurn();
  }

  /**
   * Posts messages.
   *
   * @param seat Who posts; its own subscriptions are not waited for, since a
   * handler that posts would wait for itself.
   * @param inputs The messages, or bytes to build them from.
   * @param options How to build them.
   * @param plain Whether they go out to plain listeners too.
   * @param receipt Takes what becomes of them.
   * @returns A promise that resolves when every subscriber has room for more.
   */
  async publish(
    seat: Seat,
    inputs: readonly Postable[],
    options: FrameOptions,
    plain: boolean,
    receipt: Receipt,
  ): Promise<void> {
    if (!this.#settled) await this.#membership.ready();
    this.#links.open();
    this.#counts.posted += inputs.length;
    const { redelivered, ...rest } = options;
    for (const part of parts(inputs, () => this.#links.subscribers > 0)) {
      const { first } = part;
      const end = first + part.inputs.length;
      const partOptions = redelivered === undefined
        ? options
        : { ...rest, redelivered: redelivered.slice(first, end) };
      const settle = (failures: readonly Failure[]): void =>
        receipt.settle(
          first === 0 ? failures : failures.map((failure) => ({
            ...failure,
            index: failure.index + first,
          })),
        );
      const room = this.#seats.room(seat);
      if (room !== undefined) await room;
      const rooms = this.#links.send(part, partOptions, receipt, settle);
      await this.#hand(part.inputs, partOptions, plain, receipt, settle);
      if (rooms.length > 0) await Promise.all(rooms);
      await breathe();
    }
  }

  /** Hands messages to the subscribers in this isolate, and to plain listeners. */
  async #hand(
    inputs: readonly Postable[],
    options: FrameOptions,
    plain: boolean,
    receipt: Receipt,
    settle: (failures: readonly Failure[]) => void,
  ): Promise<void> {
    const here = this.#membership.subscribes;
    const alone = !here && this.#links.subscribers === 0;
    if (!here && !alone && !plain) return;
    receipt.expect();
    const delivery = new Delivery(settle);
    if (plain) this.#plain.refill();
    const all = here || alone ? receiveAll(inputs, options) : undefined;
    const deliver = this.#delivering(options);
    const toPost: Message[] = [];
    try {
      for (let i = 0; i < inputs.length; i++) {
        if (plain && alone) await this.#plain.pace();
        const toPlain = plain && this.#plain.admit();
        if (!toPlain && all === undefined) continue;
        const received = all?.[i] ?? receive(inputs[i]!, i, options);
        if (!(received instanceof Message)) {
          delivery.fail(received);
          continue;
        }
        if (here) deliver(received, i, delivery);
        if (!toPlain) continue;
        if (here) toPost.push(received);
        else this.#plain.post(received);
      }
    } finally {
      delivery.finish();
    }
    if (toPost.length === 0) return;
    // Handlers go on first: to post takes longer than to deliver.
    await undefined;
    for (const message of toPost) this.#plain.post(message);
  }

  /** How to deliver the messages of a post. */
  #delivering({ reception }: FrameOptions): Deliver {
    const { deliver } = this.#seats;
    return reception === undefined
      ? deliver
      : deliverTraced(deliver, reception);
  }

  /** Takes what a plain listener has posted. */
  #onPlain(data: unknown): void {
    // Before that, it may be a frame of a bus that is not known yet.
    if (!this.#settled || !this.#membership.subscribes) return;
    const received = receive(data as Received, 0, this.#options);
    if (received instanceof Message) {
      this.#seats.deliver(received, 0, new Delivery(() => {}));
    } else {
      this.#options.logger.warn(
        `A plain listener has posted no message: ${received.error.message}.`,
      );
    }
  }

  /** Messages have come from another isolate. */
  async #onFrame(
    { messages, options }: Frame,
    beat: () => void,
    settle: (failures: readonly Failure[]) => void,
  ): Promise<void> {
    const room = this.#seats.room();
    if (room !== undefined) await room;
    const delivery = new Delivery(settle);
    const deliver = this.#delivering(options);
    try {
      for (const [i, received] of receiveAll(messages, options).entries()) {
        beat();
        if (received instanceof Message) deliver(received, i, delivery);
        else delivery.fail(received);
      }
    } finally {
      delivery.finish();
    }
    await breathe();
  }

  #onGone(id: string, crashed: boolean): void {
    this.#plain.forget(id);
    this.#links.onGone(id, crashed);
    this.#onSubscribers();
  }

  /** A subscriber was dropped. */
  #onSubscriberDropped(error: DroppedError): void {
    this.#counts.dropped++;
    this.#options.logger.error(`${error.message}.`);
    this.#seats.onError(error);
    this.#onSubscribers();
  }

  /** This isolate was dropped by a publisher. */
  #onDropped(error: DroppedError): void {
    this.#options.logger.error(`${error.message}.`);
    this.#seats.onError(error);
    this.#seats.endQueues(error);
    this.#membership.renew();
  }

  #onSubscribers(): void {
    const { subscribers } = this;
    if (subscribers === this.#population) return;
    this.#population = subscribers;
    this.#seats.onSubscribers();
  }

  /** Gives signs of life, and looks for those of the others. */
  #beat(): void {
    const now = performance.now();
    // If this isolate was asleep itself, the others may have been too.
    const elapsed = Math.min((now - this.#lastBeat) / 1000, 2 * this.#interval);
    this.#lastBeat = now;
    this.#links.beat(elapsed);
    this.#seats.expire();
    this.#membership.beat(elapsed);
  }
}
