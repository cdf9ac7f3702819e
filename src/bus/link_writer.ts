import { DroppedError } from "./errors.ts";
import type { Failure } from "./receipt.ts";
import { RecordReader } from "./record_reader.ts";
import { decodeReport } from "./report.ts";
import { Ring, RingState } from "./ring.ts";

/** Capacities in bytes: of the ring with frames, and of the one with reports. */
const DATA = 2 ** 20;
const REPORTS = 2 ** 16;

/** Links that are over, whose memory can be used again. */
const retired: LinkWriter[] = [];
let uses = 0;

/** A frame whose report has not come yet. */
interface Sent {
  readonly count: number;
  readonly settle: (failures: readonly Failure[]) => void;
}

/** A frame that is not in the ring yet, or not as a whole. */
interface Queued {
  readonly bytes: Uint8Array;
  written: number;
  readonly room: PromiseWithResolvers<void>;
}

/**
 * A publisher's side of the connection to one subscriber in another isolate:
 * one ring with frames there, and one with reports of what became of them back.
 */
export class LinkWriter {
  /** The number of this use of the rings, which tells the link from others. */
  readonly use: number = ++uses % 2 ** 28;
  /** The subscriber's label. */
  readonly label: string;
  /** Frames to the subscriber. */
  readonly data: Ring;
  /** Reports from the subscriber. */
  readonly reports: Ring;
  readonly #onLeft: () => void;
  readonly #records: RecordReader;
  readonly #sent = new Map<number, Sent>();
  readonly #queue: Queued[] = [];
  #writing = false;
  #reading = false;
  #over = false;

  /**
   * @param label The subscriber's label.
   * @param onLeft Called when the subscriber has left by itself.
   */
  constructor(label: string, onLeft: () => void) {
    this.label = label;
    this.#onLeft = onLeft;
    // The garbage collector does not feel the weight of shared memory.
    const at = retired.findIndex(({ data }) => data.state === RingState.Left);
    const old = at < 0 ? undefined : retired.splice(at, 1)[0];
    this.data = new Ring(old?.data.buffer ?? DATA, this.use);
    this.reports = new Ring(old?.reports.buffer ?? REPORTS, this.use);
    this.data.reset();
    this.reports.reset();
    this.#records = new RecordReader(this.reports);
  }

  /**
   * Sends a frame.
   *
   * @param number The frame's number.
   * @param bytes The frame.
   * @param count The number of its messages.
   * @param settle Called once, when the subscriber is done with it, or gone.
   * @returns A promise of room, when the frame does not fit into the ring yet.
   */
  send(
    number: number,
    bytes: Uint8Array,
    count: number,
    settle: (failures: readonly Failure[]) => void,
  ): Promise<void> | undefined {
    this.#sent.set(number, { count, settle });
    this.check();
    if (this.#over) {
      this.#dropSent(`The subscriber ${this.label} has left`);
      return undefined;
    }
    if (!this.#reading) this.#read();
    const written = this.#queue.length === 0 ? this.data.write(bytes) : 0;
    if (written === bytes.length) return undefined;
    const queued = { bytes, written, room: Promise.withResolvers<void>() };
    this.#queue.push(queued);
    if (!this.#writing) this.#write();
    return queued.room.promise;
  }

  /** Resolves when the subscriber has the ring, and the ring has all frames. */
  async drain(): Promise<void> {
    while (
      !this.#over &&
      (this.#queue.length > 0 || this.data.state === RingState.Offered)
    ) {
      await (this.#queue.at(-1)?.room.promise ??
        this.data.waitState(RingState.Offered));
    }
  }

  /** Notices that the subscriber has left. */
  check(): void {
    const { state } = this.data;
    // Only the reader ends a link that the writer has not ended.
    if (this.#over || (state !== RingState.Left && state !== RingState.Ended)) {
      return;
    }
    this.#finish(`The subscriber ${this.label} has left`, [], RingState.Left);
    this.#onLeft();
  }

  /** Writes no more frames; those in the ring will still be read. */
  end(): void {
    this.#finish("The publisher has closed its bus", LIVE, RingState.Ended);
  }

  /** Gives a subscriber up that may wake up again. */
  drop(reason: string): void {
    this.#finish(reason, LIVE, RingState.Dropped);
  }

  /** Takes the subscriber's word that it has left. */
  release(): void {
    this.data.transition(LIVE, RingState.Left);
    this.check();
  }

  /** Gives a subscriber up that does not exist any more. */
  bury(reason: string): void {
    this.#finish(reason, LIVE, RingState.Left);
  }

  #finish(reason: string, from: readonly RingState[], to: RingState): void {
    if (this.#over) return;
    this.#takeReports();
    this.#over = true;
    // What was never taken, nobody else holds.
    this.data.transition([RingState.Offered], RingState.Left);
    this.data.transition(from, to);
    this.reports.wake();
    retired.push(this);
    for (const { room } of this.#queue.splice(0)) room.resolve();
    this.#dropSent(reason);
  }

  #dropSent(reason: string): void {
    const error = new DroppedError(reason);
    for (const [number, { count, settle }] of this.#sent) {
      this.#sent.delete(number);
      settle(Array.from(
        { length: count },
        (_, index) => ({
          index,
          reason: "dropped",
          error,
          subscriber: this.label,
        }),
      ));
    }
  }

  /** Writes what is queued, as room appears. */
  async #write(): Promise<void> {
    this.#writing = true;
    while (!this.#over && this.#queue.length > 0) {
      const queued = this.#queue[0]!;
      queued.written += this.data.write(queued.bytes, queued.written);
      if (queued.written < queued.bytes.length) {
        await this.data.waitWritable();
        this.check();
      } else {
        this.#queue.shift();
        queued.room.resolve();
      }
    }
    this.#writing = false;
  }

  /** Takes reports for as long as frames are out. */
  async #read(): Promise<void> {
    this.#reading = true;
    while (!this.#over && this.#sent.size > 0) {
      this.#takeReports();
      if (this.#sent.size > 0) await this.reports.waitReadable();
      this.check();
    }
    this.#reading = false;
  }

  #takeReports(): void {
    for (;;) {
      const record = this.#records.next();
      if (record === undefined) return;
      const { number, failures } = decodeReport(record);
      const sent = this.#sent.get(number);
      this.#sent.delete(number);
      sent?.settle(failures);
    }
  }
}

const LIVE = [RingState.Offered, RingState.Attached];
