import { DroppedError } from "./errors.ts";
import { decodeFrame, type Frame } from "./frame.ts";
import type { Failure } from "./receipt.ts";
import { RecordReader } from "./record_reader.ts";
import { encodeReport } from "./report.ts";
import { Ring, RingState } from "./ring.ts";

/** What a publisher hands to a subscriber. */
export interface LinkMemory {
  /** The number of this use of the rings. */
  readonly use: number;
  /** The ring with frames. */
  readonly data: SharedArrayBuffer;
  /** The ring with reports. */
  readonly reports: SharedArrayBuffer;
}

/** What a link tells its subscriber. */
export interface LinkEvents {
  /**
   * A frame has come.
   *
   * @param frame The frame.
   * @param settle To be called once, when everybody is done with it.
   * @returns A promise, when there is no room for the next one yet.
   */
  onFrame(
    frame: Frame,
    settle: (failures: readonly Failure[]) => void,
  ): Promise<void> | undefined;
  /** The link is over, with an error when the publisher has given us up. */
  onOver(error?: DroppedError): void;
}

/** A subscriber's side of the connection to one publisher in another isolate. */
export class LinkReader {
  /** Frames from the publisher. */
  readonly data: Ring;
  readonly #reports: Ring;
  readonly #events: LinkEvents;
  readonly #records: RecordReader;
  readonly #queue: Uint8Array[] = [];
  #written = 0;
  #writing = false;

  /**
   * @param memory What the publisher has offered.
   * @param events Whom to tell.
   */
  constructor(memory: LinkMemory, events: LinkEvents) {
    this.data = new Ring(memory.data, memory.use);
    this.#reports = new Ring(memory.reports, memory.use);
    this.#events = events;
    this.#records = new RecordReader(this.data);
  }

  /**
   * Takes the ring and begins to read it.
   *
   * @returns Whether it was there to be taken.
   */
  attach(): boolean {
    const attached = this.data.transition(
      [RingState.Offered],
      RingState.Attached,
    );
    if (attached) this.#read();
    return attached;
  }

  /** Stops reading. */
  leave(): void {
    this.data.transition(
      [RingState.Attached, RingState.Ended, RingState.Dropped],
      RingState.Left,
    );
    this.#reports.wake();
  }

  async #read(): Promise<void> {
    for (;;) {
      const { state } = this.data;
      if (state === RingState.Left) return this.#events.onOver();
      if (state === RingState.Dropped) {
        this.leave();
        return this.#events.onOver(
          new DroppedError(
            "The publisher has given this subscriber up, because it neither read nor gave a " +
              "sign of life for too long: messages may be missing. Keep handlers short, or raise stallTimeout",
          ),
        );
      }
      const record = this.#records.next();
      if (record !== undefined) {
        const frame = decodeFrame(record);
        await this.#events.onFrame(
          frame,
          (failures) => this.#report(frame.number, failures),
        );
      } else if (state === RingState.Ended) {
        this.leave();
      } else {
        await this.data.waitReadable();
      }
    }
  }

  #report(number: number, failures: readonly Failure[]): void {
    this.#queue.push(encodeReport({ number, failures }));
    if (this.#writing) return;
    this.#writing = true;
    // What a handler posts goes first, since somebody may wait for it.
    queueMicrotask(() => this.#write());
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0 && this.data.state === RingState.Attached) {
      const report = this.#queue[0]!;
      this.#written += this.#reports.write(report, this.#written);
      if (this.#written < report.length) {
        await this.#reports.waitWritable();
      } else {
        this.#queue.shift();
        this.#written = 0;
      }
    }
    this.#writing = false;
  }
}
