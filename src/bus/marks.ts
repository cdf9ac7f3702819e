/** Marks that are kept: several times what can be on its way over a BroadcastChannel. */
const KEPT = 1024;

/**
 * Tells the frames that a bus has posted on a plain channel from everybody
 * else's, which look the same. The bus marks each message, by a hash of its
 * kind and id, in memory that it shares with the other buses, before it posts
 * the frame; frames arrive in the order of the marks, some may be missing.
 *
 * ```text
 * byte 0   u32   messages marked since the beginning, modulo 2³²
 *      8   f64   hash of message 0, 1024, 2048, …
 *     16   f64   hash of message 1, 1025, 2049, …
 *      …
 * ```
 */
export class Marks {
  /** The memory, to be handed to the other buses. */
  readonly buffer: SharedArrayBuffer;
  readonly #count: Int32Array;
  readonly #hashes: Float64Array;
  #seen: number;

  /** @param buffer The memory of another bus; none to make one's own. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8 + 8 * KEPT)) {
    this.buffer = buffer;
    this.#count = new Int32Array(buffer, 0, 1);
    this.#hashes = new Float64Array(buffer, 8);
    this.#seen = Math.max(0, Atomics.load(this.#count, 0) - KEPT);
  }

  /** Marks a message that is about to be posted. */
  add(message: unknown): void {
    const count = Atomics.load(this.#count, 0);
    this.#hashes[(count >>> 0) % KEPT] = hash(message);
    Atomics.store(this.#count, 0, count + 1);
  }

  /**
   * Whether a frame is a marked one that has not been seen yet.
   *
   * @param message What the frame carries.
   */
  take(message: unknown): boolean {
    const count = Atomics.load(this.#count, 0);
    const open = Math.min((count - this.#seen) >>> 0, KEPT);
    if (open === 0) return false;
    const wanted = hash(message);
    for (let i = count - open; i !== count; i++) {
      if (this.#hashes[(i >>> 0) % KEPT] !== wanted) continue;
      this.#seen = i + 1;
      return true;
    }
    return false;
  }
}

/** A hash of 53 bits of a message's kind and id. */
function hash(message: unknown): number {
  if (typeof message !== "object" || message === null) return NaN;
  const { type, id } = message as Record<string, unknown>;
  const text = `${type} ${id}`;
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high + code, 0x85ebca6b) ^ (high >>> 13);
  }
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
