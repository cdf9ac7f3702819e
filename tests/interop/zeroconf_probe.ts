import type { DnsMessage } from "../../src/zeroconf/dns_message.ts";
import {
  decodeMessage,
  encodeMessage,
  type ReceivedMessage,
} from "../../src/zeroconf/wire_format.ts";
import type { Namespace, Running } from "../namespaces.ts";
import { PYTHON } from "../python.ts";

/** The group of IPv4. */
export const GROUP = "224.0.0.251";

/** What a packet is about, and which way it went. */
export interface Heard extends ReceivedMessage {
  readonly source: string;
  readonly port: number;
  readonly to: string;
  /** How many routers it could pass yet; by IPv6, its hop limit. */
  readonly hops: number;
  /** When it came, in the milliseconds of `performance.now()`. */
  readonly at: number;
  readonly packet: Uint8Array;
}

/** How {@linkcode Probe.send} sends. */
export interface SendOptions {
  /** The sender's address; 192.168.77.2 by default. */
  readonly source?: string;
  readonly port?: number;
  readonly to?: string;
  readonly ttl?: number;
  /** Changes the packet before it goes out. */
  readonly change?: (packet: Uint8Array) => void;
}

/** The addresses of IPv6 that stand for those of IPv4 where it is spoken alone. */
const IPV6: ReadonlyMap<string, string> = new Map([
  [GROUP, "ff02::fb"],
  ["192.168.77.1", "fe80::77:1"],
  ["192.168.77.2", "fe80::77:2"],
  ["192.0.2.7", "2001:db8::7"],
]);
const IPV4 = new Map([...IPV6].map(([ipv4, ipv6]) => [ipv6, ipv4]));

/** A host that says whatever it is told on the wire, and hears everything. */
export class Probe implements AsyncDisposable {
  readonly #running: Running;
  readonly #heard: Heard[] = [];
  readonly #ready = Promise.withResolvers<void>();
  #apart = Infinity;
  #news = Promise.withResolvers<void>();
  readonly #isIpv6: boolean;

  /**
   * @param isIpv6 Whether it speaks and hears IPv6 alone. It is told, and tells,
   * the addresses of IPv4 then for which those of IPv6 stand.
   */
  constructor(namespace: Namespace, isIpv6 = false) {
    const script = new URL("zeroconf_probe.py", import.meta.url).pathname;
    const version = isIpv6 ? ["6"] : [];
    this.#running = namespace.start(PYTHON, ["-u", script, ...version]);
    this.#isIpv6 = isIpv6;
    this.#read();
  }

  /** Everything it heard so far, in order. */
  get heard(): readonly Heard[] {
    return this.#heard;
  }

  async #read(): Promise<void> {
    for (let line; (line = await this.#running.line()) !== undefined;) {
      this.#ready.resolve();
      if (!line.startsWith("{")) continue;
      const { packet: hex, source, port, to, ttl: hops, at: since } = JSON
        .parse(line);
      // A line may wait to be read, so the one that waited least tells the clocks apart.
      this.#apart = Math.min(this.#apart, performance.now() - since);
      const packet = Uint8Array.fromHex(hex);
      const message = decodeMessage(packet);
      if (message === undefined) continue;
      const at = since + this.#apart;
      this.#heard.push({
        ...message,
        source: this.#isIpv6 ? IPV4.get(source) ?? source : source,
        port,
        to: this.#isIpv6 ? IPV4.get(to) ?? to : to,
        hops,
        at,
        packet,
      });
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
  }

  /** Sends a message; to the group, from port 5353, if nothing else is said. */
  async send(
    message: DnsMessage,
    {
      source = "192.168.77.2",
      port = 5353,
      to = GROUP,
      ttl = 255,
      change,
    }: SendOptions = {},
  ): Promise<void> {
    await this.#ready.promise;
    const packet = encodeMessage(message).slice();
    change?.(packet);
    const address = (ipv4: string): string =>
      this.#isIpv6 ? IPV6.get(ipv4)! : ipv4;
    await this.#running.write(JSON.stringify({
      packet: packet.toHex(),
      source: address(source),
      port,
      to: address(to),
      ttl,
    }));
  }

  /**
   * Waits for the first packet after a moment that fits.
   *
   * @returns The packet; `undefined` where none came in time.
   */
  async hears(
    fits: (heard: Heard) => boolean,
    { after = 0, seconds = 3 }: { after?: number; seconds?: number } = {},
  ): Promise<Heard | undefined> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, seconds * 1_000);
    const end = performance.now() + seconds * 1_000;
    try {
      while (true) {
        const news = this.#news.promise;
        const found = this.#heard.find((each) =>
          each.at >= after && fits(each)
        );
        if (found !== undefined || performance.now() >= end) return found;
        await Promise.race([news, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.stop("SIGKILL");
  }
}
