import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Address } from "./address.ts";

/** The longest time between two look-ups, in seconds. */
const LONGEST_PAUSE = 600;

/**
 * Looks a server's name up again from time to time: a name that is moved to
 * another server does not end the connections to the old one.
 */
export class NameCheck implements Disposable {
  readonly #host: string;
  readonly #port: number;
  readonly #onMoved: (now: readonly string[]) => void;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #addresses: readonly string[] = [];
  #isElsewhere = false;

  /**
   * @param pause The time between two look-ups, in seconds; 0 for none.
   * @param onMoved Called each time that the name stands for none of the addresses
   * any more that it stood for at the beginning, twice in a row: some name servers
   * give one of many addresses in turns.
   */
  constructor(
    address: Address,
    pause: number,
    onMoved: (now: readonly string[]) => void,
  ) {
    const { host, port } = "path" in address ? { host: "", port: 0 } : address;
    this.#host = host;
    this.#port = port;
    this.#onMoved = onMoved;
    if (host === "" || isIP(host) !== 0 || pause === 0) return;
    this.#look().then((addresses) => this.#addresses = addresses);
    this.#timer = setInterval(
      () => this.#check(),
      Math.min(pause, LONGEST_PAUSE) * 1000,
    );
    Deno.unrefTimer(this.#timer);
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#addresses = [];
  }

  async #check(): Promise<void> {
    const now = await this.#look();
    const before = this.#addresses;
    const isKnown = before.length > 0 && now.length > 0;
    const isElsewhere = isKnown &&
      !now.some((address) => before.includes(address));
    if (isElsewhere && this.#isElsewhere) this.#onMoved(now);
    this.#isElsewhere = isElsewhere;
  }

  /** The addresses of the name; none where that cannot be told at the moment. */
  async #look(): Promise<readonly string[]> {
    // Deno asks for no other permission than to connect if it knows the port.
    const options = { all: true, port: this.#port } as const;
    try {
      const found = await lookup(this.#host, options);
      return found.map(({ address }) => address);
    } catch {
      return [];
    }
  }
}
