import {
  type DnsRecord,
  fold,
  recordKey,
  type RecordType,
} from "./dns_message.ts";
import type { NetworkInterface } from "./interfaces.ts";
import { Labels } from "./labels.ts";
import { ALL_TYPES } from "./names.ts";
import type { Prober } from "./prober.ts";

/** Seconds that records with a host's name stay valid (RFC 6762, section 10). */
const HOST_TTL = 120;
/** Seconds that all other records stay valid. */
const OTHER_TTL = 4_500;

/** Holds what a service says about itself. */
export interface ServiceRecords {
  /** The type without a dot at its end. */
  type: string;
  /** The names under which it is found too, such as `_printer._sub._http._tcp.local`. */
  subtypes?: readonly string[];
  /** The name to begin with, without the type. */
  instance: string;
  port: number;
  txt: readonly Uint8Array[];
}

/** Says where a service is announced. */
export interface NetworkPlace {
  /** The names of the interfaces as they are now. */
  readonly interfaceNames: ReadonlySet<string>;
}

/** A name of this host, under which its addresses are. */
export interface Host {
  readonly prober: Prober;
  /** The services whose SRV records name it. */
  readonly services: Set<Service>;
}

/** A service of this host. */
export interface Service {
  readonly records: ServiceRecords;
  readonly prober: Prober;
  readonly host: Host;
  readonly place: NetworkPlace;
}

/** Keeps the records of this host's names and services, and answers from them. */
export class OwnRecords {
  readonly #networks: () => readonly NetworkInterface[];
  readonly #services = new Set<Service>();
  readonly #hosts = new Set<Host>();
  /** Made anew when a name has changed or is gone. */
  #index: Index | undefined;
  readonly #made = new WeakMap<Service, Made>();
  readonly #addresses = new WeakMap<Host, {
    networks: readonly NetworkInterface[];
    name: string;
    byInterface: Map<string | undefined, AddressRecords>;
  }>();

  /** @param networks The interfaces as they are now. */
  constructor(networks: () => readonly NetworkInterface[]) {
    this.#networks = networks;
  }

  /** The services, also those whose names are not won yet. */
  get services(): ReadonlySet<Service> {
    return this.#services;
  }

  /** The names of this host that have services. */
  get hosts(): ReadonlySet<Host> {
    return this.#hosts;
  }

  /** Adds a service, and its host where that has none yet. */
  add(service: Service): void {
    this.#services.add(service);
    this.#hosts.add(service.host);
    service.host.services.add(service);
    this.#index?.add(service);
  }

  /** Takes a service away, and its host with the last one. */
  remove(service: Service): void {
    const { host } = service;
    this.#services.delete(service);
    host.services.delete(service);
    if (host.services.size === 0) this.#hosts.delete(host);
    this.renamed();
  }

  /** Looks the names up anew, because one has changed. */
  renamed(): void {
    this.#index = undefined;
  }

  /** The probers of the names that fold to this one: several where one is just being given up. */
  probersOf(folded: string): readonly Prober[] {
    return this.#indexed.probers.get(folded) ?? [];
  }

  /** The labels by which a packet is told to concern these names. */
  get labels(): Labels {
    return this.#indexed.labels;
  }

  /**
   * The answers to a question, from names that are won. Where such a name has
   * no record of the type, that is the answer (RFC 6762, section 6.1).
   *
   * @param on The interface on which it was asked.
   */
  answer(name: string, type: string, on: string): readonly DnsRecord[] {
    const asked = fold(name);
    const own = this.#ownedBy(asked, on);
    if (own === undefined) {
      return type === "PTR" || type === "ANY" ? this.#pointers(asked, on) : [];
    }
    if (type === "ANY") return own;
    const found = own.filter((record) => record.type === type);
    return found.length > 0 || own.length === 0 ? found : [absence(own)];
  }

  /**
   * Adds what whoever asked will want next (RFC 6763, section 12; RFC 6762,
   * section 6.2).
   */
  additionals(answer: DnsRecord, on: string): readonly DnsRecord[] {
    switch (answer.type) {
      case "PTR": {
        const service = this.#indexed.services.get(fold(answer.data))
          ?.find(({ prober }) => prober.announced);
        if (service === undefined) return [];
        return [...this.unique(service), ...this.#whereIs(service.host, on)];
      }
      case "SRV":
        return this.#whereIs(
          this.#indexed.hosts.get(fold(answer.data.target)),
          on,
        );
      case "A":
      case "AAAA":
        return this.#whereIs(this.#indexed.hosts.get(fold(answer.name)), on);
      default:
        return [];
    }
  }

  /** The own record that says the same as another, if one is announced on an interface. */
  same(record: DnsRecord, on: string): DnsRecord | undefined {
    let own: readonly DnsRecord[];
    if (record.type === "PTR") {
      const { services, types } = this.#indexed;
      const named = fold(record.name) === ALL_TYPES ? types : services;
      const service = named.get(fold(record.data))?.find((each) =>
        isAnnounced(each, on)
      );
      own = service === undefined ? [] : this.shared(service);
    } else own = this.answer(record.name, record.type, on);
    return own.find((each) => recordKey(each) === recordKey(record));
  }

  /** The pointers to a service, which other hosts may have too; the last one is to its type. */
  shared(service: Service): readonly DnsRecord[] {
    return this.#recordsOf(service).shared;
  }

  /** The records under the name of a service. */
  unique(service: Service): readonly DnsRecord[] {
    return this.#recordsOf(service).unique;
  }

  /** They are asked for often and change seldom. */
  #recordsOf(service: Service): Made {
    const { records, prober: { name }, host } = service;
    const { type, port, txt, subtypes = [] } = records;
    const target = host.prober.name;
    const key = `${port} ${target} ${name} ${txt.join()} ${subtypes.join()}`;
    let made = this.#made.get(service);
    if (made?.key === key) return made;
    const common = { type: "PTR", ttl: OTHER_TTL, flush: false } as const;
    const own = { name, flush: true } as const;
    const data = { priority: 0, weight: 0, port, target };
    made = {
      key,
      shared: [
        { ...common, name: type, data: name },
        ...subtypes.map((each) => ({ ...common, name: each, data: name })),
        { ...common, name: ALL_TYPES, data: type },
      ],
      unique: [
        { ...own, type: "SRV", ttl: HOST_TTL, data },
        { ...own, type: "TXT", ttl: OTHER_TTL, data: [...txt] },
      ],
    };
    this.#made.set(service, made);
    return made;
  }

  /** The records under a name of the host, on one interface or on all. */
  addresses(host: Host, on?: string): readonly DnsRecord[] {
    return this.#addressesOf(host, on).own;
  }

  isOn({ services }: Host, on: string): boolean {
    return [...services].some(({ place }) => place.interfaceNames.has(on));
  }

  /** They go with every answer, so they are not made anew for each. */
  #addressesOf(host: Host, on?: string): AddressRecords {
    const networks = this.#networks();
    const { name } = host.prober;
    let known = this.#addresses.get(host);
    if (networks !== known?.networks || name !== known.name) {
      known = { networks, name, byInterface: new Map() };
      this.#addresses.set(host, known);
    }
    let made = known.byInterface.get(on);
    if (made === undefined) {
      const own = makeAddresses(name, networks, on);
      const isMixed = new Set(own.map(({ type }) => type)).size !== 1;
      made = { own, complete: isMixed ? own : [...own, absence(own)] };
      known.byInterface.set(on, made);
    }
    return made;
  }

  /** The addresses as they go with other answers. */
  #whereIs(host: Host | undefined, on: string): readonly DnsRecord[] {
    return host?.prober.announced ? this.#addressesOf(host, on).complete : [];
  }

  /** All records under a name that this host alone has, or undefined. */
  #ownedBy(folded: string, on: string): readonly DnsRecord[] | undefined {
    const host = this.#indexed.hosts.get(folded);
    if (host?.prober.announced && this.isOn(host, on)) {
      return this.addresses(host, on);
    }
    const service = this.#indexed.services.get(folded)?.find((each) =>
      isAnnounced(each, on)
    );
    return service && this.unique(service);
  }

  #pointers(folded: string, on: string): DnsRecord[] {
    return (this.#indexed.types.get(folded) ?? [])
      .filter((service) => isAnnounced(service, on))
      .flatMap((service) => this.shared(service))
      .filter(({ name }) => fold(name) === folded);
  }

  get #indexed(): Index {
    return this.#index ??= new Index(this.#services, this.#hosts);
  }
}

