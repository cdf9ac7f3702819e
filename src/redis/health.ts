import type { Link } from "./link.ts";
import { formatAddress } from "./address.ts";
import type { Settings } from "./parse_redis_args.ts";
import { RedisError } from "./redis_error.ts";

/** Notices when a link is silent although it should not be, and gives it up. */
export class Health implements Disposable {
  #link: Link;
  #settings: Settings;
  #ping: () => void;
  #pending = 0;
  #allowance = 0;
  #lastReply = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param ping Sends something that the server answers. */
  constructor(link: Link, settings: Settings, ping: () => void) {
    this.#link = link;
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
      if (now - last > 3000 * tick) this.#lastReply = now;
      else this.#check();
      last = now;
    }, tick * 1000);
    Deno.unrefTimer(this.#timer);
  }

  /** Notes a command that is sent, and for how many seconds it may block. */
  begin(block: number | undefined): void {
    if (this.#pending++ === 0) this.#lastReply = performance.now();
    this.#allowance = block ?? this.#allowance;
  }

  /** Notes that it was answered. */
  end(block: number | undefined): void {
    this.#pending--;
    this.#lastReply = performance.now();
    if (block !== undefined) this.#allowance = 0;
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const silence = (performance.now() - this.#lastReply) / 1000;
    const { healthCheckInterval, replyTimeout } = this.#settings;
    if (this.#pending > 0) {
      if (silence > (replyTimeout ?? Infinity) + this.#allowance) {
        this.#link.close(
          new RedisError({
            attempted: "stay connected to Redis",
            place: formatAddress(this.#link.address),
            reason: `the server has not answered for ${silence.toFixed(1)} s`,
          }, "connection"),
        );
      }
    } else if (healthCheckInterval > 0 && silence > healthCheckInterval / 4) {
      this.#ping();
    }
  }
}
