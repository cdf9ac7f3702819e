import {
  type DnsQuestion,
  type DnsRecord,
  fold,
  type PacketSource,
} from "./dns_message.ts";
import type { Labels } from "./labels.ts";
import type { RecordCache } from "./record_cache.ts";

/** The most services that are followed at once. */
export const MAX_SERVICES = 2_000;
/** Milliseconds between the first two attempts to learn what is missing; then twice as long each time. */
const FIRST_PAUSE = 1_000;
/** The longest pause where the service was there before, so that it is seen again soon. */
const LONGEST_PAUSE = 8_000;
/** The number of times that what is missing of a service is asked for. */
const MAX_ATTEMPTS = 8;
/** The most services of which something is asked for at one time, and the pause after, in milliseconds. */
const MAX_ASKED = 100;
const REST = 500;

/** Gives {@linkcode Instances} what they need. */
interface InstancesOptions {
  /** The cache with the records of the services. */
  readonly cache: RecordCache;
  /** Follows the names of the hosts that services are on. */
  readonly labels: Labels;
  readonly random: () => number;
  /** The questions whose answers are missing of a service of a type. */
  missing(type: string, name: string): readonly DnsQuestion[];
  /** Called with the key of a service that made room for another one. */
  dropped(key: string): void;
}

/** A service that was heard of. */
interface Instance {
  /** The full name as it was heard, without a dot at its end. */
  readonly name: string;
  /** The type and the subtypes that were heard of, folded. */
  readonly types: Set<string>;
  /** The address of the host that told of it. */
  readonly from: string;
  /** True if we alone were told, so that nobody else asks for the rest now. */
  readonly isDirect: boolean;
  /** The hosts that its SRV records have named, folded. */
  readonly hosts: Set<string>;
  /** Remembers what was asked for, and when it will be again. */
  readonly asked: Map<string, { attempts: number; next: number }>;
  /** True if it was known completely at any time. */
  wasComplete: boolean;
}

/**
 * The services that were heard of, at most so many, by their folded names; and
 * what has to be asked for to resolve each (RFC 6763, section 5).
 */
export class Instances {
  readonly #options: InstancesOptions;
  readonly #all = new Map<string, Instance>();
  /** The keys of those of which something is missing, oldest first. */
  readonly #incomplete = new Set<string>();
  /** The keys by the address that told of them, by type, and by host. */
  readonly #bySender = new Map<string, Set<string>>();
  /** When something was heard of those that tell of services. */
  readonly #aliveAt = new Map<string, number>();
  readonly #byType = new Map<string, Set<string>>();
  readonly #byHost = new Map<string, Set<string>>();
  #nextAttempt = Infinity;
  #restUntil = -Infinity;

  constructor(options: InstancesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#all.size;
  }

  /** When something missing has to be asked for, or earlier. */
  get nextAttempt(): number {
    return this.#nextAttempt;
  }

  has(key: string): boolean {
    return this.#all.has(key);
  }

  get keys(): Iterable<string> {
    return this.#all.keys();
  }

