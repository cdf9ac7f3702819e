import type { Clock } from "./clock.ts";
import {
  type DnsQuestion,
  type DnsRecord,
  fold,
  type Send,
  type Source,
} from "./dns_message.ts";
import { splitQuery } from "./split_query.ts";
import { type CachedRecord, RecordCache } from "./record_cache.ts";
import {
  compareAddresses,
  makeServiceInfo,
  type ServiceChange,
  type ServiceInfo,
} from "./service_info.ts";
import { isKnown, type ReceivedMessage } from "./sockets.ts";
import { decodeTxt } from "./txt.ts";

/** The most services that are followed at once. */
export const MAX_SERVICES = 2_000;
/** The most records that are remembered: about 20 MB when each is as large as can be. */
export const MAX_RECORDS = 20_000;
/** Milliseconds from the first query to the second; then twice as long each time. */
const FIRST_INTERVAL = 1_000;
const LAST_INTERVAL = 3_600_000;
/** How often what is missing of one service is asked for before it waits to be heard of again. */
const MAX_ATTEMPTS = 8;
/** Milliseconds between two looks at what is due, however much is. */
const REST = 20;
/** The most services of which something is asked for at one time, and the pause after. */
const MAX_QUESTIONS = 100;
const PAUSE = 500;

/** What a {@linkcode ServiceBrowser} needs. */
export interface ServiceBrowserOptions {
  /** The type without a dot at its end. */
  type: string;
  clock: Clock;
  random: () => number;
  send: Send;
  /** The names of the interfaces on which to ask. */
  interfaceNames(): readonly string[];
  onChange(change: ServiceChange): void;
}

interface Candidate {
  /** The full name as it was heard, without a dot at its end. */
  readonly name: string;
  /** The hosts that its SRV records have named. */
  readonly hosts: Set<string>;
  /** As it was reported last. */
  shown?: ServiceInfo;
  attempts: number;
  nextAttempt: number;
}

/**
 * Follows the services of one type: asks, remembers, resolves, renews, and
 * tells what changed. It knows no sockets and no real time.
 */
