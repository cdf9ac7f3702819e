import type { Clock } from "../../src/zeroconf/clock.ts";
import type { DnsMessage, DnsRecord } from "../../src/zeroconf/dns_message.ts";
import type { NetworkInterface } from "../../src/zeroconf/interfaces.ts";
import type { Service } from "../../src/zeroconf/own_records.ts";
import { Querier } from "../../src/zeroconf/querier.ts";
import { Registry } from "../../src/zeroconf/registry.ts";
import { ServiceBrowser } from "../../src/zeroconf/service_browser.ts";
import type { ServiceChange } from "../../src/zeroconf/service_info.ts";
import {
  decodeMessage,
  encodeMessage,
  type ReceivedMessage,
} from "../../src/zeroconf/wire_format.ts";

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

/** A message as whoever receives it sees it. */
export function received(message: DnsMessage): ReceivedMessage {
  return decodeMessage(encodeMessage(message))!;
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
  readonly querier: Querier;
  readonly browser: ServiceBrowser;
  readonly #place: { interfaceNames: ReadonlySet<string> };

  constructor(
    interfaceNames: readonly string[] = ["eth0"],
    channels: readonly string[] = interfaceNames.map((name) => `${name} IPv4`),
  ) {
    const isOwnAddress = (address: string): boolean => address === OWN;
    this.#place = { interfaceNames: new Set(interfaceNames) };
    this.querier = new Querier({
      clock: this.clock,
      random: () => 0,
      send: (message, on) =>
        this.sent.push({
          at: this.clock.now(),
          message,
          ...(on !== undefined && { on }),
        }),
      channels: () => channels,
      hearsUnicast: () => true,
      isOwnAddress,
    });
    this.browser = this.other(TYPE);
  }

  /** Has somebody else look for a type. */
  other(type: string): ServiceBrowser {
    const browser = new ServiceBrowser({
      type,
      place: this.#place,
      cache: this.querier.cache,
      isOwnAddress: (address) => address === OWN,
      isOnLink: (_, address) => address.startsWith("192.0.2."),
      onChange: (change) => this.changes.push(change),
    });
    this.querier.follow(browser);
    return browser;
  }

  /** Has somebody look for the same type once more. */
  again(): ServiceBrowser {
    return this.other(TYPE);
  }

  /** Lets it hear a response, from another host than the usual one where one is given. */
  hear(
    answers: DnsRecord[],
    interfaceName = "eth0",
    address = "192.0.2.10",
  ): void {
    this.querier.receive(received({ type: "response", answers }), {
      interfaceName,
      address,
      port: 5353,
    });
    this.clock.advance(0);
  }

  /** Lets it hear what another host asks. */
  hearQuery(query: Omit<DnsMessage, "type">): void {
    this.querier.receive(received({ type: "query", ...query }), {
      interfaceName: "eth0",
      address: "192.0.2.30",
      port: 5353,
    });
  }

  /** Leaves it these interfaces. */
  keepInterfaces(names: readonly string[]): void {
    this.#place.interfaceNames = new Set(names);
    this.querier.networkChanged(this.#place.interfaceNames, new Set());
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
  /** Milliseconds that a packet takes to others. */
  delay = 1;

  transmit(from: Host, message: DnsMessage, to?: string): void {
    this.packets.push({ from, message, at: this.clock.now() });
    const packet = received(message);
    for (const host of this.hosts) {
      if (to !== undefined && host.address !== to) continue;
      if (host !== from && !this.carries(from, host)) continue;
      this.clock.after(
        host === from ? 1 : this.delay,
        () =>
          host.registry.receive(packet, {
            interfaceName: "eth0",
            address: from.address,
            port: 5353,
          }),
      );
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
      host.registry.receive(packet, { interfaceName: "eth0", address, port });
    }
    this.clock.advance(600);
    return this.packets.slice(from).map(({ message }) => message);
  }
}

/** The only interface that hosts on a cable have. */
export const EVERYWHERE = { interfaceNames: new Set(["eth0"]) };

/** One host with services. */
export class Host {
  readonly registry: Registry;
  networks: NetworkInterface[];
  readonly renames: string[] = [];
  readonly services: Service[] = [];
  /** The addresses of all its interfaces. */
  readonly ownAddresses: Set<string>;

  constructor(
    readonly cable: Cable,
    readonly address: string,
    readonly host = `host-${address.split(".").at(-1)}`,
    random: () => number = () => 0,
  ) {
    this.ownAddresses = new Set([address]);
    this.networks = [{
      name: "eth0",
      loopback: false,
      ipv4: [{ address, netmask: "255.255.255.0" }],
      ipv6: [],
    }];
    this.registry = new Registry({
      clock: cable.clock,
      random,
      send: (message, _on, to) => cable.transmit(this, message, to?.address),
      networks: () => this.networks,
      isOwnAddress: (own) => this.ownAddresses.has(own),
    });
    cable.hosts.push(this);
  }

  /** Registers a service. */
  register(instance = "livingroom", port = 6379, txt: string[] = []): Service {
    const service = this.registry.add(
      {
        instance,
        type: TYPE,
        port,
        txt: txt.map((text) => new TextEncoder().encode(text)),
      },
      this.host,
      EVERYWHERE,
      (name) => this.renames.push(name),
    );
    this.services.push(service);
    return service;
  }

  /** Probes again, because the network changed. */
  networkChanged(): void {
    this.registry.networkChanged(() => true);
  }

  /** Takes all services off the network. */
  close(): void {
    this.registry.remove(this.services.splice(0));
  }
}
