import { Proxy } from "./proxy.ts";

const TICK = 0.02;

/**
 * A TCP proxy on loopback that forwards no faster than a slow link, for all
 * connections together.
 */
export class ThrottledProxy extends Proxy {
  readonly #down: Direction;
  readonly #up: Direction;

  /**
   * @param down How many bytes a second it carries from the server.
   * @param up How many it carries to the server.
   */
  constructor(target: number, down: number, up = Infinity) {
    super(target);
    this.#down = new Direction(down);
    this.#up = new Direction(up);
  }

  protected override async carry(
    bytes: Uint8Array,
    isToServer: boolean,
  ): Promise<Uint8Array> {
    await (isToServer ? this.#up : this.#down).carry(bytes.length);
    return bytes;
  }

  protected override chunk(isToServer: boolean): number {
    return (isToServer ? this.#up : this.#down).chunk;
  }
}

/** One direction of the link. */
class Direction {
  readonly #bytesPerSecond: number;
  /** When it has carried everything so far. */
  #free = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** How much to carry at once. */
  get chunk(): number {
    return Math.min(
      65536,
      Math.max(256, Math.ceil(this.#bytesPerSecond * TICK)),
    );
  }

  /** Waits until it has carried so many bytes more. */
  async carry(count: number): Promise<void> {
    const now = performance.now();
    this.#free = Math.max(now, this.#free) +
      count / this.#bytesPerSecond * 1000;
    const wait = this.#free - now;
    if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
