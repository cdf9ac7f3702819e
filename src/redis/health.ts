import { formatAddress } from "./address.ts";
import type { Settings } from "./redis_args.ts";
import { RedisError } from "./redis_error.ts";
import type { ServerConnection } from "./server_connection.ts";

/** A guess for a way of which nothing is known, in bytes a second. */
const FIRST_GUESS = 16 * 2 ** 10;
/** Answers with fewer bytes tell nothing. */
const TELLING = 8 * 2 ** 10;
/** Answers that take less time are only known to be faster, in seconds. */
const MEASURABLE = 0.02;

/**
 * Measures how many bytes a second come from a server, by its larger answers:
 * a server sends an answer in one go, so the time between its bytes is that of
 * the way. What comes too fast to be measured doubles the estimate.
 */
export class Throughput {
  #estimate = FIRST_GUESS;
  #lastByte = -Infinity;
  #begin: number | undefined;
  /** All bytes of the answer, and those after the first ones. */
  #whole = 0;
  #rest = 0;

  /** An estimate of what comes in a second, in bytes. */
  get bytesPerSecond(): number {
    return this.#estimate;
  }

  /** The time of the last byte, by `performance.now()`. */
  get lastByte(): number {
    return this.#lastByte;
  }

  /** Notes that so many bytes have come. */
  onBytes(count: number): void {
    this.#lastByte = performance.now();
    this.#whole += count;
    if (this.#begin === undefined) this.#begin = this.#lastByte;
    else this.#rest += count;
  }

  /** Notes that these were the last ones of an answer. */
  onReply(): void {
    const seconds = (this.#lastByte - (this.#begin ?? Infinity)) / 1000;
    if (this.#whole >= TELLING) {
      this.#estimate = seconds < MEASURABLE
        ? this.#estimate * 2
        : (this.#estimate + this.#rest / seconds) / 2;
    }
    this.#begin = undefined;
    this.#whole = this.#rest = 0;
  }
}

/** The slowest link that a command is given time for, in bytes a second. */
const SLOWEST = 16 * 2 ** 10;
/**
 * The slowest answer that is read to its end, in bytes a second: one that comes
 * more slowly has no end.
 */
const TRICKLE = 256;

/**
 * Notices when a server connection is silent although it should not be, and
 * gives it up. As long as bytes come it lives, however long an answer takes.
 */
export class Health implements Disposable {
  #server: ServerConnection;
  #settings: Settings;
  #ping: () => void;
  #pending = 0;
  #allowance = 0;
  #sent = 0;
  #lastLife = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param ping Sends something that the server answers. */
  constructor(
    server: ServerConnection,
    settings: Settings,
    ping = (): void => {},
  ) {
    this.#server = server;
    this.#settings = settings;
    this.#ping = ping;
    const { healthCheckInterval, replyTimeout } = settings;
    const tick =
      Math.min(healthCheckInterval || Infinity, replyTimeout ?? Infinity) / 8;
    if (!Number.isFinite(tick)) return;
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      // After this process itself stood still, answers may wait to be read.
      if (now - last > 3000 * tick) this.#lastLife = now;
      else this.#check();
      last = now;
    }, tick * 1000);
    Deno.unrefTimer(this.#timer);
  }

  /** Notes a command that is sent, and for how many seconds it may block. */
  begin(
    args: readonly (string | Uint8Array)[],
    block: number | undefined,
  ): void {
    if (this.#pending++ === 0) this.#lastLife = performance.now();
    this.#allowance = block ?? this.#allowance;
    for (const { length } of args) this.#sent += length;
  }

  /** Notes that it was answered. */
  end(block: number | undefined): void {
    if (--this.#pending === 0) this.#sent = 0;
    this.#lastLife = performance.now();
    if (block !== undefined) this.#allowance = 0;
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const { lastByte } = this.#server.throughput;
    const last = Math.max(this.#lastLife, lastByte);
    const silence = (performance.now() - last) / 1000;
    const { healthCheckInterval, replyTimeout = Infinity } = this.#settings;
    const { begin = Infinity, bytes } = this.#server.scanner;
    const reading = (performance.now() - begin) / 1000;
    if (reading > replyTimeout + bytes / TRICKLE) {
      this.#giveUp(
        `the server has sent ${bytes} bytes of an answer in ${
          reading.toFixed(1)
        } s`,
      );
    } else if (this.#pending > 0) {
      // Nothing tells how much of what was sent has left.
      const sending = this.#sent / SLOWEST;
      if (silence > replyTimeout + this.#allowance + sending) {
        this.#giveUp(
          `the server has not answered for ${silence.toFixed(1)} s`,
        );
      }
    } else if (healthCheckInterval > 0 && silence > healthCheckInterval / 4) {
      this.#ping();
    }
  }

  #giveUp(reason: string): void {
    const place = formatAddress(this.#server.address);
    this.#server.close(
      new RedisError(
        { attempted: "stay connected to Redis", place, reason },
        "connection",
      ),
    );
  }
}
