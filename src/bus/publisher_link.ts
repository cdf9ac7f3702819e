import { BusError, DroppedError, LeftError } from "./errors.ts";
import { decodeReport } from "./frame.ts";
import { type LinkMemory, type Progress, WorkMemory } from "./link_memory.ts";
import type { Failure, Receipt } from "./receipt.ts";
import { RecordReader, Ring, RingState } from "./ring.ts";
import { type Member, UNNAMED } from "./roster.ts";

/** Capacities in bytes: of the ring with frames, and of the one with reports. */
const DATA = 2 ** 20;
const REPORTS = 2 ** 16;

/** As long as nobody has given it up. */
const LIVE = [RingState.Offered, RingState.Attached];

/** The memory that the two sides of a link share. */
interface Shared {
  /** Frames to the subscriber. */
  readonly data: Ring;
  readonly reports: Ring;
  readonly work: WorkMemory;
}

/** Memory of links that are over, to be used again: the garbage collector does not feel its weight. */
const retired: Shared[] = [];
let uses = 0;

/** Connects a link with its exchange. */
interface PublisherLinkOptions {
  readonly member: Member;
  /**
   * The time in seconds for which the subscriber may give no sign of life while
   * it has something to do.
   */
  readonly stallTimeout: number;
  /** Offers the link's memory to the subscriber. */
  offer(memory: LinkMemory): void;
  /**
   * Called when the link is over.
   *
   * @param error Why, where the subscriber has not left by itself.
   * @param isGivenUp Whether the subscriber may still be there.
   */
  onOver(error: DroppedError | undefined, isGivenUp: boolean): void;
}

/** A frame whose report has not come yet. */
interface SentFrame {
  readonly receipt: Receipt;
  /** The place of its first message in the post. */
  readonly first: number;
  readonly count: number;
}

/** A frame that is not in the ring yet, or not as a whole. */
interface QueuedFrame {
  readonly pieces: readonly Uint8Array[];
  /** The piece to go on with, and how much of it is written. */
  piece: number;
  written: number;
  readonly room: PromiseWithResolvers<void>;
}

/**
 * A publisher's side of the connection to one subscriber in another thread:
 * one ring with frames there, and one with reports of what became of them back.
 *
 * ```text
 * offered    by frames on the control channel, again and again, until the
 *            subscriber has taken it; frames are written all the same
 * attached   the subscriber reads and reports
 * over       it has left; or it was lost; or, while frames were out, it has
 *            answered no ping for `stallTimeout`
 * ```
 */
export class PublisherLink {
  readonly member: Member;
  /** Who subscribes there, see {@linkcode Member.names}. */
  names: readonly string[];
  readonly #options: PublisherLinkOptions;
  readonly #use = ++uses % 2 ** 28;
  readonly #data: Ring;
  readonly #reports: Ring;
  readonly #work: WorkMemory;
  readonly #records: RecordReader;
  readonly #sent = new Map<number, SentFrame>();
  readonly #queue: QueuedFrame[] = [];
  readonly #over = new AbortController();
  #isWriting = false;
  #isReading = false;
  #watch: ReturnType<typeof setTimeout> | undefined;

  /** @param options What it does for its exchange. */
  constructor(options: PublisherLinkOptions) {
    this.member = options.member;
    this.#options = options;
    this.names = options.member.names;
    const at = retired.findIndex(({ data }) => data.state === RingState.Left);
    const old = at < 0 ? undefined : retired.splice(at, 1)[0];
    this.#data = new Ring(old?.data.buffer ?? DATA, this.#use);
    this.#reports = new Ring(old?.reports.buffer ?? REPORTS, this.#use);
    this.#work = new WorkMemory(old?.work.buffer);
    this.#data.reset();
    this.#reports.reset();
    this.#work.reset();
    this.#records = new RecordReader(this.#reports);
    const memory = {
      use: this.#use,
      data: this.#data.buffer,
      reports: this.#reports.buffer,
      work: this.#work.buffer,
    };
    void this.#data.offer(() => options.offer(memory), this.#over.signal);
  }

