import { Alarm } from "../waiting.ts";
import { type Address, formatAddress } from "./address.ts";
import type { Settings } from "./settings.ts";
import { RedisError } from "./redis_error.ts";
import type { ServerConnection } from "./server_connection.ts";

/** A guess for a way of which nothing is known, in bytes a second. */
const FIRST_GUESS = 16 * 2 ** 10;
/** Answers with fewer bytes tell nothing. */
const TELLING = 2 ** 12;
/** Answers that take less time are only known to be faster, in seconds. */
const MEASURABLE = 0.02;

/**
 * Measures how many bytes a second come from a server, by its larger answers:
 * a server sends an answer in one go, so the time between its bytes is that of
 * the way. What comes too fast to be measured doubles the estimate.
 */
export class Throughput {
  /** An estimate of what comes in a second, in bytes. */
  bytesPerSecond: number = FIRST_GUESS;
  /** The time of the last byte, by `performance.now()`. */
  lastByte: number = -Infinity;
  #begin: number | undefined;
  /** All bytes of the answer, and those after the first ones. */
  #whole = 0;
  #rest = 0;

  /** For how long nothing has come, in seconds. */
  get silence(): number {
    return (performance.now() - this.lastByte) / 1000;
  }

  /**
   * Notes that so many bytes have come.
   *
   * @param isOver Whether they were the last ones of an answer.
   */
  onBytes(count: number, isOver: boolean): void {
    this.lastByte = performance.now();
    this.#whole += count;
    if (this.#begin === undefined) this.#begin = this.lastByte;
    else this.#rest += count;
    if (!isOver) return;
    if (this.#whole >= TELLING) {
      const seconds = (this.lastByte - this.#begin) / 1000;
      // So many bytes in so short a time: it carries that at least.
      const least = this.#whole / MEASURABLE;
      this.bytesPerSecond = seconds < MEASURABLE
        ? Math.max(
          this.bytesPerSecond,
          Math.min(this.bytesPerSecond * 2, least),
        )
        : (this.bytesPerSecond + this.#rest / seconds) / 2;
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
 * A look that is late by this part of the shortest time in question tells that
 * the process stood still.
 */
const LATE = 3 / 8;
/**
 * So long after a silence was found it is looked whether that goes on, in seconds:
 * answers may wait to be read. After a look that was later than that by itself, what
 * was to be sent may have waited, too, and there is as much time as {@link LATE} says.
 */
const AGAIN = 0.1;

/**
 * The time after which an idle server is asked for a sign where nobody waits for
 * what it tells, in seconds: as long as a wait for messages is silent, so that
 * whatever on the way bears the one bears the other.
 */
const QUIET = 30;

/**
 * Notices when a server connection is silent although it should not be, and
 * gives it up. As long as bytes come it lives, however long an answer takes.
 */
export class Health implements Disposable {
  #server: ServerConnection;
  #settings: Settings;
  readonly #ping: () => Promise<void>;
  /** The time without a command after which the server is asked for a sign, in seconds. */
  readonly #idleTime: number;
  readonly #awaited: { readonly size: number } | undefined;
  #proving: Promise<void> | undefined;
  #pending = 0;
  #allowance = 0;
  #sent = 0;
  #lastLife = performance.now();
  /** True when the last look has found a reason to give it up. */
  #isDoubted = false;
  /** Goes off when something may be overdue, and not before. */
  readonly #alarm = new Alarm((due) => this.#look(due));

  /**
   * @param ping Sends something that the server answers; never rejects.
   * @param awaited What is awaited that the server tells by itself. Default: always
   * something.
   */
  constructor(
    server: ServerConnection,
    settings: Settings,
    ping: () => Promise<void> = () => Promise.resolve(),
    awaited?: { readonly size: number },
  ) {
    this.#server = server;
    this.#settings = settings;
    const { healthCheckInterval } = settings;
    this.#idleTime = healthCheckInterval > 0
      ? healthCheckInterval / 2
      : Infinity;
    this.#ping = ping;
    this.#awaited = awaited;
    this.#arm();
  }

  /** True while something is awaited that the server tells by itself. */
  get #isAwaited(): boolean {
    return this.#awaited?.size !== 0;
  }

  /** The same as the idle time, but longer while nothing is awaited. */
  get #quietTime(): number {
    return this.#isAwaited ? this.#idleTime : Math.max(this.#idleTime, QUIET);
  }

  /**
   * Asks a server for a sign that has been silent for so long that its loss would
   * have been noticed if anybody had waited.
   *
   * @returns Settles when the sign has come, or the connection is lost; `undefined`
   * where it is not needed.
   */
  prove(): Promise<void> | undefined {
    // Somebody may have begun to wait only just now.
    const mayBeQuiet = this.#awaited !== undefined;
    const isDoubtful = this.#pending === 0 && mayBeQuiet &&
      this.#server.throughput.silence > 2 * this.#idleTime;
    if (isDoubtful) {
      this.#proving = this.#ping().finally(() => this.#proving = undefined);
    }
    return this.#proving;
  }

  /** True while no command is on its way, so that the connection may be changed. */
  get isIdle(): boolean {
    return this.#pending === 0;
  }

  /** Notes a command that is sent, and for how many seconds it may block. */
  begin(
    args: readonly (string | Uint8Array)[],
    block: number | undefined,
  ): void {
    const isFirst = this.#pending++ === 0;
    this.#allowance = block ?? this.#allowance;
    for (const { length } of args) this.#sent += length;
    if (!isFirst) return;
    this.#lastLife = performance.now();
    const time = block === undefined
      ? Math.min(this.#allowed, this.#idleTime)
      : this.#allowed;
    const left = (this.#alarm.at - this.#lastLife) / 1000;
    // One that goes off in vain wakes the process.
    if (left > time || left < time / 2) this.#alarm.set(time);
  }

  /** Notes that it was answered. */
  end(block: number | undefined): void {
    if (--this.#pending === 0) this.#sent = 0;
    this.#lastLife = performance.now();
    if (block === undefined) return;
    this.#allowance = 0;
    const time = this.#pending > 0 ? this.#allowed : this.#idleTime;
    // The alarm goes off when the time to block is over.
    if (this.#alarm.at - this.#lastLife > time * 1000) this.#alarm.set(time);
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    this.#alarm[Symbol.dispose]();
  }

  #arm(): void {
    this.#alarm.set((this.#nextAt() - performance.now()) / 1000);
  }

  #look(due: number): void {
    const lateness = (performance.now() - due) / 1000;
    const standstill = this.#patience * LATE;
    if (lateness > standstill) this.#lastLife = performance.now();
    const reason = this.#findReason();
    if (reason !== undefined && !this.#isDoubted) {
      this.#isDoubted = true;
      this.#alarm.set(lateness > AGAIN ? standstill : AGAIN);
      return;
    }
    this.#isDoubted = false;
    if (reason !== undefined) this.#giveUp(reason);
    else if (this.#pending === 0 && this.#silence >= this.#quietTime) {
      void this.#ping();
    }
    this.#arm();
  }

  /** The shortest of the times in question, in seconds. */
  get #patience(): number {
    const { healthCheckInterval, replyTimeout } = this.#settings;
    return Math.min(healthCheckInterval || Infinity, replyTimeout ?? Infinity);
  }

  /** The last time at which the server has shown that it is there. */
  get #lastSign(): number {
    return Math.max(this.#lastLife, this.#server.throughput.lastByte);
  }

  /** When something may be overdue, by `performance.now()`. */
  #nextAt(): number {
    const { replyTimeout = Infinity } = this.#settings;
    const { begin = Infinity, bytes } = this.#server.scanner;
    const seconds = this.#pending > 0 ? this.#allowed : this.#quietTime;
    return Math.min(
      this.#lastSign + seconds * 1000,
      begin + (replyTimeout + bytes / TRICKLE) * 1000,
    );
  }

  /** The time that the server may be silent while it has something to answer, in seconds. */
  get #allowed(): number {
    // Nothing tells how much of what was sent has left.
    const { replyTimeout = Infinity } = this.#settings;
    return replyTimeout + this.#allowance + this.#sent / SLOWEST;
  }

  /** For how long the server has not shown that it is there, in seconds. */
  get #silence(): number {
    return (performance.now() - this.#lastSign) / 1000;
  }

  /** Says why the connection is to be given up, if it is. */
  #findReason(): string | undefined {
    const { replyTimeout = Infinity } = this.#settings;
    const { begin = Infinity, bytes } = this.#server.scanner;
    const reading = (performance.now() - begin) / 1000;
    if (reading > replyTimeout + bytes / TRICKLE) {
      return `the server has sent ${bytes} bytes of an answer in ${
        reading.toFixed(1)
      } s`;
    }
    const silence = this.#silence;
    return this.#pending > 0 && silence > this.#allowed
      ? `the server has not answered for ${silence.toFixed(1)} s`
      : undefined;
  }

  #giveUp(reason: string): void {
    const server = this.#server;
    server.close(unconnected("stay connected to Redis", server, reason));
  }
}

/** Makes the error of a connection that is given up, or is not there. */
export function unconnected(
  attempted: string,
  { address }: { readonly address: Address },
  reason: string,
): RedisError {
  const place = formatAddress(address);
  return new RedisError({ attempted, place, reason }, "connection");
}
