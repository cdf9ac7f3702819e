import type { Bus } from "../bus/mod.ts";
import type { Logger } from "../logger.ts";
import { sleep } from "../waiting.ts";

/** Says how a {@linkcode Demand} is watched. */
interface DemandOptions {
  /** The time to wait for the first subscriber, in seconds. */
  readonly grace: number;
  /**
   * Gives what the application waits for before it subscribes, perhaps, if
   * anything.
   */
  readonly settingUp: () => Promise<unknown> | undefined;
  /** Ends every wait. */
  readonly signal: AbortSignal;
  /** True if the process may end while nobody is there. */
  readonly daemon: boolean;
  /** Called when nobody is there any more, and when somebody is there again. */
  readonly onChange: (isPresent: boolean) => void;
  /** The logger to report to. */
  readonly logger: Logger;
}

/**
 * Tells whether somebody is there to consume for.
 *
 * | the bus has | is somebody there? |
 * |---|---|
 * | a subscriber | yes |
 * | none yet, within the grace time | no |
 * | none yet, after the grace time | yes: plain listeners, which cannot be seen |
 * | none any more | no |
 */
export class Demand implements Disposable {
  readonly #bus: Bus;
  readonly #options: DemandOptions;
  readonly #ended = new AbortController();
  #isGraceOver = false;
  #hadSubscribers = false;
  #isPresent = false;

  /** Begins to watch at once, and to count the grace time. */
  constructor(bus: Bus, options: DemandOptions) {
    this.#bus = bus;
    this.#options = options;
    bus.addEventListener("subscribers", this.#update);
    this.#update();
    if (options.grace !== Infinity) this.#endGrace();
  }

  /** True while there is somebody, so that messages are taken. */
  get isPresent(): boolean {
    return this.#isPresent;
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    this.#bus.removeEventListener("subscribers", this.#update);
    this.#ended.abort();
  }

  /** Lets the grace time pass, once more after what has begun meanwhile. */
  async #endGrace(): Promise<void> {
    const { grace, settingUp, signal, daemon } = this.#options;
    const end = AbortSignal.any([signal, this.#ended.signal]);
    let seen;
    do {
      seen = settingUp();
      await seen;
      if (await sleep(grace, { signal: end, daemon })) return;
    } while (settingUp() !== seen);
    this.#isGraceOver = true;
    this.#update();
  }

  readonly #update = (): void => {
    if (this.#options.signal.aborted) return;
    const hasSubscribers = this.#bus.subscribers > 0;
    const isLeft = this.#hadSubscribers && !hasSubscribers;
    this.#hadSubscribers ||= hasSubscribers;
    const isPresent = hasSubscribers ||
      (this.#isGraceOver && !this.#hadSubscribers);
    if (isPresent === this.#isPresent) return;
    this.#isPresent = isPresent;
    const { logger, onChange } = this.#options;
    if (isLeft) {
      logger.info("The last subscriber has left the bus: consuming pauses.");
    } else if (hasSubscribers) {
      logger.info("The bus has a subscriber: consuming.");
    } else {
      logger.warn(
        "The bus has no subscriber yet: consuming for plain listeners, and what arrives is gone where there are none; with `subscriberGrace: Infinity` it waits.",
      );
    }
    onChange(isPresent);
  };
}
