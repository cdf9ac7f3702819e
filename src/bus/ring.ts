import { backoff, sleep } from "../waiting.ts";

/** Size of the header in bytes; the data begins behind it. */
const HEADER = 192;

// Slots of the header, as indices into an Int32Array. What the writer changes
// and what the reader changes sit on different cache lines, so that the two do
// not slow each other down.
const HEAD = 0;
const READER_BELL = 1;
const PING = 2;
const TAIL = 16;
const WRITER_BELL = 17;
const PULSE = 18;
const STATE = 32;

/** The pauses between offers, any of which may be lost, in seconds: they grow. */
const OFFERS = { first: 0.02, longest: 1 };

/** The states of the connection that a ring carries. */
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
type Side = "writer" | "reader";

/**
 * A stream of bytes from one thread to another through shared memory: one
 * writer, one reader, no locks.
 *
 * ```text
 * byte    0        HEAD          bytes written since the beginning, modulo 2³²
 *         4        bell          rung for the reader: something has changed
 *         8        ping          counted up by the writer to ask for a sign of life
 *        64        TAIL          bytes read since the beginning, modulo 2³²
 *        68        bell          rung for the writer: something has changed
 *        72        pulse         counted up by the reader, a sign of life
 *       128        STATE         number of the use × 8 + RingState
 *       192        data          `capacity` bytes, a power of two
 *
 *              TAIL mod capacity     HEAD mod capacity
 *                     v                     v
 *       +-------------+---------------------+---------------+
 *       |    free     |  written, not read  |     free      |
 *       +-------------+---------------------+---------------+
 * ```
 *
 * Only the writer stores HEAD, only the reader stores TAIL, and each after it
 * has moved the bytes: what one sees announced is there. `HEAD - TAIL` is the
 * fill, from 0 to `capacity`. Who has nothing to do looks at its bell, then at
 * everything else, and sleeps until the bell has rung since: nothing that
 * happens in between is missed.
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
   * @param use The number of this use of the memory, below 2^28: who still holds
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
        `Cannot make a ring of ${capacity} bytes: expected a power of two up to 2^30`,
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

  /** Offers it again and again, until the reader has taken it or it is given up. */
  async offer(send: () => void, givenUp: AbortSignal): Promise<void> {
    for (let attempt = 0; this.state === RingState.Offered; attempt++) {
      send();
      await sleep(backoff(attempt, OFFERS), { signal: givenUp, daemon: true });
    }
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
   * @param from Where in the source to begin.
   * @param isLast Whether the reader is told; it is in any case when the ring is full.
   * @returns The number of bytes written, 0 when the ring is full.
   */
  write(source: Uint8Array, from = 0, isLast = true): number {
    const wanted = source.length - from;
    const count = Math.min(this.writable, wanted);
    if (count > 0) this.#copy(source, from, count);
    if (isLast || count < wanted) this.#ring(READER_BELL);
    return count;
  }

  #copy(source: Uint8Array, from: number, count: number): void {
    const head = Atomics.load(this.#slots, HEAD);
    const at = (head >>> 0) & (this.capacity - 1);
    const first = Math.min(count, this.capacity - at);
    this.#data.set(source.subarray(from, from + first), at);
    if (first < count) {
      this.#data.set(source.subarray(from + first, from + count), 0);
    }
    Atomics.store(this.#slots, HEAD, head + count);
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
    this.#ring(WRITER_BELL);
    return count;
  }

  /**
   * Counts how often a side's bell has rung: to be looked at before anything
   * else is.
   */
  bell(side: Side): number {
    return Atomics.load(
      this.#slots,
      side === "reader" ? READER_BELL : WRITER_BELL,
    );
  }

  /**
   * Resolves when a side's bell has rung.
   *
   * @param since What {@linkcode Ring.bell} was when everything was last looked at.
   */
  async rung(side: Side, since: number): Promise<void> {
    const bell = side === "reader" ? READER_BELL : WRITER_BELL;
    await Atomics.waitAsync(this.#slots, bell, since).value;
  }

  /** Wakes both sides, so that they look at the ring and its state again. */
  wake(): void {
    this.#ring(READER_BELL);
    this.#ring(WRITER_BELL);
  }

  /** The state of the connection. */
  get state(): RingState {
    const state = Atomics.load(this.#slots, STATE) - this.#tag;
    return state >= 0 && state < 8 ? state as RingState : RingState.Left;
  }

  /**
   * Changes the state and wakes both sides, unless it is another one by now.
   *
   * @param from The states that are expected.
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
    if (changed) {
      this.wake();
      this.ping();
    }
    return changed;
  }

  /** Asks the reader for a sign of life. */
  ping(): void {
    this.#ring(PING);
  }

  /** Answers every ping with a sign of life, for as long as the reader has the ring. */
  async answerPings(): Promise<void> {
    for (;;) {
      const ping = Atomics.load(this.#slots, PING);
      if (this.state !== RingState.Attached) return;
      this.beat();
      await Atomics.waitAsync(this.#slots, PING, ping).value;
    }
  }

  /** Gives a sign of life of the reader. */
  beat(): void {
    Atomics.add(this.#slots, PULSE, 1);
  }

  /**
   * A number that changes whenever the reader has given a sign of life: its
   * pulse, and how far it has read.
   */
  get pulse(): number {
    return Atomics.load(this.#slots, PULSE) +
      Atomics.load(this.#slots, TAIL) * 2 ** 20;
  }

  /** Empties the ring and offers it again; nobody else may hold it any more. */
  reset(): void {
    this.#slots.fill(0);
    Atomics.store(this.#slots, STATE, this.#tag);
  }

  #ring(bell: number): void {
    Atomics.add(this.#slots, bell, 1);
    Atomics.notify(this.#slots, bell);
  }
}

/** Tells whether memory that came from elsewhere can be a ring. */
export function isRingMemory(memory: unknown): memory is SharedArrayBuffer {
  if (!(memory instanceof SharedArrayBuffer)) return false;
  const capacity = memory.byteLength - HEADER;
  return capacity >= 1 && (capacity & (capacity - 1)) === 0;
}

/** Memory for records that is kept: what is larger has its own, since fresh memory is slow. */
const SCRATCH = 2 ** 21;

/**
 * Reads records from a ring: each begins with its whole length in bytes, a u32,
 * and may be larger than the ring.
 */
export class RecordReader {
  readonly #ring: Ring;
  readonly #length = new Uint32Array(1);
  #scratch = new Uint8Array(2 ** 12);
  #record: Uint8Array;
  #read = 0;

  /** @param ring Where the records come from. */
  constructor(ring: Ring) {
    this.#ring = ring;
    this.#record = new Uint8Array(this.#length.buffer);
  }

  /**
   * @returns The next record, until the one after it is asked for; `undefined`
   * while it is not there as a whole.
   * @throws {RangeError} When what is there is no record.
   */
  next(): Uint8Array | undefined {
    this.#read += this.#ring.read(this.#record, this.#read);
    if (this.#read < this.#record.length) return undefined;
    if (this.#record.buffer === this.#length.buffer) {
      const length = this.#length[0]!;
      if (length < 4) throw new RangeError(`A record of ${length} bytes`);
      this.#record = this.#room(length);
      this.#record.set(new Uint8Array(this.#length.buffer));
      return this.next();
    }
    const record = this.#record;
    this.#record = new Uint8Array(this.#length.buffer);
    this.#read = 0;
    return record;
  }

  #room(length: number): Uint8Array {
    if (length > SCRATCH) return new Uint8Array(length);
    while (this.#scratch.length < length) {
      this.#scratch = new Uint8Array(2 * this.#scratch.length);
    }
    return this.#scratch.subarray(0, length);
  }
}
