import { backoff, sleep } from "../waiting.ts";
import type { ReaderOptions } from "./queue_reader.ts";
import { RedisError } from "./redis_error.ts";

/** What a {@link ReaderLoop} does each time. */
export interface ReaderLoopSteps {
  /** Does one round; may reject. */
  round: () => Promise<void>;
  /** Gives back what rounds to come would have used; called when the gate is shut. */
  drain: () => Promise<void>;
}

/**
 * Runs rounds one after the other, with a gate that can be shut between them,
 * and with growing pauses while they fail.
 */
export class ReaderLoop {
  #options: ReaderOptions;
  #steps: ReaderLoopSteps;
  #abort = new AbortController();
  #isOpen = true;
  #isIdle = true;
  #changed: (() => void)[] = [];
  #running: Promise<void> | undefined;

  /**
   * @param options See {@link ReaderOptions}.
   * @param steps What to do.
   */
  constructor(options: ReaderOptions, steps: ReaderLoopSteps) {
    this.#options = options;
    this.#steps = steps;
  }

  /** Aborted when the loop ends. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether rounds are wanted at the moment. */
  get isOpen(): boolean {
    return this.#isOpen && !this.signal.aborted;
  }

  /** Begins. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Lets no further round begin; resolves when the current one is over. */
  async shut(): Promise<void> {
    this.#isOpen = false;
    this.notify();
    while (!this.#isIdle && !this.#isOpen) await this.change();
  }

  /** Lets rounds begin again. */
  open(): void {
    this.#isOpen = true;
    this.notify();
  }

  /** Ends; resolves when the last round is over. */
  async end(): Promise<void> {
    this.#abort.abort();
    this.notify();
    await this.#unblock();
    await this.#running;
  }

  /** Wakes up everything that waits for a {@link change}. */
  notify(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }

  /** Resolves at the next {@link notify}. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  /** Resolves once something is so, at a {@link notify}, but not later than `timeout` seconds. */
  async until(isSo: () => boolean, timeout: number): Promise<void> {
    const abort = new AbortController();
    const late = sleep(timeout, { signal: abort.signal }).then(() => {
      abort.abort();
      this.notify();
    });
    while (!isSo() && !abort.signal.aborted) await this.change();
    abort.abort();
    await late;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.signal.aborted) {
      if (!this.#isOpen) {
        await this.#rest();
        if (!this.#isOpen && !this.signal.aborted) await this.change();
        continue;
      }
      this.#isIdle = false;
      try {
        await this.#steps.round();
        failures = 0;
      } catch (error) {
        this.#isIdle = true;
        this.notify();
        await this.#recover(error, failures++);
      }
    }
    await this.#rest();
  }

  async #rest(): Promise<void> {
    try {
      await this.#steps.drain();
    } catch (error) {
      this.#options.logger.warn(`${(error as Error).message}.`);
    }
    this.#isIdle = true;
    this.notify();
  }

  async #recover(error: unknown, failures: number): Promise<void> {
    const { signal } = this;
    const { blocking, logger } = this.#options;
    if (signal.aborted) return;
    const isLost = error instanceof RedisError && error.code === "connection";
    // The connection has already reported its own loss.
    if (!isLost && failures === 0) {
      logger.error(
        `${(error as Error).message}. Trying again until it works.`,
      );
    }
    if (isLost) await blocking.ready(signal).catch(() => {});
    await sleep(failures === 0 && isLost ? 0 : backoff(failures), {
      signal,
    });
  }

  /** Ends a command that blocks; where that is not permitted it ends by itself soon. */
  async #unblock(): Promise<void> {
    const { blocking, control } = this.#options;
    const { id } = blocking;
    if (id === undefined || !control.isConnected) return;
    await control.command(["CLIENT", "UNBLOCK", String(id)]).catch(() => {});
  }
}
