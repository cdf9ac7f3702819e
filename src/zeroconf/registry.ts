import { Announcer } from "./announcer.ts";
import type { Clock } from "./clock.ts";
import {
  type DnsRecord,
  fold,
  type PacketSource,
  recordKey,
  type Send,
} from "./dns_message.ts";
import type { NetworkInterface } from "./interfaces.ts";
import type { Labels } from "./labels.ts";
import { nextHost, nextInstance } from "./names.ts";
import {
  type Host,
  type NetworkPlace,
  OwnRecords,
  type Service,
  type ServiceRecords,
} from "./own_records.ts";
import { PROBE_INTERVAL, Prober } from "./prober.ts";
import { Responder } from "./responder.ts";
import type { ReceivedMessage } from "./wire_format.ts";

/** Gives a {@linkcode Registry} what it needs. */
interface RegistryOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly send: Send;
  /** The interfaces as they are now. */
  networks(): readonly NetworkInterface[];
  /** Tells whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean;
}

/**
 * Holds the services of this process on the network, and the names of its host
 * (RFC 6762, sections 6 to 10). Each name has a prober. What is heard goes to
 * the probers whom it concerns, and to the responder.
 */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #records: OwnRecords;
  readonly #announcer: Announcer;
  readonly #responder: Responder;
  /** The names that hosts had to begin with. */
  readonly #wanted = new WeakMap<Host, string>();
  #nextStart = -Infinity;

  constructor(options: RegistryOptions) {
    this.#options = options;
    const { clock, random, send, networks } = options;
    this.#records = new OwnRecords(networks);
    this.#responder = new Responder({
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
      onSent: (records, on) => this.#responder.noteSent(records, on),
    });
  }

  /** The labels by which a packet is told to concern these services. */
  get labels(): Labels {
    return this.#records.labels;
  }

  /**
   * Puts a service on the network.
   *
   * @param records The object may be changed later, see {@linkcode Prober.changed}.
   * @param host The name of the host, one label, to begin with.
   * @param onRename Called with the new instance name when another host has it.
   * @returns The service with the prober of its name, which is another one from
   * the beginning where this process has the wanted one already.
   */
  add(
    records: ServiceRecords,
    host: string,
    place: NetworkPlace,
    onRename: (instance: string) => void,
  ): Service {
    const { clock, random } = this.#options;
    const suffix = `.${records.type}`;
    const unique = (on?: string): readonly DnsRecord[] =>
      on === undefined || place.interfaceNames.has(on)
        ? this.#records.unique(service)
        : [];
    const free = (name: string): string => {
      while (this.#isHeld(name)) name = nameAfter(name, suffix);
      return name;
    };
    const service: Service = {
      records,
      place,
      host: this.#hostNamed(host),
      prober: new Prober({
        name: free(records.instance + suffix),
        clock,
        random,
        records: unique,
        probe: () => this.#announcer.probe(service.prober, unique),
        announce: () =>
          this.#announcer
            .announce(service.prober, (on) => this.#allOf(service, on)),
        nextName: (taken) => free(nameAfter(taken, suffix)),
        onRename: (renamed) => {
          this.#records.renamed();
          onRename(renamed.slice(0, -suffix.length));
        },
      }),
    };
    const isFirstOfHost = service.host.services.size === 0;
    this.#records.add(service);
    this.#start(
      isFirstOfHost ? [service.host.prober, service.prober] : [service.prober],
    );
    return service;
  }

  /** Gives everything that is told of a service on an interface. */
  #allOf(service: Service, on: string): readonly DnsRecord[] {
    if (!service.place.interfaceNames.has(on)) return [];
    return [
      ...this.#records.shared(service),
      ...this.#records.unique(service),
      ...this.#records.addresses(service.host, on),
    ];
  }

  /** Changes the subtypes of a service; the pointers that are no more get a goodbye. */
  setSubtypes(service: Service, subtypes: readonly string[] = []): void {
    const { prober, place, records } = service;
    const former = this.#records.shared(service);
    records.subtypes = subtypes;
    const current = new Set(this.#records.shared(service).map(recordKey));
    const gone = former.filter((each) => !current.has(recordKey(each)));
    if (gone.length > 0 && prober.isKnown) {
      this.#announcer.withdraw(gone, place);
    }
    this.#records.renamed();
  }

  /** Takes services off the network, with a goodbye (section 10.1). */
  remove(services: readonly Service[]): void {
    const held = services.filter((each) => this.#records.services.has(each));
    this.#announcer.sayGoodbye(held.filter(({ prober }) => prober.isKnown));
    for (const service of held) {
      this.#records.remove(service);
      this.#end(service.prober);
      if (service.host.services.size === 0) this.#end(service.host.prober);
    }
    if (this.#records.services.size === 0) this.#responder.close();
  }

  /**
   * Probes again, because the network changed (sections 8.4 and 13).
   *
   * @param isAffected Tells whether a service is announced where it changed.
   */
  networkChanged(isAffected: (place: NetworkPlace) => boolean): void {
    const services = [...this.#records.services]
      .filter(({ place }) => isAffected(place));
    const hosts = new Set(services.map(({ host }) => host.prober));
    this.#start([...hosts, ...services.map(({ prober }) => prober)]);
  }

  /** Deals with a packet. */
  receive(message: ReceivedMessage, source: PacketSource): void {
    if (this.#records.services.size === 0) return;
    if (message.type === "response") {
      const records = [...message.answers, ...message.additionals];
      this.#tellProbers(
        records,
        (prober, named) => prober.heardResponse(named),
      );
      this.#responder.heard(records, source);
      return;
    }
    this.#tellProbers(
      message.authorities,
      (prober, named) => prober.heardProbe(named, source.interfaceName),
    );
    this.#responder.receive(message, source);
  }

  /** Gives each prober the records that have its name. */
  #tellProbers(
    records: readonly DnsRecord[],
    tell: (prober: Prober, named: readonly DnsRecord[]) => void,
  ): void {
    const byName = Map.groupBy(records, ({ name }) => fold(name));
    for (const [name, named] of byName) {
      for (const prober of this.#records.probersOf(name)) tell(prober, named);
    }
  }

  /** Tells whether a service of this process has the name, or tries to win it. */
  #isHeld(name: string): boolean {
    return this.#records.probersOf(fold(name)).length > 0;
  }

  #hostNamed(label: string): Host {
    const folded = fold(`${label}.local`);
    for (const host of this.#records.hosts) {
      if (this.#wanted.get(host) === folded) return host;
    }
    const { clock, random, isOwnAddress } = this.#options;
    const addresses = (on?: string): readonly DnsRecord[] =>
      on === undefined || this.#records.isOn(host, on)
        ? this.#records.addresses(host, on)
        : [];
    const host: Host = {
      services: new Set(),
      prober: new Prober({
        name: `${label}.local`,
        clock,
        random,
        records: addresses,
        probe: () => this.#announcer.probe(host.prober, addresses),
        announce: () => this.#announcer.announce(host.prober, addresses),
        nextName: (name) =>
          `${nextHost(name.slice(0, -".local".length))}.local`,
        onRename: () => {
          this.#records.renamed();
          for (const { prober } of host.services) prober.changed();
        },
        isOwn: (record) =>
          (record.type === "A" || record.type === "AAAA") &&
          isOwnAddress(record.data),
      }),
    };
    this.#wanted.set(host, folded);
    return host;
  }

  #end(prober: Prober): void {
    this.#announcer.forget(prober);
    prober.stop();
  }

  /** Starts to probe 0 to 250 ms from now (section 8.1), together with what starts meanwhile. */
  #start(probers: readonly Prober[]): void {
    const { clock, random } = this.#options;
    const now = clock.now();
    if (this.#nextStart <= now) {
      this.#nextStart = now + random() * PROBE_INTERVAL;
    }
    for (const prober of probers) prober.start(this.#nextStart - now);
  }
}

/** Gives the name to try when a service cannot have this one. */
function nameAfter(name: string, suffix: string): string {
  return nextInstance(name.slice(0, -suffix.length)) + suffix;
}