/** The services by name and by type, and the hosts by name. */
class Index {
  readonly services = new Map<string, Service[]>();
  readonly hosts = new Map<string, Host>();
  readonly types = new Map<string, Service[]>();
  readonly probers = new Map<string, Prober[]>();
  readonly labels = new Labels();

  constructor(services: Iterable<Service>, hosts: Iterable<Host>) {
    for (const service of services) this.#add(service);
    for (const host of hosts) this.#addHost(host);
  }

  /** Adds a service, and its host where that has none yet. */
  add(service: Service): void {
    this.#add(service);
    if (service.host.services.size === 1) this.#addHost(service.host);
  }

  #add(service: Service): void {
    const { prober, records: { type, subtypes = [] } } = service;
    const name = fold(prober.name);
    push(this.services, name, service);
    push(this.probers, name, prober);
    for (const each of [ALL_TYPES, fold(type), ...subtypes.map(fold)]) {
      push(this.types, each, service);
      this.labels.add(each);
    }
  }

  #addHost(host: Host): void {
    const name = fold(host.prober.name);
    this.hosts.set(name, host);
    push(this.probers, name, host.prober);
    this.labels.add(name);
  }
}

function push<Value>(
  map: Map<string, Value[]>,
  key: string,
  value: Value,
): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}

interface Made {
  /** Changes with what the records are made of. */
  readonly key: string;
  readonly shared: readonly DnsRecord[];
  readonly unique: readonly DnsRecord[];
}

interface AddressRecords {
  readonly own: readonly DnsRecord[];
  /** With the record that says that there are no others. */
  readonly complete: readonly DnsRecord[];
}

function makeAddresses(
  name: string,
  networks: readonly NetworkInterface[],
  on: string | undefined,
): DnsRecord[] {
  const common = { name, ttl: HOST_TTL, flush: true };
  return networks
    .filter((network) => on === undefined || network.name === on)
    .flatMap(({ ipv4, ipv6 }): DnsRecord[] => [
      ...ipv4.map(({ address }) =>
        ({ ...common, type: "A", data: address }) as const
      ),
      ...ipv6.map((data) => ({ ...common, type: "AAAA", data }) as const),
    ]);
}

function isAnnounced({ prober, place }: Service, on: string): boolean {
  return prober.announced && place.interfaceNames.has(on);
}

/** Says that a name has these types of records and no others (RFC 6762, section 6.1). */
function absence(own: readonly DnsRecord[]): DnsRecord {
  const data = [...new Set(own.map(({ type }) => type as RecordType))];
  const { name } = own[0]!;
  return { type: "NSEC", name, ttl: HOST_TTL, flush: true, data };
}
