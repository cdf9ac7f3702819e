import type { Batch } from "./batch.ts";
import type { ReaderOptions } from "./queue_reader.ts";
import type { ReaderLoop } from "./reader_loop.ts";
import type { Outcome } from "./settle_batch.ts";

/** The messages of a queue that are handed out and not settled. */
export class InFlight {
  #options: ReaderOptions;
  #loop: ReaderLoop;
  #count = 0;

  /**
   * @param options See {@link ReaderOptions}.
   * @param loop Notified when there are fewer.
   */
  constructor(options: ReaderOptions, loop: ReaderLoop) {
    this.#options = options;
    this.#loop = loop;
  }

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /**
   * Hands a batch out.
   *
   * @param payloads Its messages.
   * @param deliveries How often each of them was delivered before.
   * @param settle Called once, with what became of it.
   * @returns Whether anybody wanted it.
   */
  async offer(
    payloads: readonly Uint8Array[],
    deliveries: readonly number[],
    settle: (outcome: Outcome) => Promise<void>,
  ): Promise<boolean> {
    const { stats, handoff, queue } = this.#options;
    const { length } = payloads;
    let isSettled = false;
    const batch: Batch = {
      queue,
      payloads,
      deliveries,
      settle: async (failures = [], returned = []) => {
        if (isSettled) return;
        isSettled = true;
        await settle({ failures, returned });
        this.#count -= length;
        stats.inFlight -= length;
        this.#loop.notify();
      },
    };
    this.#count += length;
    if (!await handoff.offer(batch)) {
      this.#count -= length;
      return false;
    }
    stats.received += length;
    stats.inFlight += length;
    return true;
  }
}
