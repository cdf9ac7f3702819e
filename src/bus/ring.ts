/** Size of the header in bytes; the data begins behind it. */
const HEADER = 192;

// Slots of the header, as indices into an Int32Array. What the writer changes
// and what the reader changes sit on different cache lines, so that the two do
// not slow each other down.
const HEAD = 0;
const TAIL = 16;
const WRITER_PULSE = 1;
const READER_PULSE = 17;
const STATE = 32;

/** What became of the connection that a ring carries. */
export const RingState = {
  /** The writer has made the ring; the reader may not know it yet. */
  Offered: 0,
  /** The reader has taken the ring. */
  Attached: 1,
  /** The writer will write no more; what is in the ring may still be read. */
  Ended: 2,
  /** The reader does not read any more. */
  Left: 3,
  /** The writer has given the reader up. */
  Dropped: 4,
} as const;

/** One of the values of {@linkcode RingState}. */
export type RingState = typeof RingState[keyof typeof RingState];

/** A side of a ring. */
export type Side = "writer" | "reader";

/**
 * A stream of bytes from one thread to another through shared memory: one
 * writer, one reader, no locks.
 *
 * ```text
 * byte    0        HEAD          bytes written since the beginning, modulo 2³²
 *         4        pulse         counted up by the writer while it lives
 *        64        TAIL          bytes read since the beginning, modulo 2³²
 *        68        pulse         counted up by the reader while it lives
 *       128        STATE         number of the use × 8 + RingState
 *       192        data          `capacity` bytes, a power of two
 *
 *              TAIL mod capacity     HEAD mod capacity
 *                     ▼                     ▼
 *       ┌─────────────┬─────────────────────┬───────────────┐
 *       │    free     │  written, not read  │     free      │
 *       └─────────────┴─────────────────────┴───────────────┘
 * ```
 *
 * Only the writer stores HEAD, only the reader stores TAIL, and each after it
 * has moved the bytes: what one sees announced is there. `HEAD - TAIL` is the
 * fill, from 0 to `capacity`. Who finds the ring empty (or full) sleeps on HEAD
 * (or TAIL) with `Atomics.waitAsync` until the other side has moved it.
 */
export class Ring {
  /** The memory, to be handed to the other side. */
  readonly buffer: SharedArrayBuffer;
  /** The number of bytes that fit. */
  readonly capacity: number;
  readonly #slots: Int32Array;
  readonly #data: Uint8Array;
  readonly #tag: number;

  /**
   * @param memory The capacity of a new ring, in bytes and a power of two, or
   * the memory of one that the other side has made.
   * @param use The number of this use of the memory, below 2²⁸: who still holds
   * it for an earlier use finds that the ring has been left.
   * @throws {RangeError} When the capacity is not a power of two.
   */
  constructor(memory: number | SharedArrayBuffer, use = 0) {
    const capacity = typeof memory === "number"
      ? memory
      : memory.byteLength - HEADER;
    if (
      capacity < 1 || capacity > 2 ** 30 || (capacity & (capacity - 1)) !== 0
    ) {
      throw new RangeError(
        `Cannot make a ring of ${capacity} bytes: expected a power of two up to 2³⁰`,
      );
    }
    this.buffer = typeof memory === "number"
      ? new SharedArrayBuffer(HEADER + capacity)
      : memory;
    this.capacity = capacity;
    this.#slots = new Int32Array(this.buffer, 0, HEADER / 4);
    this.#data = new Uint8Array(this.buffer, HEADER, capacity);
    this.#tag = use * 8;
  }