  /**
   * Sends a frame.
   *
   * @param pieces The frame, in pieces to be written one after the other.
   * @param messages The number of its messages, the place of the first one in
   * the post, and the receipt, which takes what the subscriber reports.
   * @returns A promise of room, when the frame does not fit into the ring yet.
   */
  send(
    number: number,
    pieces: readonly Uint8Array[],
    messages: SentFrame,
  ): Promise<void> | undefined {
    messages.receipt.begin();
    this.check();
    if (this.#over.signal.aborted) {
      const progress = Array(messages.count).fill("not begun");
      this.#giveBack(
        messages,
        progress,
        `The subscriber ${this.#label} has left`,
        false,
      );
      return undefined;
    }
    this.#sent.set(number, messages);
    if (!this.#isReading) this.#read();
    if (this.#watch === undefined) this.#watchOver();
    const room = Promise.withResolvers<void>();
    const queued = { pieces, piece: 0, written: 0, room };
    if (this.#queue.length === 0 && this.#put(queued)) return undefined;
    this.#queue.push(queued);
    if (!this.#isWriting) this.#write();
    return room.promise;
  }

  /** Resolves when the subscriber has the ring, and the ring has all frames. */
  async drain(): Promise<void> {
    for (;;) {
      const bell = this.#data.bell("writer");
      if (this.#over.signal.aborted) return;
      const last = this.#queue.at(-1);
      if (last !== undefined) await last.room.promise;
      else if (this.#data.state !== RingState.Offered) return;
      else await this.#data.rung("writer", bell);
    }
  }

  /** Notices that the subscriber has left. */
  check(): void {
    // Only the reader ends a link that the writer has not ended.
    const { state } = this.#data;
    if (state !== RingState.Left && state !== RingState.Ended) return;
    this.#finish(
      new LeftError(`The subscriber ${this.#label} has left`),
      [],
      RingState.Left,
    );
  }

  /** Writes no more frames; those in the ring will still be read. */
  end(): void {
    this.#finish(
      new LeftError("The publisher has closed its bus"),
      LIVE,
      RingState.Ended,
    );
  }

  /** Takes notice that the subscriber listens no more, or does not exist. */
  release(isGone: boolean): void {
    this.check();
    // Who leaves in order leaves its rings before.
    const isLost = isGone && this.#data.state === RingState.Attached;
    this.#finish(
      isLost
        ? new DroppedError(
          `The subscriber ${this.#label} has ended without leaving the bus`,
        )
        : new LeftError(`The subscriber ${this.#label} has left`),
      LIVE,
      RingState.Left,
    );
  }

  get #label(): string {
    return this.member.label;
  }

  /** Looks for signs of life, for as long as frames are out. */
  #watchOver(): void {
    const { stallTimeout } = this.#options;
    const interval = stallTimeout / 8 * 1000;
    let last = performance.now();
    let pulse = this.#pulse;
    let still = 0;
    const look = (): void => {
      const now = performance.now();
      // If this thread was asleep itself, the subscriber may have been too.
      still = pulse === this.#pulse
        ? still + Math.min(now - last, 2 * interval)
        : 0;
      last = now;
      pulse = this.#pulse;
      this.check();
      this.#watch = undefined;
      if (this.#over.signal.aborted || this.#sent.size === 0) return;
      if (still > stallTimeout * 1000) {
        const error = new DroppedError(
          `The subscriber ${this.#label} has neither read nor given a sign of ` +
            `life for ${stallTimeout} s: it is dropped`,
        );
        return this.#finish(error, LIVE, RingState.Dropped);
      }
      this.#data.ping();
      arm();
    };
    const arm = (): void => {
      this.#watch = setTimeout(look, interval);
      Deno.unrefTimer(this.#watch);
    };
    arm();
  }

  get #pulse(): number {
    return this.#data.pulse + this.#work.pulse;
  }

  #finish(
    error: DroppedError,
    from: readonly RingState[],
    to: RingState,
  ): void {
    if (this.#over.signal.aborted) return;
    this.#takeReports();
    this.#over.abort();
    clearTimeout(this.#watch);
    // What was never taken, nobody else holds.
    this.#data.transition([RingState.Offered], RingState.Left);
    this.#data.transition(from, to);
    this.#data.wake();
    this.#reports.wake();
    for (const { room } of this.#queue.splice(0)) room.resolve();
    const isLost = !(error instanceof LeftError);
    for (const [number, sent] of this.#sent) {
      this.#sent.delete(number);
      const progress = this.#work.progress(number, sent.count);
      this.#giveBack(sent, progress, error.message, isLost);
    }
    retired.push({
      data: this.#data,
      reports: this.#reports,
      work: this.#work,
    });
    this.#options.onOver(
      isLost ? error : undefined,
      to === RingState.Dropped,
    );
  }

  /** Tells what became of a frame that will not be reported any more. */
  #giveBack(
    { receipt, first, count }: SentFrame,
    progress: readonly Progress[],
    reason: string,
    isLost: boolean,
  ): void {
    const { label: subscriber, id } = this.member;
    const subscription = this.names.map((name) => name === UNNAMED ? id : name)
      .join(" ");
    for (let i = 0; i < count; i++) {
      const done = progress[i];
      if (done === "done") continue;
      const failure: Pick<Failure, "reason" | "error"> = done === "failed"
        ? {
          reason: "failed",
          error: new BusError(`A handler has failed. Then: ${reason}`),
        }
        : done === "at work" && isLost
        ? { reason: "dropped", error: new DroppedError(reason) }
        : { reason: "left", error: new LeftError(reason) };
      receipt.fail({ index: first + i, ...failure, subscriber, subscription });
    }
    receipt.finish();
  }

  /** Writes what is queued, as room appears. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    for (;;) {
      const bell = this.#data.bell("writer");
      this.check();
      const queued = this.#queue[0];
      if (this.#over.signal.aborted || queued === undefined) break;
      if (this.#put(queued)) {
        this.#queue.shift();
        queued.room.resolve();
      } else {
        await this.#data.rung("writer", bell);
      }
    }
    this.#isWriting = false;
  }

  /** Writes as much of a frame as there is room for, and tells whether that was all. */
  #put(queued: QueuedFrame): boolean {
    const { pieces } = queued;
    for (; queued.piece < pieces.length; queued.piece++, queued.written = 0) {
      const piece = pieces[queued.piece]!;
      const isLast = queued.piece === pieces.length - 1;
      queued.written += this.#data.write(piece, queued.written, isLast);
      if (queued.written < piece.length) return false;
    }
    return true;
  }

  /** Takes reports for as long as frames are out. */
  async #read(): Promise<void> {
    this.#isReading = true;
    for (;;) {
      const bell = this.#reports.bell("reader");
      this.#takeReports();
      this.check();
      if (this.#over.signal.aborted || this.#sent.size === 0) break;
      await this.#reports.rung("reader", bell);
    }
    this.#isReading = false;
  }

  #takeReports(): void {
    for (;;) {
      const record = this.#records.next();
      if (record === undefined) return;
      const { number, failures } = decodeReport(record);
      const sent = this.#sent.get(number);
      if (sent === undefined) continue;
      this.#sent.delete(number);
      for (const failure of failures) {
        sent.receipt.fail({ ...failure, index: sent.first + failure.index });
      }
      sent.receipt.finish();
    }
  }
}
