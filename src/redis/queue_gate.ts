import type { Logger } from "../logger.ts";
import type { Connection } from "./connection.ts";
import { deliverDelayed } from "./delayed.ts";
import { type DueMover, LATEST_LOOK } from "./due.ts";
import { QueueKeys } from "./queue_keys.ts";
import { RedisError } from "./redis_error.ts";
import { isText } from "./reply_shape.ts";
import { Trouble } from "./trouble.ts";
import { Alarm } from "../waiting.ts";

/** The time between two looks at a paused queue where the server does not tell, in seconds. */
const LOOK_INTERVAL = 5;

/** So long after a look has failed it is tried again, in seconds. */
const AGAIN = 2;

/** Tells since when a queue is paused for all its consumers, and by whom; see {@linkcode pauseQueue}. */
export interface QueuePause {
  /** When it was paused, in seconds since the epoch. */
  readonly since: number;
  /** Names who has paused it: a device's id. */
  readonly by: string;
}

/** Reads what the key of a pause holds; whatever it holds, the queue is paused. */
export function parsePause(text: string | null): QueuePause | undefined {
  if (text === null) return undefined;
  try {
    const { since, by } = JSON.parse(text);
    return { since: Number(since) || 0, by: String(by ?? "somebody") };
  } catch {
    return { since: 0, by: "somebody" };
  }
}

/** Says which queue a {@link QueueGate} belongs to. */
interface QueueGateOptions {
  readonly queue: string;
  /** For commands that do not block. */
  readonly control: Connection;
  /** The logger to report to. */
  readonly logger: Logger;
}

/**
 * The gate of a queue, of which all its consumers know whether it is open: while
 * the queue is paused, nothing goes out. What was sent with a delay comes in by it
 * when it is due.
 *
 * It costs nothing while nothing changes: the server tells of a key that was read
 * here when somebody changes it (`CLIENT TRACKING`). Where it does not, consumers
 * find the pause with the next message, and look every few seconds whether it is
 * over. What is delayed they find with a heartbeat or, having none, now and then.
 */
export class QueueGate {
  /** True while nothing is to be taken from the queue. */
  isPaused = false;
  #wasPaused = false;
  readonly #options: QueueGateOptions;
  readonly #onChange: () => void;
  readonly #alarm = new Alarm(() => this.lookSoon());
  /** Goes off while the queue is paused and the server does not tell. */
  readonly #pauseAlarm = new Alarm(() => this.lookSoon({ mayBeDue: false }));
  readonly #delayed: DueMover;
  #looking: Promise<void> | undefined;
  #isDoubtful = false;
  /** True when something may be due by now. */
  #mayBeDue = false;
  #isEnding = false;

  /** @param onChange Called when the queue was paused or resumed. */
  constructor(options: QueueGateOptions, onChange: () => void) {
    this.#options = options;
    this.#onChange = onChange;
    this.#delayed = deliverDelayed(new QueueKeys(options.queue));
  }

  /** Takes the queue for paused, and looks whether it is. */
  suspect(): void {
    this.isPaused = true;
    this.#onChange();
    this.lookSoon();
  }

  /** Looks in the background, also after what is due if there may be some; what fails is done again soon. */
  lookSoon({ mayBeDue = true }: { mayBeDue?: boolean } = {}): void {
    if (this.#isEnding) return;
    this.#isDoubtful = true;
    this.#mayBeDue ||= mayBeDue;
    this.#looking ??= this.#lookAll().then(
      () => Trouble.onQueueSuccess(this, this.#options),
      (error: RedisError) => {
        this.#alarm.advance(AGAIN);
        Trouble.onQueueFailure(this, error, this.#options);
      },
    ).finally(() => this.#looking = undefined);
  }

  /**
   * Looks whether the queue is paused, and after what is due.
   *
   * @throws {RedisError} The server cannot be reached, or refuses.
   */
  async look(): Promise<void> {
    this.#mayBeDue = true;
    await this.#look();
  }

  async #look(): Promise<void> {
    const { control, queue } = this.#options;
    const keys = new QueueKeys(queue);
    const mayBeDue = this.#mayBeDue;
    this.#mayBeDue = false;
    const [text, dueIn] = await Promise.all([
      this.#unlessDenied(control.command<string | null>(
        ["GET", keys.paused],
        { isReply: (reply) => reply === null || isText(reply) },
      )),
      mayBeDue ? this.#unlessDenied(this.#delayed.move(control)) : null,
    ]);
    const pause = parsePause(text);
    const untold = control.isTracking ? Infinity : LATEST_LOOK;
    if (mayBeDue) this.#alarm.set(Math.min(dueIn ?? Infinity, untold));
    this.#pauseAlarm.set(
      pause === undefined || control.isTracking ? Infinity : LOOK_INTERVAL,
    );
    this.isPaused = pause !== undefined;
    this.#report(pause);
    this.#onChange();
  }

  /** Looks no more; resolves when the last look is over. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    this.#alarm[Symbol.dispose]();
    this.#pauseAlarm[Symbol.dispose]();
    await this.#looking;
    Trouble.onQueueSuccess(this, this.#options);
  }

  /** Logs when the queue was paused or resumed. */
  #report(pause: QueuePause | undefined): void {
    const { queue, logger } = this.#options;
    if (this.#wasPaused === this.isPaused) return;
    this.#wasPaused = this.isPaused;
    if (pause === undefined) logger.info(`"${queue}" goes on.`);
    else {
      logger.warn(
        `"${queue}" was paused by ${pause.by}: nothing more is taken from it until it is resumed.`,
      );
    }
  }

  /** Gives `null` to a user without the rights, who takes no part in this. */
  async #unlessDenied<Reply>(asking: Promise<Reply>): Promise<Reply | null> {
    return await asking.catch((error): null => {
      if (error instanceof RedisError && error.code === "permission") {
        return null;
      }
      throw error;
    });
  }

  async #lookAll(): Promise<void> {
    while (this.#isDoubtful && !this.#isEnding) {
      this.#isDoubtful = false;
      await this.#look();
    }
  }
}
