import { explainWrongType } from "./queue_keys.ts";
import { Life } from "./life.ts";
import type { ReaderOptions } from "./queue_reader.ts";
import { RedisError } from "./redis_error.ts";
import { beat } from "./scripts/beat.ts";
import { join } from "./scripts/join.ts";
import { promote } from "./scripts/promote.ts";
import { reclaim } from "./scripts/reclaim.ts";

/** The largest number of messages whose pause is over that go back at once. */
const PROMOTED = 512;
/** The heartbeat looks for messages whose pause is over as well. */
const LONGEST_DELAY = 60_000;
/** How often a consumer shows that it is alive before others take it for dead. */
const BEATS = 3;

/**
 * Everything that a consumer does from time to time: it shows that it is alive,
 * looks for batches whose way to it was interrupted, puts back what dead
 * consumers had in hand, and what has paused for long enough.
 */
export class Upkeep {
  #options: ReaderOptions;
  #onStray: (life: Life, number: number) => void;
  #life: Life;
  #heart: ReturnType<typeof setInterval> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryAt = Infinity;
  #isEnding = false;
  #work = new Set<Promise<void>>();

  /**
   * @param options See {@link ReaderOptions}.
   * @param onStray Called for a batch of this life that nobody here knows.
   */
  constructor(
    options: ReaderOptions,
    onStray: (life: Life, number: number) => void,
  ) {
    this.#options = options;
    this.#onStray = onStray;
    this.#life = new Life(options.queue, options.consumer);
  }

  /** The current life. */
  get life(): Life {
    return this.#life;
  }

  /**
   * Joins the consumers of the queue, and begins.
   *
   * @throws {RedisError} The queue is no list, or the server refuses.
   */
  async start(): Promise<void> {
    await this.#join();
    await this.#round();
    this.#heart = setInterval(
      () => this.run(),
      this.#options.heartbeatTimeout * 1000 / BEATS,
    );
    Deno.unrefTimer(this.#heart);
  }

  /** Does everything once, in the background. */
  run(): void {
    if (this.#heart === undefined || this.#isEnding) return;
    this.#background(this.#round());
  }

  /** Looks in so many milliseconds for messages whose pause is over. */
  promoteIn(milliseconds: number): void {
    const delay = Math.min(milliseconds + 1, LONGEST_DELAY);
    const at = performance.now() + delay;
    if (this.#isEnding || at >= this.#retryAt) return;
    clearTimeout(this.#retry);
    this.#retryAt = at;
    this.#retry = setTimeout(() => {
      this.#retryAt = Infinity;
      this.#background(this.#promote());
    }, delay);
    Deno.unrefTimer(this.#retry);
  }

  /** Starts a new life after another consumer took this one for dead. */
  async rejoin(life: Life): Promise<void> {
    if (this.#life !== life || this.#isEnding) return;
    const { queue, consumer, logger } = this.#options;
    this.#life = new Life(queue, consumer);
    logger.warn(
      `Another consumer of "${queue}" took ${life.name} for dead and put its messages back; going on as ${this.#life.name}.`,
    );
    await this.#join();
    this.run();
  }

  /** Ends: whatever is still in hand goes back to the queue. Never rejects. */
  async end(): Promise<void> {
    this.#isEnding = true;
    clearInterval(this.#heart);
    clearTimeout(this.#retry);
    await Promise.all(this.#work);
    const { control, logger, queue, heartbeatTimeout } = this.#options;
    const { keys, name } = this.#life;
    try {
      await control.command(["DEL", keys.heartbeat]);
      await this.#reclaim(name);
    } catch (error) {
      const { message } = error as Error;
      logger.warn(
        `${message}. What was in hand goes back to "${queue}" after ${heartbeatTimeout} s.`,
      );
    }
  }

  async #round(): Promise<void> {
    const { control, logger, stats, queue } = this.#options;
    const life = this.#life;
    const { keys, name } = life;
    const numbers = await control.script<string[]>(
      beat,
      [keys.consumers, keys.heartbeat, keys.processing],
      [name, this.#lifetime],
    ).catch(async (error) => {
      if (!(error instanceof RedisError) || error.code !== "taken") throw error;
      await this.rejoin(life);
      return [];
    });
    for (const number of numbers.map(Number)) {
      if (!life.known.has(number)) this.#onStray(life, number);
    }
    const [count, owners] = await this.#reclaim("");
    if (count > 0) {
      stats.reclaimed += count;
      logger.info(
        `Put ${count} messages back to "${queue}" that ${
          owners.join(", ")
        } had in hand.`,
      );
    }
    await this.#promote();
  }

  async #join(): Promise<void> {
    const { keys, name } = this.#life;
    const { control, queue } = this.#options;
    try {
      await control.script(
        join,
        [keys.queue, keys.consumers, keys.heartbeat],
        [name, this.#lifetime],
      );
    } catch (error) {
      throw explainWrongType(error, queue);
    }
  }

  #reclaim(leaving: string): Promise<[count: number, owners: string[]]> {
    const { keys } = this.#life;
    return this.#options.control.script(
      reclaim,
      [keys.queue, keys.consumers, keys.deliveries],
      [keys.allHeartbeats, keys.allProcessing, leaving],
    );
  }

  async #promote(): Promise<void> {
    const { keys } = this.#life;
    const next = await this.#options.control.script<number>(
      promote,
      [keys.queue, keys.retry, keys.deliveries],
      [String(PROMOTED)],
    );
    if (next >= 0) this.promoteIn(next);
  }

  get #lifetime(): string {
    return String(Math.ceil(this.#options.heartbeatTimeout * 1000));
  }

  /** What fails is done again with the next heartbeat. */
  #background(work: Promise<void>): void {
    const done = work.catch((error) => {
      const { code, message } = error as RedisError;
      if (code !== "connection" && code !== "closed") {
        this.#options.logger.warn(`${message}.`);
      }
    }).finally(() => this.#work.delete(done));
    this.#work.add(done);
  }
}
