import { Candidates } from "./candidates.ts";
import type { Clock } from "./clock.ts";
import {
  type DnsQuestion,
  type DnsRecord,
  fold,
  type Send,
  type Source,
} from "./dns_message.ts";
import { channelOf } from "./network.ts";
import { QuestionsHeard, RECENT } from "./questions_heard.ts";
import { LAST_INTERVAL, QuerySchedule } from "./query_schedule.ts";
import { newest, RecordCache } from "./record_cache.ts";
import { recordKey } from "./record_key.ts";
import {
  compareAddresses,
  makeServiceInfo,
  type ServiceChange,
  type ServiceInfo,
} from "./service_info.ts";
import { isKnown, type ReceivedMessage } from "./sockets.ts";
import { splitQuery } from "./split_query.ts";
import { decodeTxt } from "./txt.ts";

/** The most records that are remembered: about 20 MB when each is as large as can be. */
export const MAX_RECORDS = 20_000;
/** Milliseconds between two looks at what is due, however much is. */
const REST = 20;

/** What a {@linkcode ServiceBrowser} needs. */
export interface ServiceBrowserOptions {
  /** The type without a dot at its end. */
  type: string;
  clock: Clock;
  random: () => number;
  send: Send;
  /** The names of the interfaces on which to ask. */
  interfaceNames(): readonly string[];
  /** The interfaces and IP versions on which to ask, see {@linkcode channelOf}. */
  channels(): readonly string[];
  /** Whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean;
  onChange(change: ServiceChange): void;
}

/**
 * Follows the services of one type: asks, remembers, resolves, renews, and
 * tells what changed. It knows no sockets and no real time.
 */
export class ServiceBrowser {
  readonly #options: ServiceBrowserOptions;
  readonly #cache: RecordCache;
  readonly #queries: QuerySchedule;
  readonly #candidates: Candidates;
  readonly #heard = new QuestionsHeard();
  /** The names of which something new was heard. */
  readonly #touched = new Set<string>();
  #wakeAt = Infinity;
  #notBefore = 0;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(options: ServiceBrowserOptions) {
    this.#options = options;
    const { type, clock, random } = options;
    this.#cache = new RecordCache(MAX_RECORDS, random);
    this.#queries = new QuerySchedule(clock, random);
    this.#candidates = new Candidates({
      type,
      cache: this.#cache,
      soon: () => this.#queries.soon(),
    });
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
    this.#queries.start();
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
    this.#touch(this.#candidates.affectedBy(dropped));
    this.#schedule();
  }

  /** Takes in a packet. */
  receive(message: ReceivedMessage, source: Source): void {
    if (this.#stopped) return;
    if (message.type === "query") this.#receiveQuery(message, source);
    else this.#receiveResponse(message, source);
  }

  /**
   * A question of another host may stand for our own, unless it keeps others
   * from telling what only that host knows.
   */
  #receiveQuery(message: ReceivedMessage, source: Source): void {
    const { interfaceName, address } = source;
    const type = fold(this.#options.type);
    const isOurs = message.questions.some((question) =>
      question.type === "PTR" && fold(question.name) === type &&
      question.class === "IN"
    );
    if (!isOurs || message.flag_tc || source.port !== 5353) return;
    const now = this.#options.clock.now();
    if (this.#queries.next > now + RECENT) return;
    if (this.#options.isOwnAddress(address)) return;
    const known = new Set(
      this.#knownAnswers(interfaceName, now).map(recordKey),
    );
    const theirs = message.answers.filter(isKnown);
    if (theirs.some((record) => !known.has(recordKey(record)))) return;
    this.#heard.note(channelOf(interfaceName, address), now);
  }

  #receiveResponse(
    message: ReceivedMessage,
    { interfaceName }: Source,
  ): void {
    const now = this.#options.clock.now();
    const records = [...message.answers, ...message.additionals]
      .filter(isKnown);
    const type = fold(this.#options.type);
    for (const record of records) {
      if (record.type !== "PTR" || fold(record.name) !== type) continue;
      const name = fold(record.data);
      if (!name.endsWith(`.${type}`)) continue;
      if (!this.#candidates.admit(record.data, record.ttl)) continue;
      this.#cache.add(record, interfaceName, now);
      this.#touched.add(name);
    }
    for (const record of records) {
      if (record.type !== "SRV" && record.type !== "TXT") continue;
      const name = fold(record.name);
      if (this.#candidates.get(name) === undefined) continue;
      this.#cache.add(record, interfaceName, now);
      this.#touched.add(name);
      if (record.type === "SRV") {
        this.#candidates.noteHost(record.data.target, name);
      }
    }
    for (const record of records) {
      if (record.type !== "A" && record.type !== "AAAA") continue;
      const names = this.#candidates.onHost(record.name);
      if (names === undefined) continue;
      this.#cache.add(record, interfaceName, now);
      this.#touch(names);
    }
    this.#schedule();
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
        this.#candidates.isComplete(key);
        if (shown === undefined) this.#report("added", service);
        else if (JSON.stringify(shown) !== JSON.stringify(service)) {
          this.#report("updated", service);
        }
      } else {
        if (shown !== undefined) {
          delete candidate.shown;
          this.#candidates.lacksSomething(key);
          this.#report("removed", shown);
        }
        if (!alive) this.#candidates.forget(key);
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

  #schedule(): void {
    if (this.#stopped) return;
    const next = this.#touched.size > 0 ? 0 : Math.min(
      this.#queries.next,
      this.#candidates.nextAttempt,
      this.#cache.nextDeadline,
    );
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
    this.#touch(this.#candidates.affectedBy(this.#cache.prune(now)));
    this.#review();
    const questions = [
      ...this.#candidates.missing(now),
      ...this.#renewals(now),
    ];
    const { channels } = this.#options;
    if (this.#queries.take(now) && !this.#heard.covers(channels(), now)) {
      questions.push({ name: this.#options.type, type: "PTR" });
    }
    this.#ask(questions, now);
    this.#schedule();
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
}
