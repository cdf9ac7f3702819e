import { type DnsQuestion, type DnsRecord, fold } from "./dns_message.ts";
import { FIRST_INTERVAL } from "./query_schedule.ts";
import { newest, type RecordCache } from "./record_cache.ts";
import type { ServiceInfo } from "./service_info.ts";

/** The most services that are followed at once. */
export const MAX_SERVICES = 2_000;
/** How often what is missing of one service is asked for before it waits to be heard of again. */
const MAX_ATTEMPTS = 8;
/** The most services of which something is asked for at one time, and the pause after. */
const MAX_QUESTIONS = 100;
const PAUSE = 500;

/** A service that was heard of. */
export interface Candidate {
  /** The full name as it was heard, without a dot at its end. */
  readonly name: string;
  /** The hosts that its SRV records have named. */
  readonly hosts: Set<string>;
  /** As it was reported last. */
  shown?: ServiceInfo;
  attempts: number;
  nextAttempt: number;
}

/** What {@linkcode Candidates} need. */
export interface CandidatesOptions {
  /** The type without a dot at its end. */
  type: string;
  /** Where the records of the services are. */
  cache: RecordCache;
  /** A moment from now, when to ask. */
  soon: () => number;
}

/**
 * The services that were heard of, at most so many, by their folded names; and
 * what has to be asked for to resolve each (RFC 6763, section 5).
 */
export class Candidates {
  readonly #options: CandidatesOptions;
  readonly #all = new Map<string, Candidate>();
  /** The names of those of which something is missing, oldest first. */
  readonly #incomplete = new Set<string>();
  /** The services on a host, by its name. */
  readonly #namesByHost = new Map<string, Set<string>>();
  /** When something missing has to be asked for, or earlier. */
  #nextAttempt = Infinity;
  #pauseUntil = 0;

  constructor(options: CandidatesOptions) {
    this.#options = options;
  }

  /** How many there are. */
  get size(): number {
    return this.#all.size;
  }

  /** When something missing has to be asked for, or earlier. */
  get nextAttempt(): number {
    return this.#nextAttempt;
  }

  /** Their names. */
  keys(): Iterable<string> {
    return this.#all.keys();
  }

  /** All of them. */
  values(): Iterable<Candidate> {
    return this.#all.values();
  }

  /** The one with this folded name. */
  get(key: string): Candidate | undefined {
    return this.#all.get(key);
  }

  /**
   * Makes room for a name; what is known completely is never pushed out.
   *
   * @param ttl The lifetime of the pointer to it.
   * @returns Whether there is room.
   */
  admit(name: string, ttl: number): boolean {
    const key = fold(name);
    if (this.#all.has(key)) return true;
    if (ttl === 0) return false;
    if (this.#all.size >= MAX_SERVICES) {
      const [oldest] = this.#incomplete;
      if (oldest === undefined) return false;
      this.forget(oldest);
    }
    const hosts = new Set<string>();
    this.#all.set(key, { name, hosts, attempts: 0, nextAttempt: Infinity });
    this.lacksSomething(key);
    return true;
  }

  /** Notes that something is missing. */
  lacksSomething(key: string): void {
    const candidate = this.#all.get(key)!;
    this.#incomplete.add(key);
    candidate.nextAttempt = this.#options.soon();
    this.#noteAttempt(candidate);
  }

  /** Notes that nothing is missing. */
  isComplete(key: string): void {
    this.#all.get(key)!.attempts = 0;
    this.#incomplete.delete(key);
  }

  /** Forgets one with all its records. */
  forget(key: string): void {
    const { type, cache } = this.#options;
    const hosts = this.#all.get(key)?.hosts ?? [];
    this.#all.delete(key);
    this.#incomplete.delete(key);
    cache.drop(type, "PTR", key);
    cache.drop(key, "SRV");
    cache.drop(key, "TXT");
    for (const host of hosts) {
      const names = this.#namesByHost.get(host);
      names?.delete(key);
      if (names === undefined || names.size > 0) continue;
      this.#namesByHost.delete(host);
      cache.drop(host, "A");
      cache.drop(host, "AAAA");
    }
  }

  /** Notes that a service is on a host. */
  noteHost(target: string, key: string): void {
    const host = fold(target);
    this.#all.get(key)?.hosts.add(host);
    const names = this.#namesByHost.get(host);
    if (names) names.add(key);
    else this.#namesByHost.set(host, new Set([key]));
  }

  /** The names of the services on a host. */
  onHost(host: string): ReadonlySet<string> | undefined {
    return this.#namesByHost.get(fold(host));
  }

  /** The names of the services to which one of these records belongs. */
  affectedBy(records: readonly DnsRecord[]): Set<string> {
    const keys = new Set<string>();
    for (const record of records) {
      if (record.type === "PTR") keys.add(fold(record.data));
      else if (record.type === "SRV" || record.type === "TXT") {
        keys.add(fold(record.name));
      } else {
        for (const key of this.onHost(record.name) ?? []) keys.add(key);
      }
    }
    return keys;
  }

  /** The questions that are due at this time, to know the services completely. */
  *missing(now: number): Iterable<DnsQuestion> {
    if (now < this.#pauseUntil) {
      this.#nextAttempt = this.#pauseUntil;
      return;
    }
    let count = 0;
    this.#nextAttempt = Infinity;
    for (const key of this.#incomplete) {
      const candidate = this.#all.get(key)!;
      if (candidate.attempts >= MAX_ATTEMPTS) continue;
      if (candidate.nextAttempt > now) {
        this.#noteAttempt(candidate);
        continue;
      }
      if (++count > MAX_QUESTIONS) {
        this.#pauseUntil = this.#nextAttempt = now + PAUSE;
        return;
      }
      candidate.nextAttempt = now + FIRST_INTERVAL * 2 ** candidate.attempts;
      candidate.attempts++;
      this.#noteAttempt(candidate);
      yield* this.#questionsFor(candidate.name);
    }
  }

  *#questionsFor(name: string): Iterable<DnsQuestion> {
    const { cache } = this.#options;
    const srv = newest(cache.get(name, "SRV"));
    if (srv === undefined) yield { name, type: "SRV" };
    if (cache.get(name, "TXT").length === 0) yield { name, type: "TXT" };
    if (srv?.type === "SRV") {
      yield { name: srv.data.target, type: "A" };
      yield { name: srv.data.target, type: "AAAA" };
    }
  }

  #noteAttempt({ nextAttempt }: Candidate): void {
    this.#nextAttempt = Math.min(this.#nextAttempt, nextAttempt);
  }
}
