import type { Logger } from "../logger.ts";

/** The part of the limit from which on it is warned of. */
const NEAR = 0.8;
/** The part under which a warning is over: who works near the limit is warned once. */
const CALM = 0.5;

/** Counts the bytes of all the batches that are in hand, of all queues together. */
export class MemoryBudget {
  /** The number of bytes that may be taken more; none when it is 0 or less. */
  room: number;
  readonly #most: number;
  readonly #logger: Logger;
  readonly #onRoom: () => void;
  #inHand = 0;
  #isNear = false;

  /**
   * @param most The number of bytes that may be in hand (`maxMemory`).
   * @param onRoom Called when there is room again where there was none.
   */
  constructor(most: number, logger: Logger, onRoom: () => void) {
    this.room = this.#most = most;
    this.#logger = logger;
    this.#onRoom = onRoom;
  }

  /** Counts so many bytes more, or fewer if negative; warns when little is left. */
  add(bytes: number): void {
    const wasFull = this.room <= 0;
    this.#inHand += bytes;
    this.room = this.#most - this.#inHand;
    const part = this.#isNear ? CALM : NEAR;
    const isNear = this.#inHand >= part * this.#most;
    if (isNear && !this.#isNear) {
      this.#logger.warn(
        `Subscribers have ${this.#inHand} bytes in hand, more than ${
          NEAR * 100
        } % of what they may (maxMemory: ${this.#most}). When it is all, no more are taken until some are handled.`,
      );
    }
    this.#isNear = isNear;
    if (wasFull && this.room > 0) this.#onRoom();
  }
}
