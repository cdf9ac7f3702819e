import type { DroppedError } from "./errors.ts";
import {
  type Chunk,
  cutOptions,
  encodeFrame,
  type Frame,
  type FrameOptions,
  type Postable,
  toWire,
  type Wire,
} from "./frame.ts";
import { Group } from "./group.ts";
import type { LinkMemory, WatchMemory } from "./link_memory.ts";
import type { Membership } from "./membership.ts";
import { PublisherLink } from "./publisher_link.ts";
import type { Receipt } from "./receipt.ts";
import type { Member } from "./roster.ts";
import { SubscriberLink } from "./subscriber_link.ts";
import { WatchedLink, WatchingLink } from "./watch_link.ts";

/**
 * A chunk ends at so many messages, or bytes of messages, whichever comes first:
 * several fit into a link, so that one is read while another one is written.
 */
const CHUNK_MESSAGES = 512;
const CHUNK_BYTES = 2 ** 18;

/** Connects the links with their exchange. */
interface LinksOptions {
  /** Who is on the bus. */
  readonly membership: Membership;
  /** The time in seconds for which a subscriber may give no sign of life. */
  readonly stallTimeout: number;
  /** Called with messages from another thread; resolves when there is room for more. */
  onFrame(frame: Frame, receipt: Receipt): Promise<void>;
  /** Called with messages that are only watched; resolves when there is room for more. */
  onView(frame: Frame): Promise<void>;
  /** Called when what is watched does not come any more, and has to be asked for again. */
  onViewLost(error: DroppedError): void;
  onSubscriberDropped(error: DroppedError): void;
  /** Called when this thread was dropped by a publisher. */
  onDropped(error: DroppedError): void;
}

/** The links of a thread: to those who subscribe or watch, and from those who publish. */
export class Links {
  readonly #options: LinksOptions;
  readonly #toSubscribers = new Map<string, PublisherLink>();
  readonly #groups = new Map<string, Group>();
  readonly #fromPublishers = new Map<string, SubscriberLink>();
  readonly #toWatchers = new Map<string, WatchedLink>();
  readonly #fromWatched = new Map<string, WatchingLink>();
  #isOpen = false;
  #frames = 0;

  /** @param options What they do for their exchange. */
  constructor(options: LinksOptions) {
    this.#options = options;
  }

  /** The number of subscribers that there are links to. */
  get subscribers(): number {
    return this.#toSubscribers.size;
  }

  /** Who they are, see {@linkcode Member.names}. */
  get names(): readonly string[] {
    return [...this.#toSubscribers.values()].flatMap(({ names }) => names);
  }

  /** Makes links to whoever subscribes or watches, now and later. */
  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    for (const member of this.#options.membership.members) {
      this.onMember(member);
    }
  }

  /**
   * Sends the first messages of those from a place on, as many as travel together,
   * to the subscribers and to those who watch. Those who watch are told how many
   * they do not get.
   *
   * @param receipt Takes what becomes of them.
   * @returns Which messages these were, and promises of room, of those who have none.
   */
  send(
    inputs: readonly Postable[],
    first: number,
    options: FrameOptions,
    receipt: Receipt,
  ): { chunk: Chunk; rooms: readonly Promise<void>[] } {
    const isAlone = this.#toSubscribers.size === 0 && this.#groups.size === 0 &&
      this.#toWatchers.size === 0;
    const isWhole = first === 0 && inputs.length <= CHUNK_MESSAGES;
    const chunk = isAlone && isWhole
      ? { first, end: inputs.length, inputs, wire: undefined, options }
      : cut(inputs, first, options, this.#isWanted());
    const rooms = isAlone ? [] : this.#sendChunk(chunk, receipt);
    return { chunk, rooms };
  }

  /** Tells whether anybody elsewhere takes messages now. */
  #isWanted(): boolean {
    return this.#toSubscribers.size > 0 ||
      this.#groups.values().some(({ isWanting }) => isWanting) ||
      this.#toWatchers.values().some(({ isFull }) => !isFull);
  }

  #sendChunk(chunk: Chunk, receipt: Receipt): Promise<void>[] {
    const { first, inputs: { length: count }, wire, options } = chunk;
    if (wire === undefined) {
      for (const link of this.#toWatchers.values()) link.skip(count);
      return [];
    }
    const number = this.#nextFrame();
    let frame: Uint8Array[] | undefined;
    const sent = { receipt, first, count };
    const rooms: Promise<void>[] = [];
    for (const link of this.#toSubscribers.values()) {
      if (link.member.group !== "") continue;
      frame ??= encodeFrame(number, wire, options);
      const room = link.send(number, frame, sent);
      if (room !== undefined) rooms.push(room);
    }
    for (const group of this.#groups.values()) {
      const { roster } = this.#options.membership;
      const room = group.send(chunk, roster?.name, receipt);
      if (room !== undefined) rooms.push(room);
    }
    for (const link of this.#toWatchers.values()) {
      frame ??= encodeFrame(number, wire, options);
      link.send(frame, count);
    }
    return rooms;
  }

