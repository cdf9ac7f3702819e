import type { Ring } from "./ring.ts";

/**
 * Reads records from a ring: each begins with its whole length in bytes, a u32,
 * and may be larger than the ring.
 */
export class RecordReader {
  readonly #ring: Ring;
  readonly #length = new Uint32Array(1);
  #record: Uint8Array;
  #read = 0;

  /** @param ring Where the records come from. */
  constructor(ring: Ring) {
    this.#ring = ring;
    this.#record = new Uint8Array(this.#length.buffer);
  }

  /** @returns The next record, or `undefined` while it is not there as a whole. */
  next(): Uint8Array | undefined {
    this.#read += this.#ring.read(this.#record, this.#read);
    if (this.#read < this.#record.length) return undefined;
    if (this.#record.buffer === this.#length.buffer) {
      this.#record = new Uint8Array(this.#length[0]!);
      this.#record.set(new Uint8Array(this.#length.buffer));
      return this.next();
    }
    const record = this.#record;
    this.#record = new Uint8Array(this.#length.buffer);
    this.#read = 0;
    return record;
  }
}