export class ServiceBrowser {
  readonly #options: ServiceBrowserOptions;
  readonly #cache: RecordCache;
  readonly #candidates = new Map<string, Candidate>();
  /** The names of those of which something is missing, oldest first. */
  readonly #incomplete = new Set<string>();
  /** The names of which something new was heard. */
  readonly #touched = new Set<string>();
  /** When something missing has to be asked for, or earlier. */
  #nextAttempt = Infinity;
  /** The services on a host, by its name. */
  readonly #namesByHost = new Map<string, Set<string>>();
  #interval = 0;
  #nextQuery = Infinity;
  #wakeAt = Infinity;
  #notBefore = 0;
  #pauseUntil = 0;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(options: ServiceBrowserOptions) {
    this.#options = options;
    this.#cache = new RecordCache(MAX_RECORDS, options.random);
  }

  /** The services that are known completely, by name. */
  get services(): ServiceInfo[] {
    return [...this.#candidates.values()].flatMap(({ shown }) => shown ?? [])
      .sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** How many records and names are remembered. */
  get size(): { records: number; services: number } {
    return { records: this.#cache.size, services: this.#candidates.size };
  }

  /** Begins to ask, or begins anew after the network changed (RFC 6762, section 5.2). */
  start(): void {
    this.#interval = FIRST_INTERVAL;
    this.#nextQuery = this.#soon();
    this.#schedule();
  }

  /** Stops; nothing is sent or reported any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Forgets what was heard on interfaces that are gone. */
  keepInterfaces(names: readonly string[]): void {
    const dropped = this.#cache.prune(
      this.#options.clock.now(),
      ({ interfaceName }) => names.includes(interfaceName),
    );
    this.#touch(this.#affectedBy(dropped));
    this.#schedule();
  }

  /** Takes in a response. */
  receive(message: ReceivedMessage, { interfaceName }: Source): void {
    if (message.type !== "response" || this.#stopped) return;
    const now = this.#options.clock.now();
    const records = [...message.answers, ...message.additionals]
      .filter(isKnown);
    const type = fold(this.#options.type);
    for (const record of records) {
      if (record.type !== "PTR" || fold(record.name) !== type) continue;
      const name = fold(record.data);
      if (!name.endsWith(`.${type}`)) continue;
      if (!this.#admit(record.data, record.ttl)) continue;
      this.#cache.add(record, interfaceName, now);
      this.#touched.add(name);
    }
    for (const record of records) {
      if (record.type !== "SRV" && record.type !== "TXT") continue;
      const name = fold(record.name);
      if (!this.#candidates.has(name)) continue;
      this.#cache.add(record, interfaceName, now);
      this.#touched.add(name);
      if (record.type === "SRV") this.#noteHost(record.data.target, name);
    }
    for (const record of records) {
      if (record.type !== "A" && record.type !== "AAAA") continue;
      const names = this.#namesByHost.get(fold(record.name));
      if (names === undefined) continue;
      this.#cache.add(record, interfaceName, now);
      this.#touch(names);
    }
    this.#schedule();
  }

  /** Makes room for a name; what is known completely is never pushed out. */
  #admit(name: string, ttl: number): boolean {
    const key = fold(name);
    if (this.#candidates.has(key)) return true;
    if (ttl === 0) return false;
    if (this.#candidates.size >= MAX_SERVICES) {
      const [oldest] = this.#incomplete;
      if (oldest === undefined) return false;
      this.#forget(oldest);
    }
    const candidate = { name, hosts: new Set<string>(), attempts: 0 };
    this.#candidates.set(key, { ...candidate, nextAttempt: Infinity });
    this.#lacksSomething(key, this.#candidates.get(key)!);
    return true;
  }

  #lacksSomething(key: string, candidate: Candidate): void {
    this.#incomplete.add(key);
    candidate.nextAttempt = this.#soon();
    this.#noteAttempt(candidate);
  }

  #noteAttempt({ nextAttempt }: Candidate): void {
    this.#nextAttempt = Math.min(this.#nextAttempt, nextAttempt);
  }

  #forget(key: string): void {
    const hosts = this.#candidates.get(key)?.hosts ?? [];
    this.#candidates.delete(key);
    this.#incomplete.delete(key);
    this.#cache.drop(this.#options.type, "PTR", key);
    this.#cache.drop(key, "SRV");
    this.#cache.drop(key, "TXT");
    for (const host of hosts) {
      const names = this.#namesByHost.get(host);
      names?.delete(key);
      if (names === undefined || names.size > 0) continue;
      this.#namesByHost.delete(host);
      this.#cache.drop(host, "A");
      this.#cache.drop(host, "AAAA");
    }
  }

  /** The names of the services that lost one of these records. */
  #affectedBy(records: readonly DnsRecord[]): Set<string> {
    const names = new Set<string>();
    for (const record of records) {
      if (record.type === "PTR") names.add(fold(record.data));
      else if (record.type === "SRV" || record.type === "TXT") {
        names.add(fold(record.name));
      } else {
        for (const name of this.#namesByHost.get(fold(record.name)) ?? []) {
          names.add(name);
        }
      }
    }
    return names;
  }

  /** Compares what is known now with what was reported. */
  #review(): void {
    const keys = [...this.#touched];
    this.#touched.clear();
    for (const key of keys) {
      const candidate = this.#candidates.get(key);
      if (candidate === undefined) continue;
      const alive = this.#cache.get(this.#options.type, "PTR", key).length > 0;
      const service = alive ? this.#resolve(candidate.name) : undefined;
      const { shown } = candidate;
      if (service !== undefined) {
        candidate.shown = service;
        candidate.attempts = 0;
        this.#incomplete.delete(key);
        if (shown === undefined) this.#report("added", service);
        else if (JSON.stringify(shown) !== JSON.stringify(service)) {
          this.#report("updated", service);
        }
      } else {
        if (shown !== undefined) {
          delete candidate.shown;
          this.#lacksSomething(key, candidate);
          this.#report("removed", shown);
        }
        if (!alive) this.#forget(key);
      }
    }
  }

  #resolve(name: string): ServiceInfo | undefined {
    const srv = newest(this.#cache.get(name, "SRV"));
    const txt = newest(this.#cache.get(name, "TXT"));
    if (srv?.type !== "SRV" || txt?.type !== "TXT") return undefined;
    const { target, port, priority, weight } = srv.data;
    const addresses = new Set(
      [...this.#cache.get(target, "A"), ...this.#cache.get(target, "AAAA")]
        .filter(({ replaced }) => !replaced)
        .map(({ record }) => record.data as string),
    );
    if (addresses.size === 0) return undefined;
    return makeServiceInfo({
      type: `${this.#options.type}.`,
      name: `${name}.`,
      port,
      addresses: [...addresses].sort(compareAddresses),
      server: `${target}.`,
      priority,
      weight,
      properties: decodeTxt(txt.data),
    });
  }

  #report(kind: ServiceChange["kind"], service: ServiceInfo): void {
    this.#options.onChange({ kind, service });
  }

  #touch(names: Iterable<string>): void {
    for (const name of names) this.#touched.add(name);
  }

  #noteHost(target: string, name: string): void {
    const host = fold(target);
    this.#candidates.get(name)?.hosts.add(host);
    const names = this.#namesByHost.get(host);
    if (names) names.add(name);
    else this.#namesByHost.set(host, new Set([name]));
  }

  #schedule(): void {
    if (this.#stopped) return;
    const next = this.#touched.size > 0
      ? 0
      : Math.min(this.#nextQuery, this.#nextAttempt, this.#cache.nextDeadline);
    const at = Math.max(this.#notBefore, next);
    if (at === this.#wakeAt) return;
    this.#cancel();
    this.#wakeAt = at;
    if (at === Infinity) return;
    const { clock } = this.#options;
    // A timer holds no more than 2^31 ms; waking early does no harm.
    const delay = Math.min(Math.max(0, at - clock.now()), LAST_INTERVAL);
    this.#cancel = clock.after(delay, () => this.#wake());
  }

  #wake(): void {
    this.#wakeAt = Infinity;
    const now = this.#options.clock.now();
    this.#notBefore = now + REST;
    this.#touch(this.#affectedBy(this.#cache.prune(now)));
    this.#review();
    const questions = [...this.#missing(now), ...this.#renewals(now)];
    if (this.#nextQuery <= now) {
      questions.push({ name: this.#options.type, type: "PTR" });
      this.#nextQuery = now + this.#interval;
      this.#interval = Math.min(this.#interval * 2, LAST_INTERVAL);
    }
    this.#ask(questions, now);
    this.#schedule();
  }

  /** What has to be asked for to know a service completely. */
  *#missing(now: number): Iterable<DnsQuestion> {
    if (now < this.#pauseUntil) {
      this.#nextAttempt = this.#pauseUntil;
      return;
    }
    let count = 0;
    this.#nextAttempt = Infinity;
    for (const key of this.#incomplete) {
      const candidate = this.#candidates.get(key)!;
      const { name, attempts, nextAttempt } = candidate;
      if (attempts >= MAX_ATTEMPTS) continue;
      if (nextAttempt > now) {
        this.#noteAttempt(candidate);
        continue;
      }
      if (++count > MAX_QUESTIONS) {
        this.#pauseUntil = this.#nextAttempt = now + PAUSE;
        return;
      }
      candidate.attempts++;
      candidate.nextAttempt = now + FIRST_INTERVAL * 2 ** attempts;
      this.#noteAttempt(candidate);
      const srv = newest(this.#cache.get(name, "SRV"));
      if (srv === undefined) yield { name, type: "SRV" };
      if (this.#cache.get(name, "TXT").length === 0) {
        yield { name, type: "TXT" };
      }
      if (srv?.type === "SRV") {
        yield { name: srv.data.target, type: "A" };
        yield { name: srv.data.target, type: "AAAA" };
      }
    }
  }

  *#renewals(now: number): Iterable<DnsQuestion> {
    for (const { record } of this.#cache.takeDue(now)) {
      yield { name: record.name, type: record.type };
    }
  }

  #ask(questions: readonly DnsQuestion[], now: number): void {
    const different = new Map(
      questions.map((q) => [`${q.type} ${fold(q.name)}`, q]),
    );
    if (different.size === 0) return;
    const asksForAll = different.has(`PTR ${fold(this.#options.type)}`);
    for (const name of this.#options.interfaceNames()) {
      const known = asksForAll ? this.#knownAnswers(name, now) : [];
      for (const message of splitQuery([...different.values()], known)) {
        this.#options.send(message, name);
      }
    }
  }

  /** What is still valid for more than half of its lifetime (section 7.1). */
  #knownAnswers(on: string, now: number): DnsRecord[] {
    const { type } = this.#options;
    const known: DnsRecord[] = [];
    for (const key of this.#candidates.keys()) {
      for (const cached of this.#cache.get(type, "PTR", key)) {
        const { record, interfaceName, expiresAt } = cached;
        const ttl = Math.floor((expiresAt - now) / 1_000);
        if (interfaceName !== on || ttl <= record.ttl / 2) continue;
        known.push({ ...record, ttl });
      }
    }
    return known;
  }

  /** A query waits 20 to 120 ms, so that hosts do not ask all at once (section 5.2). */
  #soon(): number {
    const { clock, random } = this.#options;
    return clock.now() + 20 + random() * 100;
  }
}

function newest(records: readonly CachedRecord[]): DnsRecord | undefined {
  let found: CachedRecord | undefined;
  for (const cached of records) {
    if (cached.replaced) continue;
    if (found === undefined || cached.heardAt > found.heardAt) found = cached;
  }
  return found?.record;
}