  /** Takes notice of somebody who is new, or has begun or ceased to subscribe or to watch. */
  onMember(member: Member): void {
    const { id, epoch } = member;
    this.#onWatcher(member);
    const linked = this.#toSubscribers.get(id);
    if (linked !== undefined && epoch !== 0) {
      linked.names = member.names;
      linked.check();
    } else linked?.release(false);
    if (epoch === 0 || !this.#isOpen || this.#toSubscribers.has(id)) return;
    const { membership, stallTimeout } = this.#options;
    const group = this.#groupOf(member);
    const link: PublisherLink = new PublisherLink({
      member,
      stallTimeout,
      offer: (memory) => membership.offer(id, memory),
      onOver: (error, isGivenUp) => {
        this.#toSubscribers.delete(id);
        group?.remove(link, error !== undefined);
        if (isGivenUp) membership.giveUp(id);
        if (error !== undefined) this.#options.onSubscriberDropped(error);
      },
    });
    this.#toSubscribers.set(id, link);
    group?.add(link);
  }

  /** Finds the group of a member; a group stays when its members are gone. */
  #groupOf({ group: name, epoch }: Member): Group | undefined {
    if (name === "") return undefined;
    const group = this.#groups.get(name) ?? new Group({
      name,
      since: epoch,
      patience: this.#options.stallTimeout,
      nextFrame: () => this.#nextFrame(),
    });
    this.#groups.set(name, group);
    return group;
  }

  #nextFrame(): number {
    return this.#frames++ >>> 0;
  }

  /** Links to somebody who watches: who subscribes, too, has the messages anyway. */
  #onWatcher({ id, epoch, view }: Member): void {
    const wanted = epoch === 0 ? view : 0;
    const link = this.#toWatchers.get(id);
    if (link !== undefined) {
      if (link.view === wanted) return;
      link.end();
      this.#toWatchers.delete(id);
    }
    if (wanted === 0 || !this.#isOpen) return;
    const { membership } = this.#options;
    this.#toWatchers.set(
      id,
      new WatchedLink(view, (memory) => membership.view(id, memory)),
    );
  }

  /** Takes the link for who watches that a publisher offers. */
  onView(from: string, memory: WatchMemory): void {
    if (!this.#options.membership.watches) return;
    const before = this.#fromWatched.get(from);
    if (before?.use === memory.use) return;
    const link = new WatchingLink(memory);
    const isAttached = link.attach(
      (frame) => this.#options.onView(frame),
      (error) => {
        if (this.#fromWatched.get(from) === link) {
          this.#fromWatched.delete(from);
        }
        if (error !== undefined) this.#options.onViewLost(error);
      },
    );
    if (isAttached) this.#fromWatched.set(from, link);
  }

  /** Takes the link that a publisher offers. */
  onOffer(from: string, memory: LinkMemory): void {
    const { membership } = this.#options;
    if (!membership.subscribes) return;
    if (this.#fromPublishers.get(from)?.use === memory.use) return;
    const link: SubscriberLink = new SubscriberLink(memory, {
      onFrame: (frame, receipt) => this.#options.onFrame(frame, receipt),
      onOver: (error) => {
        if (this.#fromPublishers.get(from) === link) {
          this.#fromPublishers.delete(from);
        }
        if (error !== undefined) this.#options.onDropped(error);
      },
    });
    if (link.attach()) this.#fromPublishers.set(from, link);
    // Who offered it has given us up meanwhile, or has a newer one for us.
    else membership.renew();
  }

  /** Takes notice of somebody who has left, or does not exist any more. */
  onGone(id: string): void {
    this.#fromPublishers.get(id)?.end();
    this.#toSubscribers.get(id)?.release(true);
    this.#fromWatched.get(id)?.end();
    this.#toWatchers.get(id)?.end();
    this.#toWatchers.delete(id);
  }

  /** Stops reading. */
  leave(): void {
    for (const link of this.#fromPublishers.values()) link.leave();
    this.#fromPublishers.clear();
  }

  /** Watches no more. */
  leaveViews(): void {
    for (const link of this.#fromWatched.values()) link.leave();
    this.#fromWatched.clear();
  }

  /** Resolves when the subscribers have all that was sent. */
  async drain(): Promise<void> {
    await Promise.all(this.#groups.values().map((group) => group.drain()));
    await Promise.all(this.#toSubscribers.values().map((link) => link.drain()));
  }

  /** Sends no more. */
  end(): void {
    for (const link of this.#toSubscribers.values()) link.end();
    for (const group of this.#groups.values()) group.end();
    for (const link of this.#toWatchers.values()) link.end();
    this.#toWatchers.clear();
  }
}

/** Cuts the chunk out of a post that begins at a place; on the wire, too, if `isWired`. */
function cut(
  inputs: readonly Postable[],
  first: number,
  options: FrameOptions,
  isWired: boolean,
): Chunk {
  let end = Math.min(first + CHUNK_MESSAGES, inputs.length);
  let wire: Wire[] | undefined;
  if (isWired) {
    wire = [];
    for (let bytes = 0; first + wire.length < end && bytes < CHUNK_BYTES;) {
      const message = toWire(inputs[first + wire.length]!);
      wire.push(message);
      bytes += message.length;
    }
    end = first + wire.length;
  }
  return {
    first,
    end,
    inputs: inputs.slice(first, end),
    wire,
    options: end - first === inputs.length
      ? options
      : cutOptions(options, first, end),
  };
}
