import { isRingMemory } from "./ring.ts";

/** The memory that a publisher and one of its subscribers share. */
export interface LinkMemory {
  /** The number of this use of the memory. */
  readonly use: number;
  /** The ring with frames. */
  readonly data: SharedArrayBuffer;
  /** The ring with reports. */
  readonly reports: SharedArrayBuffer;
  /** Says what the subscriber is at work on. */
  readonly work: SharedArrayBuffer;
}

/** The memory that a publisher and a thread that only watches share. */
export interface WatchMemory {
  /** The number of this use of the memory. */
  readonly use: number;
  /** The ring with frames. */
  readonly data: SharedArrayBuffer;
}

/** Tells whether what came from elsewhere can be the memory of who watches. */
export function isWatchMemory(memory: unknown): memory is WatchMemory {
  if (typeof memory !== "object" || memory === null) return false;
  const { use, data } = memory as { [key: string]: unknown };
  return typeof use === "number" && Number.isInteger(use) && isRingMemory(data);
}

/** Tells whether what came from elsewhere can be a link's memory. */
export function isLinkMemory(memory: unknown): memory is LinkMemory {
  if (typeof memory !== "object" || memory === null) return false;
  const { use, data, reports, work } = memory as { [key: string]: unknown };
  return typeof use === "number" && Number.isInteger(use) &&
    isRingMemory(data) && isRingMemory(reports) &&
    work instanceof SharedArrayBuffer && work.byteLength === BYTES;
}

/** Says what a subscriber that is gone had done with a message. */
export type Progress = "not begun" | "at work" | "failed" | "left" | "done";

const FRAME = 0;
const INDEX = 1;
const OVERFLOW = 2;
const HEADER = 4;

/** Messages that can be noted at the same time. */
const NOTES = 1024;
const BYTES = 4 * (HEADER + 2 * NOTES);

// What a note says of its message.
const KINDS = ["at work", "failed", "left"] as const;

/**
 * Notes what a subscriber is at work on, in memory that its publisher can read also when the subscriber does not exist any more.
 *
 * ```text
 * word 0    the frame that was begun last
 *      1    the message of it that was begun last, counted from 1
 *      2    1 when there was no room for a note
 *      4    1024 notes: frame, 3 × (index of the message) + kind + 1, or 0 for none
 * ```
 */
export class WorkMemory {
  /** The memory, to be handed to the other side. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  #free: number[] | undefined;

  /** @param buffer The memory that the other side has made; none makes a new one. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** A number that changes whenever a message is begun. */
  get pulse(): number {
    return Atomics.load(this.#words, FRAME) * 2 ** 20 +
      Atomics.load(this.#words, INDEX);
  }

  /** Forgets everything. */
  reset(): void {
    this.#words.fill(0);
  }

  /**
   * Notes that a message is begun, and with it that all before it were.
   *
   * @param index Its place in the frame; one behind the last notes that all were.
   */
  begin(frame: number, index: number): void {
    if (this.#words[FRAME] !== (frame | 0)) {
      // Who dies here has begun nothing of the frame.
      Atomics.store(this.#words, INDEX, 0);
      Atomics.store(this.#words, FRAME, frame | 0);
    }
    Atomics.store(this.#words, INDEX, index + 1);
  }

  /**
   * Notes something of a message until {@linkcode WorkMemory.erase}.
   *
   * @returns What `erase` takes; -1 when there was no room.
   */
  note(frame: number, index: number, kind: typeof KINDS[number]): number {
    this.#free ??= Array.from({ length: NOTES }, (_, note) => note);
    const note = this.#free.pop();
    if (note === undefined) {
      Atomics.store(this.#words, OVERFLOW, 1);
      return -1;
    }
    const at = HEADER + 2 * note;
    this.#words[at] = frame | 0;
    Atomics.store(
      this.#words,
      at + 1,
      3 * index + KINDS.indexOf(kind) + 1,
    );
    return note;
  }

  /** Erases a note. */
  erase(note: number): void {
    if (note < 0) return;
    Atomics.store(this.#words, HEADER + 2 * note + 1, 0);
    this.#free!.push(note);
  }

  /**
   * Tells what the subscriber had done with the messages of a frame.
   *
   * @param count The number of its messages.
   */
  progress(frame: number, count: number): Progress[] {
    const ahead = (frame - Atomics.load(this.#words, FRAME)) | 0;
    const begun = ahead > 0
      ? 0
      : ahead < 0
      ? count + 1
      : Atomics.load(this.#words, INDEX);
    const isUnsure = Atomics.load(this.#words, OVERFLOW) === 1;
    const progress = Array.from({ length: count }, (_, index): Progress => {
      if (index + 1 === begun) return "at work";
      return index + 1 > begun || isUnsure ? "not begun" : "done";
    });
    for (let at = HEADER; at < this.#words.length; at += 2) {
      const note = Atomics.load(this.#words, at + 1) - 1;
      if (note < 0 || this.#words[at] !== (frame | 0)) continue;
      progress[Math.floor(note / 3)] = KINDS[note % 3]!;
    }
    return progress;
  }
}
