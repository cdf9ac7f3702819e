const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Room for one frame at a time, in memory that two threads share: the least that
 * loses nothing while both threads live, and does not grow. Nothing tells what
 * became of a frame. It is JSON.
 *
 * ```text
 * word 0    bytes of the frame; 0 once it was read
 * byte 8    the frame
 * ```
 */
export class Mailbox {
  /** The memory, to be handed to the other thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  /** @param buffer The memory of one that is there; none makes a new one. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(2 ** 20)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer, 8);
  }

  /** Resolves when what was written before was read. */
  async isRead(): Promise<void> {
    for (let length; (length = Atomics.load(this.#words, 0)) !== 0;) {
      await Atomics.waitAsync(this.#words, 0, length).value;
    }
  }

  /** Writes a frame, when there is room. */
  async write(value: unknown): Promise<void> {
    const bytes = encoder.encode(JSON.stringify(value));
    await this.isRead();
    this.#bytes.set(bytes);
    this.#set(bytes.length);
  }

  /** Reads the next frame, when it is there. */
  async read(): Promise<unknown> {
    while (Atomics.load(this.#words, 0) === 0) {
      await Atomics.waitAsync(this.#words, 0, 0).value;
    }
    const bytes = this.#bytes.slice(0, this.#words[0]);
    this.#set(0);
    return JSON.parse(decoder.decode(bytes));
  }

  #set(length: number): void {
    Atomics.store(this.#words, 0, length);
    Atomics.notify(this.#words, 0);
  }
}