  /** The types of one, folded. */
  typesOf(key: string): string[] {
    return [...this.#all.get(key)?.types ?? []];
  }

  /** The names and types of the records of which one is made, the pointer apart. */
  *recordsOf(key: string): Iterable<[string, DnsRecord["type"]]> {
    const instance = this.#all.get(key);
    if (instance === undefined) return;
    yield [key, "SRV"];
    yield [key, "TXT"];
    for (const host of instance.hosts) {
      yield [host, "A"];
      yield [host, "AAAA"];
    }
  }

  /** The names of those of a type. */
  ofType(type: string): string[] {
    return [...this.#byType.get(type) ?? []].map((key) =>
      this.#all.get(key)!.name
    );
  }

  /** The names of those of a type of which nothing is missing. */
  complete(type: string): string[] {
    return [...this.#byType.get(type) ?? []]
      .filter((key) => !this.#incomplete.has(key))
      .map((key) => this.#all.get(key)!.name);
  }

  /** The keys of the services on a host. */
  onHost(host: string): ReadonlySet<string> | undefined {
    return this.#byHost.get(fold(host));
  }

  /** The keys of the services to which one of these records belongs. */
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

  /**
   * Makes room for the service to which a pointer points.
   *
   * @returns Whether there is room.
   */
  admit(
    { name: type, data, ttl }: DnsRecord & { type: "PTR" },
    { address, unicast = false }: PacketSource,
    now: number,
  ): boolean {
    const key = fold(data);
    const known = this.#all.get(key);
    if (known !== undefined) {
      if (ttl > 0 && !known.types.has(fold(type))) {
        known.types.add(fold(type));
        add(this.#byType, fold(type), key);
        this.#lacksSomething(key, now);
      }
      return true;
    }
    if (ttl === 0) return false;
    if (this.#all.size >= MAX_SERVICES && !this.#makeRoom(address)) {
      return false;
    }
    this.#all.set(key, {
      name: data,
      types: new Set([fold(type)]),
      from: address,
      isDirect: unicast,
      hosts: new Set(),
      asked: new Map(),
      wasComplete: false,
    });
    add(this.#bySender, address, key);
    add(this.#byType, fold(type), key);
    this.#lacksSomething(key, now);
    return true;
  }

  /**
   * Looks whether a service is known completely now, and forgets it when
   * nobody points to it any more.
   */
  review(key: string, now: number): void {
    const instance = this.#all.get(key);
    if (instance === undefined) return;
    const { name, types } = instance;
    for (const type of types) {
      if (this.#options.cache.get(type, "PTR", name).length > 0) continue;
      if (types.size === 1) return this.forget(key);
      types.delete(type);
      remove(this.#byType, type, key);
    }
    if (this.#missing(instance).length > 0) {
      this.#lacksSomething(key, now);
    } else {
      this.#incomplete.delete(key);
      instance.asked.clear();
      instance.wasComplete = true;
    }
  }

  /** Notes that a service is on a host. */
  noteHost(target: string, key: string): void {
    const host = fold(target);
    this.#all.get(key)!.hosts.add(host);
    if (!this.#byHost.has(host)) this.#options.labels.add(host);
    add(this.#byHost, host, key);
  }

  /** Notes that something was heard from an address: what is missing from there is asked for at once. */
  noteAlive(address: string, now: number): void {
    const keys = this.#bySender.get(address);
    if (keys === undefined || this.#incomplete.size === 0) return;
    // Looking through all of them for each packet would be too much.
    const before = this.#aliveAt.get(address) ?? -Infinity;
    if (now - before < FIRST_PAUSE) return;
    this.#aliveAt.set(address, now);
    for (const key of keys) {
      if (this.#incomplete.has(key)) this.#askSoon(this.#all.get(key)!, now);
    }
  }

  /** Asks for all that is missing as if for the first time. */
  askAgain(now: number): void {
    for (const key of this.#incomplete) {
      this.#all.get(key)!.asked.clear();
      this.#lacksSomething(key, now);
    }
  }

  /** Forgets those of a type, as far as nobody points to them from another one. */
  forgetType(type: string): void {
    for (const key of this.#byType.get(type) ?? []) {
      const { types } = this.#all.get(key)!;
      if (types.size === 1) this.forget(key);
      else {
        types.delete(type);
        remove(this.#byType, type, key);
        this.#options.cache.drop(type, "PTR", key);
      }
    }
  }

  /** Forgets one with all its records. */
  forget(key: string): void {
    const instance = this.#all.get(key);
    if (instance === undefined) return;
    const { cache } = this.#options;
    const { types, from, hosts } = instance;
    this.#all.delete(key);
    this.#incomplete.delete(key);
    if (remove(this.#bySender, from, key)) this.#aliveAt.delete(from);
    for (const type of types) {
      remove(this.#byType, type, key);
      cache.drop(type, "PTR", key);
    }
    cache.drop(key, "SRV");
    cache.drop(key, "TXT");
    for (const host of hosts) {
      if (!remove(this.#byHost, host, key)) continue;
      this.#options.labels.delete(host);
      cache.drop(host, "A");
      cache.drop(host, "AAAA");
    }
  }

  /** The questions that are due at this time, with the types of the services. */
  *due(now: number): Iterable<{ type: string; question: DnsQuestion }> {
    if (now < this.#restUntil) {
      this.#nextAttempt = this.#restUntil;
      return;
    }
    if (now < this.#nextAttempt) return;
    let count = 0;
    this.#nextAttempt = Infinity;
    for (const key of this.#incomplete) {
      const questions = this.#dueOf(this.#all.get(key)!, now);
      if (questions.length === 0) continue;
      yield* questions;
      if (++count < MAX_ASKED) continue;
      this.#restUntil = this.#nextAttempt = now + REST;
      return;
    }
  }

  #dueOf(
    instance: Instance,
    now: number,
  ): { type: string; question: DnsQuestion }[] {
    const { asked, isDirect, wasComplete } = instance;
    const questions: { type: string; question: DnsQuestion }[] = [];
    // What follows from an answer to a question of ours only we ask now.
    const isOurs = isDirect ||
      [...asked.values()].some(({ attempts }) => attempts > 0);
    for (const { type, question } of this.#missing(instance)) {
      const key = `${question.type} ${fold(question.name)}`;
      let state = asked.get(key);
      if (state === undefined) {
        state = { attempts: 0, next: isOurs ? now : this.#soon(now) };
        asked.set(key, state);
      }
      if (state.next <= now) {
        const unicast = state.attempts === 0;
        questions.push({ type, question: { ...question, unicast } });
        const pause = FIRST_PAUSE * 2 ** Math.min(state.attempts, 20);
        state.attempts++;
        state.next = wasComplete
          ? now + Math.min(pause, LONGEST_PAUSE)
          : state.attempts < MAX_ATTEMPTS
          ? now + pause
          : Infinity;
      }
      this.#nextAttempt = Math.min(this.#nextAttempt, state.next);
    }
    return questions;
  }

  /** Lists what is missing for those who follow one of its types. */
  #missing(
    { types, name }: Instance,
  ): { type: string; question: DnsQuestion }[] {
    return [...types].flatMap((type) =>
      this.#options.missing(type, name).map((question) => ({ type, question }))
    );
  }

  #lacksSomething(key: string, now: number): void {
    this.#incomplete.add(key);
    this.#nextAttempt = Math.min(this.#nextAttempt, now);
  }

  #askSoon({ asked, wasComplete }: Instance, now: number): void {
    for (const state of asked.values()) {
      // What was asked a moment ago may be answered yet.
      if (state.next <= now + FIRST_PAUSE) continue;
      // Whoever only invents services does not have us ask for ever.
      if (wasComplete) state.attempts = 0;
      else if (state.attempts >= MAX_ATTEMPTS) continue;
      state.next = this.#soon(now);
      this.#nextAttempt = Math.min(this.#nextAttempt, state.next);
    }
  }

  #soon(now: number): number {
    return now + 20 + this.#options.random() * 100;
  }

  /**
   * Drops a service for one that an address tells of: never one that was known
   * completely for one of the same address or of one that tells of fewer. So a
   * flood from one host crowds out nobody else's.
   */
  #makeRoom(address: string): boolean {
    let largest = address;
    for (const [sender, keys] of this.#bySender) {
      if (keys.size > (this.#bySender.get(largest)?.size ?? 0)) {
        largest = sender;
      }
    }
    const victim = this.#firstIncompleteOf(largest) ??
      (largest === address
        ? undefined
        : [...this.#bySender.get(largest)!].at(-1));
    if (victim === undefined) return false;
    this.forget(victim);
    this.#options.dropped(victim);
    return true;
  }

  #firstIncompleteOf(sender: string): string | undefined {
    for (const key of this.#incomplete) {
      if (this.#all.get(key)!.from === sender) return key;
    }
    return undefined;
  }
}

function add(
  map: Map<string, Set<string>>,
  key: string,
  value: string,
): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, new Set([value]));
  else values.add(value);
}

/** Returns whether that was the last one. */
function remove(
  map: Map<string, Set<string>>,
  key: string,
  value: string,
): boolean {
  const values = map.get(key);
  if (!values?.delete(value) || values.size > 0) return false;
  return map.delete(key);
}