  /** Bytes that can be read now. */
  get readable(): number {
    return (Atomics.load(this.#slots, HEAD) -
      Atomics.load(this.#slots, TAIL)) >>> 0;
  }

  /** Bytes that can be written now. */
  get writable(): number {
    return this.capacity - this.readable;
  }

  /**
   * Writes as much of the source as there is room for.
   *
   * @param source The bytes to write.
   * @param from Where in the source to begin.
   * @returns The number of bytes written, 0 when the ring is full.
   */
  write(source: Uint8Array, from = 0): number {
    const count = Math.min(this.writable, source.length - from);
    if (count === 0) return 0;
    const head = Atomics.load(this.#slots, HEAD);
    const at = (head >>> 0) & (this.capacity - 1);
    const first = Math.min(count, this.capacity - at);
    this.#data.set(source.subarray(from, from + first), at);
    if (first < count) {
      this.#data.set(source.subarray(from + first, from + count), 0);
    }
    Atomics.store(this.#slots, HEAD, head + count);
    Atomics.notify(this.#slots, HEAD);
    return count;
  }

  /**
   * Reads as much as there is, and at most what the target holds.
   *
   * @param target Where to put the bytes.
   * @param from Where in the target to begin.
   * @returns The number of bytes read, 0 when the ring is empty.
   */
  read(target: Uint8Array, from = 0): number {
    const count = Math.min(this.readable, target.length - from);
    if (count === 0) return 0;
    const tail = Atomics.load(this.#slots, TAIL);
    const at = (tail >>> 0) & (this.capacity - 1);
    const first = Math.min(count, this.capacity - at);
    target.set(this.#data.subarray(at, at + first), from);
    if (first < count) {
      target.set(this.#data.subarray(0, count - first), from + first);
    }
    Atomics.store(this.#slots, TAIL, tail + count);
    Atomics.notify(this.#slots, TAIL);
    return count;
  }

  /** Resolves when there may be something to read, or when the state has changed. */
  async waitReadable(): Promise<void> {
    const head = Atomics.load(this.#slots, HEAD);
    if (head !== Atomics.load(this.#slots, TAIL)) return;
    await Atomics.waitAsync(this.#slots, HEAD, head).value;
  }

  /** Resolves when there may be room to write, or when the state has changed. */
  async waitWritable(): Promise<void> {
    const tail = Atomics.load(this.#slots, TAIL);
    if (((Atomics.load(this.#slots, HEAD) - tail) >>> 0) < this.capacity) {
      return;
    }
    await Atomics.waitAsync(this.#slots, TAIL, tail).value;
  }

  /** Resolves when the state may be another one. */
  async waitState(state: RingState): Promise<void> {
    await Atomics.waitAsync(this.#slots, STATE, this.#tag + state).value;
  }

  /** What became of the connection. */
  get state(): RingState {
    const state = Atomics.load(this.#slots, STATE) - this.#tag;
    return state >= 0 && state < 8 ? state as RingState : RingState.Left;
  }

  /**
   * Changes the state and wakes both sides, unless it is another one by now.
   *
   * @param from The states that are expected.
   * @param to The new state.
   * @returns Whether the state was changed.
   */
  transition(from: readonly RingState[], to: RingState): boolean {
    const changed = from.some((state) =>
      Atomics.compareExchange(
        this.#slots,
        STATE,
        this.#tag + state,
        this.#tag + to,
      ) ===
        this.#tag + state
    );
    if (changed) this.wake();
    return changed;
  }

  /** Wakes both sides, so that they look at the ring and its state again. */
  wake(): void {
    for (const slot of [HEAD, TAIL, STATE]) Atomics.notify(this.#slots, slot);
  }

  /** Counts one's own pulse up: a sign of life. */
  beat(side: Side): void {
    Atomics.add(
      this.#slots,
      side === "writer" ? WRITER_PULSE : READER_PULSE,
      1,
    );
  }

  /**
   * A number that changes whenever a side has given a sign of life: its pulse,
   * and how far it has written or read.
   */
  pulse(side: Side): number {
    const [pulse, position] = side === "writer"
      ? [WRITER_PULSE, HEAD]
      : [READER_PULSE, TAIL];
    return Atomics.load(this.#slots, pulse) +
      Atomics.load(this.#slots, position) * 2 ** 20;
  }

  /** Empties the ring and offers it again; nobody else may hold it any more. */
  reset(): void {
    this.#slots.fill(0);
    Atomics.store(this.#slots, STATE, this.#tag);
  }
}
