import { isLoss } from "./find_server.ts";
import type { Logger } from "../logger.ts";
import type { Connection } from "./connection.ts";
import { parsePause } from "./queue_pause.ts";
import { type QueueKeys, queueKeys } from "./queue_keys.ts";
import { RedisError } from "./redis_error.ts";
import { isText } from "./reply_shape.ts";

/** The time between two looks at a paused queue where the server does not tell, in milliseconds. */
const LOOK_INTERVAL = 5_000;

/** Says which queue a {@link QueueWatch} watches. */
export interface QueueWatchOptions {
  /** The queue. */
  readonly queue: string;
  /** For commands that do not block. */
  readonly control: Connection;
  /** The logger to report to. */
  readonly logger: Logger;
}

/**
 * Follows what was asked of a queue for all its consumers: whether it is paused.
 *
 * It costs nothing while nothing changes: the server tells of a key that was read
 * here when somebody changes it (`CLIENT TRACKING`). Where it does not, consumers
 * find the pause with the next message, and look every few seconds whether it is
 * over.
 */
export class QueueWatch {
  /** Keys whose changes are to be told by {@link QueueWatch.lookSoon}. */
  readonly keys: readonly string[];
  /** True while nothing is to be taken from the queue. */
  isPaused = false;
  readonly #options: QueueWatchOptions;
  readonly #names: QueueKeys;
  readonly #onChange: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void> | undefined;
  #isDoubtful = false;
  #isEnding = false;

  /** @param onChange Called when the queue was paused or resumed. */
  constructor(options: QueueWatchOptions, onChange: () => void) {
    this.#options = options;
    this.#names = queueKeys(options.queue, "");
    this.#onChange = onChange;
    this.keys = [this.#names.paused];
  }

  /** Takes the queue for paused, and looks whether it is. */
  suspect(): void {
    this.isPaused = true;
    this.#onChange();
    this.lookSoon();
  }

  /** Looks in the background; what fails is done again after a reconnect. */
  lookSoon(): void {
    if (this.#isEnding) return;
    this.#isDoubtful = true;
    this.#looking ??= this.#lookAll().catch((error: RedisError) => {
      if (!isLoss(error)) this.#options.logger.warn(`${error.message}.`);
    }).finally(() => this.#looking = undefined);
  }

  /**
   * Looks whether the queue is paused.
   *
   * @throws {RedisError} The server cannot be reached, or refuses.
   */
  async look(): Promise<void> {
    const { queue, control, logger } = this.#options;
    const text = await control.command<string | null>(
      ["GET", this.#names.paused],
      { isReply: (reply) => reply === null || isText(reply) },
    ).catch((error) => {
      // Who may not read it takes no part in pauses.
      if (error instanceof RedisError && error.code === "permission") {
        return null;
      }
      throw error;
    });
    const pause = parsePause(text);
    clearTimeout(this.#timer);
    if (pause !== undefined && !control.isTracking && !this.#isEnding) {
      this.#timer = setTimeout(() => this.lookSoon(), LOOK_INTERVAL);
      Deno.unrefTimer(this.#timer);
    }
    const isPaused = pause !== undefined;
    if (isPaused !== this.#wasPaused) {
      this.#wasPaused = isPaused;
      if (pause === undefined) logger.info(`"${queue}" goes on.`);
      else {
        logger.warn(
          `"${queue}" was paused by ${pause.by}: nothing more is taken from it until it is resumed.`,
        );
      }
    }
    this.isPaused = isPaused;
    this.#onChange();
  }

  /** Looks no more; resolves when the last look is over. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #wasPaused = false;

  async #lookAll(): Promise<void> {
    while (this.#isDoubtful && !this.#isEnding) {
      this.#isDoubtful = false;
      await this.look();
    }
  }
}
