import type { Claim } from "./claim.ts";
import {
  type DnsRecord,
  fold,
  type QuestionType,
  RECORD_TYPES,
} from "./dns_message.ts";
import type { NetworkInterface } from "./network.ts";

/** Seconds that records with a host's name stay valid (RFC 6762, section 10). */
const HOST_TTL = 120;
/** Seconds that all other records stay valid. */
const OTHER_TTL = 4_500;
/** The name under which all service types are listed (RFC 6763, section 9). */
const ALL_TYPES = "_services._dns-sd._udp.local";

/** What a service says about itself. */
export interface ServiceRecords {
  /** The type without a dot at its end. */
  type: string;
  /** The name to begin with, without the type. */
  instance: string;
  port: number;
  txt: Uint8Array[];
}

/** A service with its claim on a name. */
export interface Registration {
  readonly records: ServiceRecords;
  readonly claim: Claim;
}

/** What this host has to say: the records of its name and of its services. */
export class LocalRecords {
  readonly #host: Claim;
  readonly #networks: () => readonly NetworkInterface[];
  readonly #services = new Set<Registration>();
  #byName: Map<string, Registration> | undefined;
  #known: {
    networks?: readonly NetworkInterface[];
    name?: string;
    byInterface: Map<string | undefined, DnsRecord[]>;
  } = { byInterface: new Map() };

  /**
   * @param host The claim on the host's name.
   * @param networks The interfaces as they are now.
   */
  constructor(host: Claim, networks: () => readonly NetworkInterface[]) {
    this.#host = host;
    this.#networks = networks;
  }

  /** The services, also those whose names are not won yet. */
  get services(): ReadonlySet<Registration> {
    return this.#services;
  }

  /** Adds a service. */
  add(registration: Registration): void {
    this.#services.add(registration);
    this.renamed();
  }

  /** Takes the service with this claim away, and returns it. */
  remove(claim: Claim): Registration | undefined {
    const found = [...this.#services].find((each) => each.claim === claim);
    if (found) this.#services.delete(found);
    this.renamed();
    return found;
  }

  /** Looks the names up anew, because one has changed. */
  renamed(): void {
    this.#byName = undefined;
  }

  /**
   * The answers to a question, from names that are won. Where such a name has
   * no record of the type, that is the answer (RFC 6762, section 6.1).
   *
   * @param on The interface on which it was asked.
   */
  answer(name: string, type: string, on: string): DnsRecord[] {
    const asked = fold(name);
    const own = this.#ownedBy(asked, on);
    if (own === undefined) {
      return type === "PTR" || type === "ANY" ? this.#pointers(asked) : [];
    }
    const found = own.filter((record) =>
      type === "ANY" || record.type === type
    );
    if (found.length > 0 || own.length === 0 || !isType(type)) return found;
    const types = [...new Set(own.map((record) => record.type))];
    const ttl = HOST_TTL;
    return [{
      type: "NSEC",
      name: own[0]!.name,
      ttl,
      flush: true,
      data: types,
    }];
  }

  /** What whoever asked will want next (RFC 6763, section 12). */
  additionals(answer: DnsRecord, on: string): DnsRecord[] {
    if (answer.type === "TXT" || answer.type === "NSEC") return [];
    if (answer.type === "PTR" && fold(answer.name) === ALL_TYPES) return [];
    const service = answer.type === "PTR"
      ? this.#ownedBy(fold(answer.data), on) ?? []
      : [];
    const host = this.#ownedBy(fold(this.#host.name), on) ?? [];
    return [...service, ...host];
  }

  /** The pointers to a service, which other hosts may have too. */
  shared({ records: { type }, claim }: Registration): DnsRecord[] {
    const common = { type: "PTR", ttl: OTHER_TTL, flush: false } as const;
    return [
      { ...common, name: type, data: claim.name },
      { ...common, name: ALL_TYPES, data: type },
    ];
  }

  /** The records under the name of a service. */
  unique({ records, claim: { name } }: Registration): DnsRecord[] {
    const { port, txt } = records;
    const target = this.#host.name;
    return [
      {
        type: "SRV",
        name,
        ttl: HOST_TTL,
        flush: true,
        data: { priority: 0, weight: 0, port, target },
      },
      { type: "TXT", name, ttl: OTHER_TTL, flush: true, data: txt },
    ];
  }

  /** The records under the name of the host, on one interface or on all. */
  addresses(on?: string): DnsRecord[] {
    const networks = this.#networks();
    const { name } = this.#host;
    // They go with every answer, so they are not made anew for each.
    if (networks !== this.#known.networks || name !== this.#known.name) {
      this.#known = { networks, name, byInterface: new Map() };
    }
    let records = this.#known.byInterface.get(on);
    if (records === undefined) {
      records = this.#makeAddresses(on);
      this.#known.byInterface.set(on, records);
    }
    return records;
  }

  #makeAddresses(on?: string): DnsRecord[] {
    const common = { name: this.#host.name, ttl: HOST_TTL, flush: true };
    return this.#networks()
      .filter(({ name }) => on === undefined || name === on)
      .flatMap(({ ipv4, ipv6 }): DnsRecord[] => [
        ...ipv4.map(({ address }) =>
          ({ ...common, type: "A", data: address }) as const
        ),
        ...ipv6.map((data) => ({ ...common, type: "AAAA", data }) as const),
      ]);
  }

  /** All records under a name that this host alone has, or undefined. */
  #ownedBy(folded: string, on: string): DnsRecord[] | undefined {
    if (folded === fold(this.#host.name)) {
      return this.#host.announced ? this.addresses(on) : undefined;
    }
    this.#byName ??= new Map(
      [...this.#services].map((each) => [fold(each.claim.name), each]),
    );
    const service = this.#byName.get(folded);
    return service?.claim.announced ? this.unique(service) : undefined;
  }

  #pointers(folded: string): DnsRecord[] {
    const pointers: DnsRecord[] = [];
    for (const registration of this.#services) {
      const { claim, records: { type } } = registration;
      const isAsked = folded === ALL_TYPES || folded === fold(type);
      if (!isAsked || !claim.announced) continue;
      pointers.push(
        ...this.shared(registration).filter(({ name }) =>
          fold(name) === folded
        ),
      );
    }
    return pointers;
  }
}

function isType(type: string): type is Exclude<QuestionType, "ANY"> {
  return (RECORD_TYPES as readonly string[]).includes(type);
}
