import { Announcer } from "./announcer.ts";
import { Answerer } from "./answerer.ts";
import { Claim, PROBE_INTERVAL } from "./claim.ts";
import type { Clock } from "./clock.ts";
import { cutLabel, MAX_LABEL } from "./cut_label.ts";
import {
  type DnsRecord,
  labelsOf,
  type Send,
  type Source,
} from "./dns_message.ts";
import {
  LocalRecords,
  type Registration,
  type ServiceRecords,
} from "./local_records.ts";
import type { NetworkInterface } from "./network.ts";
import { isKnown, type ReceivedMessage } from "./sockets.ts";

/** What a {@linkcode Responder} needs. */
export interface ResponderOptions {
  clock: Clock;
  random: () => number;
  send: Send;
  /** The name of the host to begin with, one label. */
  host: string;
  /** The interfaces as they are now. */
  networks(): readonly NetworkInterface[];
  /** Whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean;
}

/**
 * Holds services on the network (RFC 6762, sections 6 to 10): has a claim on
 * each name and on that of the host, and passes on to them, and to who answers,
 * what is heard.
 */
export class Responder {
  readonly #options: ResponderOptions;
  readonly #host: Claim;
  readonly #records: LocalRecords;
  readonly #announcer: Announcer;
  readonly #answerer: Answerer;
  #nextStart = -Infinity;

  constructor(options: ResponderOptions) {
    this.#options = options;
    const { clock, random, send, host, networks } = options;
    const addresses = (on?: string): DnsRecord[] => this.#records.addresses(on);
    this.#host = new Claim({
      name: `${host}.local`,
      clock,
      random,
      records: addresses,
      probe: () => this.#announcer.probe(this.#host, addresses),
      announce: () => this.#announcer.announce(this.#host, addresses),
      nextName: (name) => `${nextHost(name.slice(0, -".local".length))}.local`,
      onRename: () => {
        for (const { claim } of this.#records.services) claim.changed();
      },
      isOwn: (record) =>
        (record.type === "A" || record.type === "AAAA") &&
        options.isOwnAddress(record.data),
    });
    this.#records = new LocalRecords(this.#host, networks);
    this.#answerer = new Answerer({
      clock,
      random,
      send,
      records: this.#records,
    });
    this.#announcer = new Announcer({
      clock,
      send,
      records: this.#records,
      interfaceNames: () => networks().map(({ name }) => name),
      onSent: (records, on) => this.#answerer.noteSent(records, on),
    });
  }

  /** The host's name, with a dot at its end. */
  get server(): string {
    return `${this.#host.name}.`;
  }

  /**
   * Puts a service on the network.
   *
   * @param records What it says; the object may be changed later, see
   * {@linkcode Claim.changed}.
   * @param onRename Called with the new instance name when it has to change.
   * @returns The registration's claim on the name.
   */
  add(records: ServiceRecords, onRename: (instance: string) => void): Claim {
    const { clock, random } = this.#options;
    const suffix = `.${records.type}`;
    const unique = (): DnsRecord[] => this.#records.unique(registration);
    const all = (on: string): DnsRecord[] => [
      ...this.#records.shared(registration),
      ...unique(),
      ...this.#records.addresses(on),
    ];
    const claim: Claim = new Claim({
      name: records.instance + suffix,
      clock,
      random,
      records: unique,
      probe: () => this.#announcer.probe(claim, unique),
      announce: () => this.#announcer.announce(claim, all),
      nextName: (name) => nextInstance(name.slice(0, -suffix.length)) + suffix,
      onRename: (name) => {
        this.#records.renamed();
        onRename(name.slice(0, -suffix.length));
      },
    });
    const registration: Registration = { records, claim };
    const isFirst = this.#records.services.size === 0;
    this.#records.add(registration);
    this.#start(isFirst ? [this.#host, claim] : [claim]);
    return claim;
  }

  /** Takes services off the network, with a goodbye (section 10.1). */
  remove(claims: readonly Claim[]): void {
    const known: Registration[] = [];
    for (const claim of claims) {
      const registration = this.#records.remove(claim);
      if (registration === undefined) continue;
      if (claim.isKnown) known.push(registration);
      this.#announcer.forget(claim);
    }
    this.#announcer.sayGoodbye(known);
    for (const claim of claims) claim.stop();
  }

  /** Probes again on all interfaces, because they changed (sections 8.4 and 13). */
  networkChanged(): void {
    if (this.#records.services.size > 0) this.#start(this.#claims());
  }

  /** Takes everything off the network. */
  close(): void {
    this.remove([...this.#records.services].map(({ claim }) => claim));
    this.#announcer.forget(this.#host);
    this.#host.stop();
    this.#answerer.close();
  }

  /** Deals with a packet. */
  receive(message: ReceivedMessage, source: Source): void {
    if (this.#records.services.size === 0) return;
    const { interfaceName } = source;
    if (message.type === "response") {
      const records = [...message.answers, ...message.additionals]
        .filter(isKnown);
      for (const claim of this.#claims()) claim.heardResponse(records);
      this.#answerer.heard(records, source);
      return;
    }
    const proposed = message.authorities.filter(isKnown);
    if (proposed.length > 0) {
      for (const claim of this.#claims()) {
        claim.heardProbe(proposed, interfaceName);
      }
    }
    this.#answerer.receive(message, source);
  }

  #claims(): Claim[] {
    return [
      this.#host,
      ...[...this.#records.services].map(({ claim }) => claim),
    ];
  }

  /** Starts to probe 0 to 250 ms from now (section 8.1), together with what starts meanwhile. */
  #start(claims: readonly Claim[]): void {
    const { clock, random } = this.#options;
    const now = clock.now();
    if (this.#nextStart <= now) {
      this.#nextStart = now + random() * PROBE_INTERVAL;
    }
    for (const claim of claims) claim.start(this.#nextStart - now);
  }
}

/** `name` → `name (2)` → `name (3)`, cut so that it still fits its label. */
export function nextInstance(instance: string): string {
  const [, base = instance, number = "1"] =
    /^(.*) \((\d{1,6})\)$/s.exec(instance) ?? [];
  const suffix = ` (${Number(number) + 1})`;
  return cutLabel(base, MAX_LABEL - suffix.length) + suffix;
}

function nextHost(host: string): string {
  const label = labelsOf(host)[0]!;
  const [, base = label, number = "1"] = /^(.*)-(\d{1,6})$/.exec(label) ?? [];
  const suffix = `-${Number(number) + 1}`;
  return cutLabel(base, MAX_LABEL - suffix.length) + suffix;
}
