import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import makeMulticastDns from "multicast-dns";
import type { Clock } from "../../src/zeroconf/clock.ts";
import type { DnsMessage, DnsRecord } from "../../src/zeroconf/dns_message.ts";
import { encodeMessage } from "../../src/zeroconf/encode_message.ts";
import type { NetworkInterface } from "../../src/zeroconf/network.ts";
import { Responder } from "../../src/zeroconf/responder.ts";
import { ServiceBrowser } from "../../src/zeroconf/service_browser.ts";
import type { ServiceChange } from "../../src/zeroconf/service_info.ts";
import type { ReceivedMessage } from "../../src/zeroconf/sockets.ts";

export const TYPE = "_platypush-redis._tcp.local";

/** A clock that stands still until it is told to go on. */
export class TestClock implements Clock {
  #now = 0;
  #next = 0;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delay: number, callback: () => void): () => void {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + Math.max(0, delay), callback });
    return () => this.#timers.delete(id);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Lets so many milliseconds pass. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    while (true) {
      let first: [number, { at: number; callback: () => void }] | undefined;
      for (const entry of this.#timers) {
        if (first === undefined || entry[1].at < first[1].at) first = entry;
      }
      if (first === undefined || first[1].at > end) break;
      this.#timers.delete(first[0]);
      this.#now = Math.max(this.#now, first[1].at);
      first[1].callback();
    }
    this.#now = end;
  }
}

/** Decodes packets as the sockets do. */
export class Decoder {
  readonly #socket = new EventEmitter();
  #decoded: ReceivedMessage | undefined;

  constructor() {
    const mdns: EventEmitter = makeMulticastDns({
      socket: this.#socket,
      bind: false,
      multicast: false,
    });
    mdns.on("packet", (message: ReceivedMessage) => this.#decoded = message);
  }

  /** What is in the packet, or undefined when it cannot be decoded. */
  decode(packet: Uint8Array): ReceivedMessage | undefined {
    this.#decoded = undefined;
    this.#socket.emit(
      "message",
      Buffer.from(packet),
      { address: "192.0.2.1", port: 5353 },
    );
    return this.#decoded;
  }
}

const decoder = new Decoder();

/** A message as whoever receives it sees it. */
export function received(message: DnsMessage): ReceivedMessage {
  return decoder.decode(encodeMessage(message))!;
}

/** The records of a whole service. */
export function serviceRecords(
  {
    instance = "livingroom",
    port = 6379,
    txt = ["queue=q"],
    address = "192.0.2.10",
    host = "livingroom.local",
  } = {},
): Record<"ptr" | "srv" | "txt" | "a", DnsRecord> {
  const name = `${instance}.${TYPE}`;
  const unique = { name, flush: true } as const;
  return {
    ptr: { name: TYPE, type: "PTR", ttl: 4_500, flush: false, data: name },
    srv: {
      ...unique,
      type: "SRV",
      ttl: 120,
      data: { priority: 0, weight: 0, port, target: host },
    },
    txt: {
      ...unique,
      type: "TXT",
      ttl: 4_500,
      data: txt.map((text) => new TextEncoder().encode(text)),
    },
    a: { name: host, type: "A", ttl: 120, flush: true, data: address },
  };
}

/** The address of the host that browses. */
export const OWN = "192.0.2.1";

/** A browser with its clock, and what it sent and reported. */
export class BrowserUnderTest {
  readonly clock = new TestClock();
  readonly sent: { at: number; message: DnsMessage; on?: string }[] = [];
  readonly changes: ServiceChange[] = [];
  readonly browser: ServiceBrowser;

  constructor(
    interfaceNames: readonly string[] = ["eth0"],
    channels: readonly string[] = interfaceNames.map((name) => `${name} IPv4`),
  ) {
    this.browser = new ServiceBrowser({
      type: TYPE,
      clock: this.clock,
      random: () => 0,
      send: (message, on) =>
        this.sent.push({
          at: this.clock.now(),
          message,
          ...(on !== undefined && { on }),
        }),
      interfaceNames: () => interfaceNames,
      channels: () => channels,
      isOwnAddress: (address) => address === OWN,
      onChange: (change) => this.changes.push(change),
    });
    this.browser.start();
  }

  /** Lets it hear a response. */
  hear(answers: DnsRecord[], interfaceName = "eth0"): void {
    this.browser.receive(received({ type: "response", answers }), {
      interfaceName,
      address: "192.0.2.10",
      port: 5353,
    });
    this.clock.advance(0);
  }

  get kinds(): string[] {
    return this.changes.map(({ kind }) => kind);
  }

  /** The questions that were sent so far, as `TYPE name`, with their time. */
  get questions(): [number, string][] {
    return this.sent.flatMap(({ at, message }) =>
      (message.questions ?? []).map(({ name, type }): [number, string] => [
        at,
        `${type} ${name}`,
      ])
    );
  }
}

/** Hosts on one cable that drops packets when it is told to. */
export class Cable {
  readonly clock = new TestClock();
  readonly hosts: Host[] = [];
  readonly packets: { from: Host; message: DnsMessage; at: number }[] = [];
  /** Whether a packet from one host reaches the other. */
  carries: (from: Host, to: Host) => boolean = () => true;

  transmit(from: Host, message: DnsMessage, to?: string): void {
    this.packets.push({ from, message, at: this.clock.now() });
    const packet = received(message);
    for (const host of this.hosts) {
      if (to !== undefined && host.address !== to) continue;
      if (host !== from && !this.carries(from, host)) continue;
      this.clock.after(1, () =>
        host.responder.receive(packet, {
          interfaceName: "eth0",
          address: from.address,
          port: 5353,
        }));
    }
  }

  /** What a query is answered with until half a second has passed. */
  ask(
    query: Omit<DnsMessage, "type">,
    port = 5353,
    address = "192.0.2.200",
  ): DnsMessage[] {
    const from = this.packets.length;
    const packet = received({ type: "query", ...query });
    for (const host of this.hosts) {
      host.responder.receive(packet, { interfaceName: "eth0", address, port });
    }
    this.clock.advance(600);
    return this.packets.slice(from).map(({ message }) => message);
  }
}

/** One host with a responder. */
export class Host {
  readonly responder: Responder;
  networks: NetworkInterface[];
  readonly renames: string[] = [];

  constructor(
    readonly cable: Cable,
    readonly address: string,
    readonly host = `host-${address.split(".").at(-1)}`,
    random: () => number = () => 0,
  ) {
    this.networks = [{
      name: "eth0",
      loopback: false,
      ipv4: [{ address, netmask: "255.255.255.0" }],
      ipv6: [],
    }];
    this.responder = new Responder({
      clock: cable.clock,
      random,
      host,
      send: (message, _on, to) => cable.transmit(this, message, to?.address),
      networks: () => this.networks,
      isOwnAddress: (own) => own === this.address,
    });
    cable.hosts.push(this);
  }

  /** Registers a service and returns its claim. */
  register(
    instance = "livingroom",
    port = 6379,
    txt: string[] = [],
  ): ReturnType<Responder["add"]> {
    return this.responder.add({
      instance,
      type: TYPE,
      port,
      txt: txt.map((text) => new TextEncoder().encode(text)),
    }, (name) => this.renames.push(name));
  }
}
