import { DroppedError } from "./errors.ts";
import { decodeFrame, encodeReport, type Frame } from "./frame.ts";
import { type LinkMemory, WorkMemory } from "./link_memory.ts";
import { type Failure, Receipt, type Work } from "./receipt.ts";
import { RecordReader, Ring, RingState } from "./ring.ts";

/** Connects a link with its exchange. */
interface SubscriberLinkOptions {
  /**
   * Called with each frame.
   *
   * @param receipt Takes what becomes of them.
   * @returns When there is room for the next frame.
   */
  onFrame(frame: Frame, receipt: Receipt): Promise<void>;
  /** Called when the link is over, with an error when the publisher has given us up. */
  onOver(error?: DroppedError): void;
}

/** Holds what is to be said of a frame. */
interface QueuedReport {
  readonly bytes: Uint8Array;
  readonly work: FrameWork;
}

/** A subscriber's side of the connection to one publisher in another thread. */
export class SubscriberLink {
  /** The number of this use of the memory. */
  readonly use: number;
  readonly #data: Ring;
  readonly #reports: Ring;
  readonly #work: WorkMemory;
  readonly #options: SubscriberLinkOptions;
  readonly #records: RecordReader;
  readonly #queue: QueuedReport[] = [];
  #isWriting = false;

  /**
   * @param memory What the publisher has offered.
   * @param options What it does for its exchange.
   */
  constructor(memory: LinkMemory, options: SubscriberLinkOptions) {
    this.use = memory.use;
    this.#data = new Ring(memory.data, memory.use);
    this.#reports = new Ring(memory.reports, memory.use);
    this.#work = new WorkMemory(memory.work);
    this.#options = options;
    this.#records = new RecordReader(this.#data);
  }

  /**
   * Tells whether the publisher still reads what becomes of its messages, or
   * has ended in order.
   */
  get isLive(): boolean {
    const { state } = this.#data;
    return state === RingState.Attached || state === RingState.Ended;
  }

  /**
   * Takes the ring and begins to read it.
   *
   * @returns Whether it was there to be taken.
   */
  attach(): boolean {
    const attached = this.#data.transition(
      [RingState.Offered],
      RingState.Attached,
    );
    if (attached) {
      this.#data.answerPings();
      this.#read();
    }
    return attached;
  }

  /** Takes notice that the publisher does not exist any more: what it has written is still read. */
  end(): void {
    this.#data.transition([RingState.Attached], RingState.Ended);
  }

  /** Stops reading. */
  leave(): void {
    this.#data.transition(
      [RingState.Attached, RingState.Ended, RingState.Dropped],
      RingState.Left,
    );
    this.#reports.wake();
  }

  async #read(): Promise<void> {
    for (;;) {
      const bell = this.#data.bell("reader");
      const { state } = this.#data;
      if (state === RingState.Left) return this.#options.onOver();
      if (state === RingState.Dropped) {
        return this.#giveUp(
          "The publisher has given this subscriber up, because it neither read nor gave a " +
            "sign of life for too long: messages may be missing. Keep handlers short, or raise stallTimeout",
        );
      }
      let frame: Frame | undefined;
      try {
        const record = this.#records.next();
        if (record !== undefined) frame = decodeFrame(record);
      } catch (error) {
        return this.#giveUp(`A link has brought what is no frame: ${error}`);
      }
      if (frame !== undefined) {
        const { number } = frame;
        const work = new FrameWork(this, this.#work, number);
        const receipt = new Receipt(work);
        receipt.handled.then((failures) =>
          this.#report(number, failures, work)
        );
        await this.#options.onFrame(frame, receipt);
      } else if (state === RingState.Ended) {
        this.leave();
      } else {
        await this.#data.rung("reader", bell);
      }
    }
  }

  #giveUp(reason: string): void {
    this.leave();
    this.#options.onOver(new DroppedError(reason));
  }

  #report(
    number: number,
    failures: readonly Failure[],
    work: FrameWork,
  ): void {
    this.#queue.push({ bytes: encodeReport({ number, failures }), work });
    if (this.#isWriting) return;
    this.#isWriting = true;
    // What a handler posts goes first, since somebody may wait for it.
    queueMicrotask(() => this.#write());
  }

  async #write(): Promise<void> {
    for (let written = 0;;) {
      const bell = this.#reports.bell("writer");
      const queued = this.#queue[0];
      if (queued === undefined || this.#data.state !== RingState.Attached) {
        break;
      }
      written += this.#reports.write(queued.bytes, written);
      if (written < queued.bytes.length) {
        await this.#reports.rung("writer", bell);
      } else {
        this.#queue.shift();
        queued.work.settle();
        written = 0;
      }
    }
    this.#isWriting = false;
  }
}

/** Notes what is at work of one frame, so that the publisher can read it should this thread be lost. */
class FrameWork implements Work {
  readonly #link: SubscriberLink;
  readonly #memory: WorkMemory;
  readonly #frame: number;
  readonly #failed: number[] = [];

  constructor(link: SubscriberLink, memory: WorkMemory, frame: number) {
    this.#link = link;
    this.#memory = memory;
    this.#frame = frame;
  }

  hand(index: number): boolean {
    if (!this.#link.isLive) return false;
    this.#memory.begin(this.#frame, index);
    return true;
  }

  begin(index: number): number {
    return this.#link.isLive
      ? this.#memory.note(this.#frame, index, "at work")
      : -1;
  }

  end(note: number): void {
    // Later the memory may be another link's.
    if (this.#link.isLive) this.#memory.erase(note);
  }

  fail(index: number, isLeft: boolean): void {
    if (!this.#link.isLive) return;
    this.#failed.push(
      this.#memory.note(this.#frame, index, isLeft ? "left" : "failed"),
    );
  }

  /** Erases what the report says as well. */
  settle(): void {
    if (!this.#link.isLive) return;
    for (const note of this.#failed) this.#memory.erase(note);
  }
}
