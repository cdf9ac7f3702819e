import type { Ring, Side } from "./ring.ts";

/** Notices when one side of a ring gives no sign of life for too long. */
export class StallWatch {
  readonly #ring: Ring;
  readonly #side: Side;
  #pulse: number;
  #still = 0;

  /**
   * @param ring The ring.
   * @param side The side to watch.
   */
  constructor(ring: Ring, side: Side) {
    this.#ring = ring;
    this.#side = side;
    this.#pulse = ring.pulse(side);
  }

  /**
   * Looks whether there was a sign of life.
   *
   * @param elapsed Seconds since the last look in which the other side could
   * have moved: less than the time that passed, when this side was asleep too.
   * @returns Seconds without any.
   */
  look(elapsed: number): number {
    const pulse = this.#ring.pulse(this.#side);
    this.#still = pulse === this.#pulse ? this.#still + elapsed : 0;
    this.#pulse = pulse;
    return this.#still;
  }
}
