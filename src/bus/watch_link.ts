import { DroppedError } from "./errors.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frame.ts";
import type { WatchMemory } from "./link_memory.ts";
import { RecordReader, Ring, RingState } from "./ring.ts";

/** Capacity of the ring in bytes. */
const DATA = 2 ** 18;

/** Memory of links that are over, to be used again: the garbage collector does not feel its weight. */
const retired: Ring[] = [];
let uses = 0;

/**
 * A publisher's side of the connection to a thread that only watches: a ring
 * with frames there. What finds no room is skipped, so that nobody ever waits,
 * and the next frame says how many messages that were. Nothing comes back.
 */
export class WatchedLink {
  /** The view of the member for which the link was made. */
  readonly view: number;
  readonly #data: Ring;
  readonly #use = ++uses % 2 ** 28;
  readonly #over = new AbortController();
  #pieces: readonly Uint8Array[] = [];
  #skipped = 0;

  /**
   * @param view The number of the member's view.
   * @param offer Offers the link's memory to the thread.
   */
  constructor(view: number, offer: (memory: WatchMemory) => void) {
    this.view = view;
    const at = retired.findIndex(({ state }) => state === RingState.Left);
    const old = at < 0 ? undefined : retired.splice(at, 1)[0];
    this.#data = new Ring(old?.buffer ?? DATA, this.#use);
    this.#data.reset();
    const memory = { use: this.#use, data: this.#data.buffer };
    void this.#data.offer(() => offer(memory), this.#over.signal);
  }

  /** Tells whether there is no room for a frame, so that none need be made. */
  get isFull(): boolean {
    return this.#pieces.length > 0;
  }

  /**
   * Sends a frame, or skips it.
   *
   * @param pieces The frame, in pieces to be written one after the other.
   * @param count The number of its messages.
   */
  send(pieces: readonly Uint8Array[], count: number): void {
    if (this.isFull) return this.skip(count);
    this.#pieces = pieces;
    this.#write();
    // Whoever has posted them does not wait for this link, and may use their memory again.
    this.#pieces = this.#pieces.map((piece) => new Uint8Array(piece));
  }

  /** Takes notice of messages that were not sent. */
  skip(count: number): void {
    this.#skipped += count;
  }

  /** Writes no more; what is in the ring may still be read. */
  end(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.#pieces = [];
    // What was never taken, nobody else holds.
    this.#data.transition([RingState.Offered], RingState.Left);
    this.#data.transition([RingState.Attached], RingState.Ended);
    this.#data.wake();
    retired.push(this.#data);
  }

  /** Writes the frame in hand as room appears, and then what was skipped meanwhile. */
  async #write(): Promise<void> {
    while (this.#pieces.length > 0) {
      const bell = this.#data.bell("writer");
      while (this.#pieces.length > 0) {
        const [piece, ...others] = this.#pieces;
        const written = this.#data.write(piece!, 0, others.length === 0);
        this.#pieces = written === piece!.length
          ? others
          : [piece!.subarray(written), ...others];
        if (written < piece!.length) break;
      }
      if (this.#pieces.length > 0) await this.#data.rung("writer", bell);
      else if (this.#skipped > 0) {
        this.#pieces = encodeFrame(0, [], { skipped: this.#skipped });
        this.#skipped = 0;
      }
    }
  }
}

/** The side of the thread that watches. */
export class WatchingLink {
  /** The number of this use of the memory. */
  readonly use: number;
  readonly #data: Ring;
  readonly #records: RecordReader;

  /** @param memory What the publisher has offered. */
  constructor({ use, data }: WatchMemory) {
    this.use = use;
    this.#data = new Ring(data, use);
    this.#records = new RecordReader(this.#data);
  }

  /**
   * Takes the ring and reads it until it ends.
   *
   * @param onFrame Called with each frame; resolves when there is room for more.
   * @param onOver Called when nothing comes any more; with an error where what has
   * come is no frame.
   * @returns Whether it was there to be taken.
   */
  attach(
    onFrame: (frame: Frame) => Promise<void>,
    onOver: (error?: DroppedError) => void,
  ): boolean {
    const isAttached = this.#data.transition(
      [RingState.Offered],
      RingState.Attached,
    );
    if (isAttached) this.#read(onFrame).then(onOver);
    return isAttached;
  }

  /** Takes notice that the publisher does not exist any more: what it has written is still read. */
  end(): void {
    this.#data.transition([RingState.Attached], RingState.Ended);
  }

  /** Stops reading. */
  leave(): void {
    this.#data.transition(
      [RingState.Attached, RingState.Ended],
      RingState.Left,
    );
  }

  /** Reads until the end; resolves with an error where what has come is no frame. */
  async #read(
    onFrame: (frame: Frame) => Promise<void>,
  ): Promise<DroppedError | undefined> {
    for (;;) {
      const bell = this.#data.bell("reader");
      const { state } = this.#data;
      if (state === RingState.Left) return undefined;
      let frame: Frame | undefined;
      try {
        const record = this.#records.next();
        if (record !== undefined) frame = decodeFrame(record);
      } catch (error) {
        this.leave();
        return new DroppedError(
          `A link has brought what is no frame: ${error}`,
        );
      }
      if (frame !== undefined) await onFrame(frame);
      else if (state === RingState.Ended) this.leave();
      else await this.#data.rung("reader", bell);
    }
  }
}
