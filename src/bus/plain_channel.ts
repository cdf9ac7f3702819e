import { BroadcastChannel } from "node:worker_threads";
import type { Logger } from "../logger.ts";
import type { Message } from "../message/mod.ts";
import { Marks } from "./marks.ts";
import { postTo } from "./post_to.ts";

/** Frames a second that a listener is taken to keep up with. */
const RATE = 20_000;

/**
 * Frames a second while there are more than that. Listeners miss some in any
 * case then, and every frame is time that the bus lacks.
 */
const FLOOD_RATE = 1000;

/**
 * Frames that may go out at once: a quarter of the 256 that Deno keeps for the
 * whole process before it drops the oldest.
 */
const BURST = 64;

/** In a flood, one message of so many looks at the clock, which is slow. */
const PATIENCE = 16;

/**
 * The channel for listeners that know nothing of the bus: messages go out on a
 * BroadcastChannel as plain objects, and what the listeners post comes in.
 */
export class PlainChannel {
  /** How many messages went out. */
  sent = 0;
  /** How many did not, because there were too many at once. */
  skipped = 0;
  /** Marks the frames that went out. */
  readonly marks: Marks = new Marks();
  readonly #others = new Map<string, Marks>();
  readonly #name: string;
  readonly #logger: Logger;
  readonly #channel: BroadcastChannel;
  #allowance = BURST;
  #filled = performance.now();
  #rate = RATE;
  #looks = 0;

  /**
   * @param name The channel's name.
   * @param daemon Whether the process may end all the same.
   * @param logger Where to report.
   * @param onMessage Called with what others than buses have posted.
   */
  constructor(
    name: string,
    daemon: boolean,
    logger: Logger,
    onMessage: (data: unknown) => void,
  ) {
    this.#name = name;
    this.#logger = logger;
    this.#channel = new BroadcastChannel(name);
    if (daemon) this.#channel.unref();
    this.#channel.onmessage = (event) => {
      const { data } = event as MessageEvent<unknown>;
      if (!this.#others.values().some((marks) => marks.take(data))) {
        onMessage(data);
      }
    };
  }

  /** Takes notice of the marks of another bus. */
  recognise(id: string, marks: SharedArrayBuffer): void {
    if (!this.#others.has(id)) this.#others.set(id, new Marks(marks));
  }

  /** Forgets the marks of another bus. */
  forget(id: string): void {
    this.#others.delete(id);
  }

  /** Takes the place of a frame that may go out now. Where there is none, a flood has begun. */
  admit(): boolean {
    if (this.#allowance < 1) {
      const inFlood = this.#rate === FLOOD_RATE;
      if (!inFlood || ++this.#looks % PATIENCE === 0) this.refill();
    }
    if (this.#allowance >= 1) {
      this.#allowance--;
      return true;
    }
    this.#rate = FLOOD_RATE;
    if (this.skipped++ === 0) {
      this.#logger.debug(
        `More messages than plain listeners are taken to keep up with: those on the BroadcastChannel ` +
          `"${this.#name}", if there are any, miss some from now on; subscribe with a Bus to get all`,
      );
    }
    return false;
  }

  /** Resolves when a frame may go out. */
  async pace(): Promise<void> {
    while (this.#allowance < 1) {
      this.refill();
      if (this.#allowance >= 1) return;
      // Timers are too coarse for single frames.
      const missing = BURST - this.#allowance;
      await new Promise((resolve) =>
        setTimeout(resolve, missing / this.#rate * 1000)
      );
    }
  }

  /** Adds what has become free since the last look at the clock. */
  refill(): void {
    const now = performance.now();
    this.#allowance = Math.min(
      BURST,
      this.#allowance + (now - this.#filled) / 1000 * this.#rate,
    );
    this.#filled = now;
    if (this.#allowance === BURST) this.#rate = RATE;
  }

  /** Posts a message. */
  post(message: Message): void {
    const wire = message.toJSON();
    this.marks.add(wire);
    postTo(this.#channel, wire);
    this.sent++;
  }

  /** Closes the channel. */
  close(): void {
    this.#channel.close();
  }
}
