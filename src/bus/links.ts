import { DroppedError } from "./errors.ts";
import { encodeFrame, type Frame, type FrameOptions } from "./frame.ts";
import { LinkReader } from "./link_reader.ts";
import { LinkWriter } from "./link_writer.ts";
import type { Member, Membership, Offer } from "./membership.ts";
import { type Part, toWire } from "./parts.ts";
import type { Failure, Receipt } from "./receipt.ts";
import { RingState } from "./ring.ts";
import { StallWatch } from "./stall_watch.ts";

/** What the links tell their hub. */
export interface LinksEvents {
  /**
   * Messages have come from another isolate.
   *
   * @param frame The messages.
   * @param beat To be called now and then, while work on them goes on.
   * @param settle To be called once, when everybody is done with them.
   * @returns When there is room for the next frame.
   */
  onFrame(
    frame: Frame,
    beat: () => void,
    settle: (failures: readonly Failure[]) => void,
  ): Promise<void>;
  /** A subscriber was dropped. */
  onSubscriberDropped(error: DroppedError): void;
  /** This isolate was dropped by a publisher. */
  onDropped(error: DroppedError): void;
}

/** A link, and whether its subscriber gives signs of life. */
interface Watched {
  readonly link: LinkWriter;
  readonly watch: StallWatch;
}

/** The links of an isolate: to those who subscribe, and from those who publish. */
export class Links {
  readonly #membership: Membership;
  readonly #stallTimeout: number;
  readonly #events: LinksEvents;
  readonly #writers = new Map<string, Watched>();
  readonly #readers = new Map<string, LinkReader>();
  #isOpen = false;
  #frames = 0;

  /**
   * @param membership Who is on the bus.
   * @param stallTimeout How long a subscriber may give no sign of life, in
   * seconds.
   * @param events Whom to tell.
   */
  constructor(
    membership: Membership,
    stallTimeout: number,
    events: LinksEvents,
  ) {
    this.#membership = membership;
    this.#stallTimeout = stallTimeout;
    this.#events = events;
  }

  /** How many subscribers there are links to. */
  get subscribers(): number {
    return this.#writers.size;
  }

  /** Makes links to whoever subscribes, now and later. */
  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    for (const member of this.#membership.members) this.onMember(member);
  }

  /**
   * Sends messages to the subscribers.
   *
   * @returns Promises of room, of those who have none.
   */
  send(
    { inputs, wire = inputs.map(toWire) }: Part,
    options: FrameOptions,
    receipt: Receipt,
    settle: (failures: readonly Failure[]) => void,
  ): Promise<void>[] {
    if (this.#writers.size === 0) return [];
    const number = this.#frames++ >>> 0;
    const frame = encodeFrame(number, wire, options);
    const rooms = [];
    for (const { link } of this.#writers.values()) {
      receipt.expect();
      const room = link.send(number, frame, wire.length, settle);
      if (room !== undefined) rooms.push(room);
    }
    return rooms;
  }

  /** Somebody is new, or has begun or ceased to subscribe. */
  onMember({ id, label, subscribes }: Member): void {
    const linked = this.#writers.get(id)?.link;
    if (subscribes) linked?.check();
    else linked?.release();
    if (!subscribes || !this.#isOpen || this.#writers.has(id)) return;
    const link = new LinkWriter(label, () => this.#writers.delete(id));
    const watch = new StallWatch(link.data, "reader");
    this.#writers.set(id, { link, watch });
    this.#offer(id, link);
  }

  /** A publisher offers a link. */
  onOffer(offer: Offer): void {
    if (!this.#membership.subscribes) return;
    const beat = (): void => link.data.beat("reader");
    const link: LinkReader = new LinkReader(offer, {
      onFrame: (frame, settle) => this.#events.onFrame(frame, beat, settle),
      onOver: (error) => {
        if (this.#readers.get(offer.from) === link) {
          this.#readers.delete(offer.from);
        }
        if (error !== undefined) this.#events.onDropped(error);
      },
    });
    if (link.attach()) this.#readers.set(offer.from, link);
  }

  /** Somebody has left, or does not exist any more. */
  onGone(id: string, crashed: boolean): void {
    const writer = this.#writers.get(id)?.link;
    if (crashed) {
      // What it has written before it crashed is still read.
      this.#readers.get(id)?.data.transition(
        [RingState.Attached],
        RingState.Ended,
      );
      writer?.check();
    } else {
      writer?.release();
    }
    if (!this.#writers.has(id)) return;
    this.#drop(
      id,
      `The subscriber ${writer!.label} has ended without leaving the bus`,
      "bury",
    );
  }

  /**
   * Gives signs of life, and looks for those of the others.
   *
   * @param elapsed Seconds since the last time.
   */
  beat(elapsed: number): void {
    for (const [id, { link, watch }] of this.#writers) {
      link.check();
      if (!this.#writers.has(id)) continue;
      link.data.beat("writer");
      if (link.data.state === RingState.Offered) this.#offer(id, link);
      if (watch.look(elapsed) <= this.#stallTimeout) continue;
      this.#membership.forget(id);
      this.#drop(
        id,
        `The subscriber ${link.label} has neither read nor given a sign of ` +
          `life for ${this.#stallTimeout} s: it is dropped`,
        "drop",
      );
    }
    for (const link of this.#readers.values()) {
      link.data.beat("reader");
      // A change of state may have come between a look at it and going to sleep.
      link.data.wake();
    }
  }

  /** Stops reading. */
  leave(): void {
    for (const link of this.#readers.values()) link.leave();
    this.#readers.clear();
  }

  /** Resolves when the subscribers have all that was sent. */
  async drain(): Promise<void> {
    await Promise.all(this.#writers.values().map(({ link }) => link.drain()));
  }

  /** Sends no more. */
  end(): void {
    for (const { link } of this.#writers.values()) link.end();
  }

  #offer(to: string, { use, data, reports }: LinkWriter): void {
    this.#membership.offer(to, {
      use,
      data: data.buffer,
      reports: reports.buffer,
    });
  }

  #drop(id: string, reason: string, how: "drop" | "bury"): void {
    this.#writers.get(id)?.link[how](reason);
    this.#writers.delete(id);
    this.#events.onSubscriberDropped(new DroppedError(reason));
  }
}
