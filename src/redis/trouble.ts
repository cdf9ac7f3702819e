import type { Logger } from "../logger.ts";
import {
  isLoss,
  meansWrongServer,
  nameQueue,
  RedisError,
} from "./redis_error.ts";

/**
 * The time for which all connections have to be well before trouble counts as
 * new, in seconds.
 */
const STEADY = 15;
/** When trouble that lasts is reported again, in seconds after it began. */
const FIRST_REMINDER = 5;
/** Each time after that is so many times as late. */
const GROWTH = 4;
/** The longest time between two reports, in seconds. */
const LONGEST_PAUSE = 3600;
/** The kind of whatever keeps a connection away from the server. */
const AWAY = "away";

/** Names a queue, and the logger to which all report who work on it. */
export interface QueuePlace {
  readonly queue: string;
  readonly logger: Logger;
}

/**
 * Reports the trouble that the connections of one program have with a server,
 * or its consumers with a queue. It does so once for all of them when the
 * trouble begins or becomes another one, then ever more rarely, and once when
 * connections are well again. Everything else is for `debug`.
 */
export class Trouble {
  static readonly #all = new WeakMap<Logger, Map<string, Trouble>>();
  readonly #logger: Logger;
  /** Whoever is in trouble. */
  readonly #troubled = new Set<object>();
  readonly #reported = new Set<string>();
  readonly #warned = new Set<string>();
  #begin = -Infinity;
  #end = -Infinity;
  #reminder = 0;
  /** True while people believe that it lasts. */
  #isTold = false;

  private constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Gives the trouble with one server or queue, that all share who have the same
   * logger.
   *
   * @param place The address of the server, or a name of what else is in trouble.
   */
  static with(place: string, logger: Logger): Trouble {
    const all = Trouble.#all.get(logger) ?? new Map<string, Trouble>();
    Trouble.#all.set(logger, all);
    const trouble = all.get(place) ?? new Trouble(logger);
    all.set(place, trouble);
    return trouble;
  }

  /**
   * Notes that somebody cannot do its work on a queue, and tries again. The loss of
   * a connection is passed over, since that has reported it.
   */
  static onQueueFailure(one: object, error: Error, place: QueuePlace): void {
    if (error instanceof RedisError && isLoss(error)) return;
    const { queue, logger } = place;
    Trouble.with(`"${queue}"`, logger).onFailure(one, nameQueue(error, queue));
  }

  /** Notes that somebody can do its work on a queue again, or has ended it. */
  static onQueueSuccess(one: object, { queue, logger }: QueuePlace): void {
    Trouble.#all.get(logger)?.get(`"${queue}"`)?.forget(one);
  }

  /** Warns of something that stays as it is. */
  warnOnce(text: string): void {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    this.#logger.warn(text);
  }

  /** Notes that a connection was lost. */
  onLoss(connection: object, loss: RedisError): void {
    this.#note(connection, loss, "warn", `${loss.message}. Connecting again.`);
    this.#reported.add(AWAY);
  }

  /** Notes that an attempt to connect has failed, or to take messages. */
  onFailure(one: object, error: Error): void {
    const isPassing = error instanceof RedisError && error.isTransient;
    this.#note(
      one,
      error,
      isPassing ? "warn" : "error",
      `${error.message}. Trying again.`,
    );
  }

  /** Notes that a connection is well again; tells it where the loss was told. */
  onSuccess(connection: object, place: string): void {
    if (!this.forget(connection)) return;
    this.#logger[this.#isTold ? "info" : "debug"](
      `Connected to Redis at ${place}.`,
    );
    this.#isTold = false;
  }

  /**
   * Notes that somebody is closed, or well again.
   *
   * @returns Whether all are well again by that.
   */
  forget(one: object): boolean {
    if (!this.#troubled.delete(one)) return false;
    if (this.#troubled.size > 0) return false;
    this.#end = performance.now() / 1000;
    return true;
  }

  #note(
    one: object,
    error: Error,
    level: "warn" | "error",
    text: string,
  ): void {
    const now = performance.now() / 1000;
    if (this.#troubled.size === 0 && now - this.#end > STEADY) {
      this.#reported.clear();
      this.#begin = now;
      this.#reminder = FIRST_REMINDER;
    }
    this.#troubled.add(one);
    const kind = this.#kindOf(error);
    const duration = now - this.#begin;
    const isDue = duration >= this.#reminder || !this.#reported.has(kind);
    this.#reported.add(kind);
    this.#logger[isDue ? level : "debug"](text);
    this.#isTold ||= isDue;
    while (this.#reminder <= duration) {
      const pause = this.#reminder * (GROWTH - 1);
      this.#reminder += Math.min(pause, LONGEST_PAUSE);
    }
  }

  /** Names the kind of an error: what ends one connection ends the others too, in one way or another. */
  #kindOf(error: Error): string {
    const isAway = error instanceof RedisError && error.code === "connection";
    return isAway && this.#reported.has(AWAY) ? AWAY : commonName(error);
  }
}

/** Names what two errors have in common that need not be reported twice. */
function commonName(error: Error): string {
  if (!(error instanceof RedisError)) return error.message;
  if (meansWrongServer(error) || error.code === "readonly") return "wrong";
  const { code, reason } = error;
  return `${code} ${reason.replace(/\d/g, "")}`;
}
