import { type DnsQuestion, type DnsRecord, fold } from "./dns_message.ts";
import { mayBeHost } from "./interfaces.ts";
import { baseOf } from "./names.ts";
import type { NetworkPlace } from "./own_records.ts";
import type { Follower } from "./querier.ts";
import { type CachedRecord, newest, type RecordCache } from "./record_cache.ts";
import {
  compareAddresses,
  makeServiceInfo,
  type ServiceChange,
  type ServiceInfo,
} from "./service_info.ts";

/** Gives a {@linkcode ServiceBrowser} what it needs. */
interface ServiceBrowserOptions {
  /** The type without a dot at its end. */
  readonly type: string;
  readonly place: NetworkPlace;
  readonly cache: RecordCache;
  /** Tells whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean;
  /** Tells whether an address is on the network of an interface. */
  isOnLink(interfaceName: string, address: string): boolean;
  /** Called with each change, in order. */
  onChange(change: ServiceChange): void;
}

/**
 * Follows the services of one type: makes each of its records in the cache
 * (RFC 6763, section 5), and tells what changed.
 */
export class ServiceBrowser implements Follower {
  readonly #options: ServiceBrowserOptions;
  /** The services as they were reported last, by their folded names. */
  readonly #shown = new Map<string, ServiceInfo>();
  /** The type in the names of the services, which a subtype is not. */
  readonly #base: string;
  readonly #suffix: string;

  constructor(options: ServiceBrowserOptions) {
    this.#options = options;
    this.#base = baseOf(options.type);
    this.#suffix = `.${fold(this.#base)}`;
  }

  get type(): string {
    return this.#options.type;
  }

  get place(): NetworkPlace {
    return this.#options.place;
  }

  /** The services that are known completely, by name. */
  get services(): ServiceInfo[] {
    return [...this.#shown.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Compares what is known now with what was reported. */
  review(names: ReadonlySet<string>): void {
    for (const key of names) {
      if (!key.endsWith(this.#suffix)) continue;
      const [pointer] = this.#here(this.type, "PTR", key);
      const service = pointer?.record.type === "PTR"
        ? this.#resolve(pointer.record.data)
        : undefined;
      const shown = this.#shown.get(key);
      if (service !== undefined) {
        this.#shown.set(key, service);
        if (shown === undefined) this.#report("added", service);
        else if (JSON.stringify(shown) !== JSON.stringify(service)) {
          this.#report("updated", service);
        }
      } else if (shown !== undefined) {
        this.#shown.delete(key);
        this.#report("removed", shown);
      }
    }
  }

  missing(name: string): DnsQuestion[] {
    if (this.#here(this.type, "PTR", name).length === 0) return [];
    const questions: DnsQuestion[] = [];
    const srv = newest(this.#here(name, "SRV"))?.record;
    if (srv === undefined) questions.push({ name, type: "SRV" });
    if (newest(this.#here(name, "TXT")) === undefined) {
      questions.push({ name, type: "TXT" });
    }
    if (
      srv?.type === "SRV" && this.#addressesOf(srv.data.target).length === 0
    ) {
      questions.push({ name: srv.data.target, type: "A" });
      questions.push({ name: srv.data.target, type: "AAAA" });
    }
    return questions;
  }

  #resolve(name: string): ServiceInfo | undefined {
    const txt = newest(this.#here(name, "TXT"))?.record;
    if (txt?.type !== "TXT") return undefined;
    // While the addresses of a new host are asked for, the former one counts.
    const byAge = this.#here(name, "SRV").sort((a, b) =>
      Number(a.replaced) - Number(b.replaced) || b.heardAt - a.heardAt
    );
    for (const { record, interfaceName, from } of byAge) {
      if (record.type !== "SRV") continue;
      const { target, port, priority, weight } = record.data;
      const addresses = this.#reachable(
        this.#addressesOf(target),
        interfaceName,
        from,
      );
      if (addresses.length === 0) continue;
      return makeServiceInfo({
        type: `${this.#base}.`,
        name: `${name}.`,
        port,
        addresses,
        server: `${target}.`,
        priority,
        weight,
        txt: txt.data,
      });
    }
    return undefined;
  }

  #addressesOf(host: string): string[] {
    const records = [...this.#here(host, "A"), ...this.#here(host, "AAAA")];
    return [
      ...new Set(
        records.filter(({ replaced }) => !replaced)
          .map(({ record }) => record.data as string),
      ),
    ];
  }

  /**
   * Sorts the addresses of another host. One that is ours too, such as that of
   * a container's bridge which each host has, leads to ourselves. So does
   * 0.0.0.0, and others are no host's.
   */
  #reachable(
    addresses: readonly string[],
    heardOn: string,
    from: string,
  ): string[] {
    const { isOwnAddress, isOnLink } = this.#options;
    const hosts = addresses.filter(mayBeHost);
    const foreign = hosts.filter((address) => !isOwnAddress(address));
    const isHere = foreign.length === 0 || isOwnAddress(from);
    const isFar = (address: string): boolean =>
      !address.includes(":") && !isOnLink(heardOn, address);
    return [...isHere ? hosts : foreign].sort((a, b) =>
      Number(a.includes(":")) - Number(b.includes(":")) ||
      Number(isFar(a)) - Number(isFar(b)) || compareAddresses(a, b)
    );
  }

  #here(
    name: string,
    type: DnsRecord["type"],
    target?: string,
  ): CachedRecord[] {
    const { cache, place } = this.#options;
    return cache.get(name, type, target)
      .filter(({ interfaceName }) => place.interfaceNames.has(interfaceName));
  }

  #report(kind: ServiceChange["kind"], service: ServiceInfo): void {
    this.#options.onChange({ kind, service });
  }
}
