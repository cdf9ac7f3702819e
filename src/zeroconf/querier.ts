import type { Clock } from "./clock.ts";
import {
  type DnsQuestion,
  type DnsRecord,
  fold,
  type PacketSource,
  recordKey,
  type Send,
} from "./dns_message.ts";
import { channelOf } from "./interfaces.ts";
import { Instances } from "./instances.ts";
import { Labels } from "./labels.ts";
import { ALL_TYPES, baseOf } from "./names.ts";
import type { NetworkPlace } from "./own_records.ts";
import { packQuery } from "./packets.ts";
import { type CachedRecord, RecordCache } from "./record_cache.ts";
import type { ReceivedMessage } from "./wire_format.ts";

/** The most records that are remembered: about 20 MB when each is as large as can be. */
export const MAX_RECORDS = 20_000;
/** Milliseconds from the first query to the second; then twice as long each time (RFC 6762, section 5.2). */
const FIRST_INTERVAL = 1_000;
/** The longest time between two queries, an hour. */
const LAST_INTERVAL = 3_600_000;
/** Milliseconds for which a question that another host has asked stands for our own (section 7.3). */
const RECENT = 1_000;
/** Milliseconds between two looks at what is due, however much is; more where one takes longer. */
const REST = 20;
/** The most names that are looked at in one of these looks. */
const MAX_REVIEWED = 500;

/** When a record that is in doubt is asked for, in milliseconds, and when it goes (section 10.4). */
const DOUBTS = [0, 1_000, 3_000];
const DOUBT = 10_000;
/** The same where it was not followed for a while; the question for all comes before. */
const LATER_DOUBTS = [400];
const LATER_DOUBT = 1_000;
/** Milliseconds for which what was heard is kept when nobody follows it any more. */
export const KEPT = 60_000;

/** Who follows the services of a type. */
export interface Follower {
  /** The type without a dot at its end. */
  readonly type: string;
  /** The network on which they are looked for. */
  readonly place: NetworkPlace;
  /**
   * Looks at what is known of services, because it has changed.
   *
   * @param names Their full names, folded; also those of other types.
   */
  review(names: ReadonlySet<string>): void;
  /** The questions whose answers are missing to know a service completely. */
  missing(name: string): readonly DnsQuestion[];
}

/** Gives a {@linkcode Querier} what it needs. */
interface QuerierOptions {
  readonly clock: Clock;
  /** Spreads what hosts would do all at once, in [0, 1). */
  readonly random: () => number;
  readonly send: Send;
  /** The interfaces and IP versions on which questions are asked, see {@linkcode channelOf}. */
  channels(): readonly string[];
  /** Tells whether what is sent to this host alone is heard, so that it may be asked for. */
  hearsUnicast(): boolean;
  /** Tells whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean;
}

/** A type that is followed, and when to ask for its services. */
interface Series {
  readonly type: string;
  readonly followers: Set<Follower>;
  /** When other hosts asked the same, by channel. */
  readonly heard: Map<string, number>;
  /** When its services were last noted as asked for by other hosts, by interface. */
  readonly noted: Map<string, number>;
  next: number;
  interval: number;
  /**
   * True if the next question begins the series, so that direct answers are
   * welcome (section 5.4).
   */
  isFirst: boolean;
}

/**
 * Asks for services (RFC 6762, section 5), with one cache for all that follow
 * some type. It asks for the services of each type, for what is missing of
 * them, and again for what is about to expire. It knows no sockets and no real
 * time.
 */
export class Querier {
  /** The labels by which a packet is told to concern what is followed. */
  readonly labels: Labels = new Labels();
  /** Holds what was heard of the services that are followed. */
  readonly cache: RecordCache;
  readonly #options: QuerierOptions;
  readonly #series = new Map<string, Series>();
  readonly #instances: Instances;
  /** The names of which something new was heard. */
  readonly #touched = new Set<string>();
  /** The types that nobody follows any more, and since when. */
  readonly #left = new Map<string, number>();
  /** Since when an interface leads where it does. */
  readonly #changedAt = new Map<string, number>();
  #askedUnicastAt = -Infinity;
  #wakeAt = Infinity;
  #notBefore = 0;
  #cancel: () => void = () => {};

  constructor(options: QuerierOptions) {
    this.#options = options;
    this.cache = new RecordCache(MAX_RECORDS, options.random);
    this.#instances = new Instances({
      cache: this.cache,
      labels: this.labels,
      random: options.random,
      missing: (type, name) => this.#missing(type, name),
      dropped: (key) => this.#touched.add(key),
    });
  }

  /** Counts the records and names that are remembered. */
  get size(): { records: number; services: number } {
    return { records: this.cache.size, services: this.#instances.size };
  }

  /** The names of the services of a type that were heard of. */
  namesOf(type: string): string[] {
    return this.#instances.ofType(fold(type));
  }

  /** Begins to ask for a type; what is known already is reviewed at once. */
  follow(follower: Follower): void {
    const key = fold(follower.type);
    const now = this.#options.clock.now();
    this.#forgetLeft(now);
    let series = this.#series.get(key);
    if (series === undefined) {
      // While nobody looked, nobody was told what ended.
      if (this.#left.delete(key)) this.#touch(this.cache.sweep(now).gone);
      for (const name of this.#instances.ofType(key)) {
        this.#doubt(fold(name), now, LATER_DOUBTS, LATER_DOUBT);
      }
      series = {
        type: follower.type,
        followers: new Set(),
        heard: new Map(),
        noted: new Map(),
        next: Infinity,
        interval: FIRST_INTERVAL,
        isFirst: true,
      };
      this.#series.set(key, series);
      this.labels.add(key);
      this.labels.add(baseOf(key));
    }
    series.followers.add(follower);
    follower.review(new Set(this.#instances.ofType(key).map(fold)));
    // Somebody waits for it, so it is asked early in the span of section 5.2.
    this.#begin(series, now + 20 + this.#options.random() * 20);
    this.#schedule();
  }

  /** Ends it; what was heard of the type is forgotten some time after its last follower. */
  unfollow(follower: Follower): void {
    const key = fold(follower.type);
    const series = this.#series.get(key);
    if (!series?.followers.delete(follower)) return;
    if (series.followers.size === 0) {
      this.#series.delete(key);
      this.#left.set(key, this.#options.clock.now());
      this.labels.delete(key);
      this.labels.delete(baseOf(key));
    }
    if (this.#series.size === 0) {
      this.#cancel();
      this.#wakeAt = Infinity;
      this.#touched.clear();
    } else this.#schedule();
  }

  /** Tells how a service is: its state, by its full name. */
  stateOf(name: string): "here" | "unreachable" | "gone" {
    const key = fold(name);
    const types = this.#instances.typesOf(key)
      .filter((type) => this.#series.has(type));
    if (types.length === 0) return "gone";
    const isHere = types.every((type) => this.#missing(type, key).length === 0);
    return isHere ? "here" : "unreachable";
  }

  /**
   * Asks for a service again that does not seem to be there: unless it answers
   * within ten seconds, it counts as unreachable (section 10.4).
   */
  reconfirm(name: string): void {
    const now = this.#options.clock.now();
    this.#doubt(fold(name), now, DOUBTS, DOUBT);
    this.#schedule();
  }

  /**
   * Asks again where the network changed: who was there need not be there now.
   *
   * @param present The names of the interfaces that there are.
   * @param changed Those of them that lead elsewhere, perhaps.
   * @param hasSlept Whether the host has slept, so that lifetimes say nothing.
   */
  networkChanged(
    present: ReadonlySet<string>,
    changed: ReadonlySet<string>,
    hasSlept = false,
  ): void {
    const now = this.#options.clock.now();
    if (hasSlept) {
      for (const key of this.#instances.keys) {
        this.#doubt(key, now, DOUBTS.slice(1), DOUBT);
      }
    }
    for (const name of changed) this.#changedAt.set(name, now);
    this.#touch(this.cache.keepInterfaces(present));
    this.#instances.askAgain(now);
    for (const series of this.#series.values()) {
      this.#begin(series, this.#soon());
    }
    this.#schedule();
  }

  /** Takes in a packet. */
  receive(message: ReceivedMessage, source: PacketSource): void {
    if (this.#series.size === 0) return;
    if (message.type === "query") this.#receiveQuery(message, source);
    else if (this.#isWelcome(source)) this.#receiveResponse(message, source);
    this.#schedule();
  }

  /** A direct answer is taken only where one was asked for (section 5.4). */
  #isWelcome({ unicast }: PacketSource): boolean {
    return !unicast ||
      this.#options.clock.now() - this.#askedUnicastAt < 2 * RECENT;
  }

  /**
   * A question of another host may stand for our own (section 7.3), unless it
   * keeps others from telling what only that host knows.
   */
  #receiveQuery(message: ReceivedMessage, source: PacketSource): void {
    const { interfaceName, address } = source;
    const now = this.#options.clock.now();
    this.#instances.noteAlive(address, now);
    if (message.truncated || source.port !== 5353) return;
    if (this.#options.isOwnAddress(address)) return;
    this.#noteAsked(message, source, now);
    const types = new Set(
      message.questions
        .filter(({ type, unicast }) => type === "PTR" && !unicast)
        .map(({ name }) => fold(name)),
    );
    for (const type of types) {
      const series = this.#series.get(type);
      if (series === undefined || series.next > now + RECENT) continue;
      const known = new Set(
        this.#knownAnswers(series, interfaceName, now).map(recordKey),
      );
      if (message.answers.some((record) => !known.has(recordKey(record)))) {
        continue;
      }
      series.heard.set(channelOf(interfaceName, address), now);
    }
  }

  /** Notes what others ask for, since somebody ought to answer (section 10.5). */
  #noteAsked(
    { questions, answers }: ReceivedMessage,
    { interfaceName }: PacketSource,
    now: number,
  ): void {
    const known = new Set(answers.map(recordKey));
    for (const { type, name, unicast } of questions) {
      if (unicast || !isCached(type)) continue;
      const series = this.#series.get(fold(name));
      let cached: readonly CachedRecord[];
      if (type !== "PTR") cached = this.cache.get(name, type);
      else {
        // Only after a second it counts again, and there may be many services.
        const before = series?.noted.get(interfaceName) ?? -Infinity;
        if (series === undefined || now - before < RECENT) continue;
        series.noted.set(interfaceName, now);
        cached = this.#instances.ofType(fold(name))
          .flatMap((target) => this.cache.get(name, type, target));
      }
      for (const each of cached) {
        const isMeant = each.interfaceName === interfaceName &&
          !known.has(recordKey(each.record));
        if (!isMeant || !this.cache.noteAsked(each, now)) continue;
        // What is not answered need not be gone: then it is found again.
        if (series !== undefined) this.#begin(series, each.expiresAt);
      }
    }
  }

  #receiveResponse(message: ReceivedMessage, source: PacketSource): void {
    const now = this.#options.clock.now();
    const records = [...message.answers, ...message.additionals];
    const take = (record: DnsRecord, names: Iterable<string>): void => {
      if (!this.cache.add(record, source, now)) return;
      for (const name of names) this.#touched.add(name);
    };
    this.#instances.noteAlive(source.address, now);
    for (const record of records) {
      if (record.type !== "PTR") continue;
      const type = fold(record.name);
      if (!this.#series.has(type)) continue;
      const name = fold(record.data);
      if (type !== ALL_TYPES && !name.endsWith(`.${baseOf(type)}`)) continue;
      if (!this.#instances.admit(record, source, now)) continue;
      take(record, [name]);
    }
    for (const record of records) {
      if (record.type !== "SRV" && record.type !== "TXT") continue;
      const name = fold(record.name);
      if (!this.#instances.has(name)) continue;
      take(record, [name]);
      if (record.type !== "SRV") continue;
      this.#instances.noteHost(record.data.target, name);
    }
    for (const record of records) {
      if (record.type !== "A" && record.type !== "AAAA") continue;
      const names = this.#instances.onHost(record.name);
      if (names !== undefined) take(record, names);
    }
  }

  #doubt(
    key: string,
    now: number,
    at: readonly number[],
    within: number,
  ): void {
    for (const [name, type] of this.#instances.recordsOf(key)) {
      for (const cached of this.cache.get(name, type)) {
        this.cache.doubt(cached, now, at, within);
      }
    }
  }

  #forgetLeft(now: number): void {
    for (const [key, at] of this.#left) {
      if (now - at <= KEPT) continue;
      this.#left.delete(key);
      this.#instances.forgetType(key);
    }
  }

  #touch(records: readonly DnsRecord[]): void {
    for (const name of this.#instances.affectedBy(records)) {
      this.#touched.add(name);
    }
  }

  #missing(type: string, name: string): DnsQuestion[] {
    const questions = new Map<string, DnsQuestion>();
    for (const follower of this.#followersOf(type)) {
      for (const question of follower.missing(name)) {
        questions.set(keyOf(question), question);
      }
    }
    return [...questions.values()];
  }

  /** 20 to 120 ms from now, so that hosts do not ask all at once (section 5.2). */
  #soon(): number {
    return this.#options.clock.now() + 20 + this.#options.random() * 100;
  }

  #begin(series: Series, at: number): void {
    series.interval = FIRST_INTERVAL;
    series.isFirst = true;
    series.next = at;
  }

  #schedule(): void {
    if (this.#series.size === 0) return;
    const next = this.#touched.size > 0 ? 0 : Math.min(
      ...[...this.#series.values()].map(({ next }) => next),
      this.#instances.nextAttempt,
      this.cache.nextDeadline,
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
    this.#forgetLeft(now);
    const { gone, due } = this.cache.sweep(now);
    this.#touch(gone);
    this.#review(now);
    const questions = new Questions();
    for (const { type, question } of this.#instances.due(now)) {
      questions.add(this.#interfacesOf(type), question);
    }
    for (const { record, interfaceName } of due) {
      if (!this.#isFollowed(record)) continue;
      questions.add([interfaceName], { name: record.name, type: record.type });
    }
    for (const series of this.#series.values()) {
      this.#askForServices(series, questions, now);
    }
    this.#ask(questions, now);
    // However much comes, the process has as much time for everything else.
    const end = this.#options.clock.now();
    this.#notBefore = end + Math.max(REST, end - now);
    this.#schedule();
  }

  /** Lets the followers see what changed. */
  #review(now: number): void {
    if (this.#touched.size === 0) return;
    const names = new Set(this.#touched.values().take(MAX_REVIEWED));
    for (const name of names) this.#touched.delete(name);
    for (const { followers } of this.#series.values()) {
      for (const follower of followers) follower.review(names);
    }
    for (const key of names) this.#instances.review(key, now);
  }

  #askForServices(series: Series, questions: Questions, now: number): void {
    if (series.next > now) return;
    series.next = now + series.interval;
    series.interval = Math.min(series.interval * 2, LAST_INTERVAL);
    const interfaces = this.#interfacesOf(fold(series.type));
    const { isFirst } = series;
    series.isFirst = false;
    const channels = this.#options.channels()
      .filter((channel) =>
        interfaces.has(channel.slice(0, channel.lastIndexOf(" ")))
      );
    const isAsked = channels.length > 0 &&
      channels.every((channel) =>
        now - (series.heard.get(channel) ?? -Infinity) < RECENT
      );
    if (isAsked && !isFirst) return;
    questions.add(interfaces, {
      name: series.type,
      type: "PTR",
      unicast: isFirst,
    });
  }

  /** Tells whether somebody follows a service to which a record belongs. */
  #isFollowed(record: DnsRecord): boolean {
    if (this.#left.size === 0) return true;
    return [...this.#instances.affectedBy([record])].some((key) =>
      this.#instances.typesOf(key).some((type) => this.#series.has(type))
    );
  }

  #followersOf(type: string): Iterable<Follower> {
    return this.#series.get(type)?.followers ?? [];
  }

  #interfacesOf(type: string): Set<string> {
    const names = new Set<string>();
    for (const { place } of this.#followersOf(type)) {
      for (const name of place.interfaceNames) names.add(name);
    }
    return names;
  }

  #ask(questions: Questions, now: number): void {
    const { send, hearsUnicast } = this.#options;
    const mayAskForUnicast = hearsUnicast();
    for (const [on, asked] of questions.byInterface) {
      const known = [...asked.values()].flatMap(({ type, name }) => {
        const series = type === "PTR"
          ? this.#series.get(fold(name))
          : undefined;
        return series ? this.#knownAnswers(series, on, now) : [];
      });
      const sent = [...asked.values()].map((question) => ({
        ...question,
        unicast: mayAskForUnicast && question.unicast === true,
      }));
      if (sent.some(({ unicast }) => unicast)) this.#askedUnicastAt = now;
      for (const message of packQuery(sent, known)) send(message, on);
    }
  }

  /**
   * Finds what is still valid for more than half of its lifetime (section 7.1).
   * Of what is not known completely, or was heard before the network changed,
   * the answer is wanted.
   */
  #knownAnswers(series: Series, on: string, now: number): DnsRecord[] {
    const known: DnsRecord[] = [];
    const since = this.#changedAt.get(on) ?? -Infinity;
    for (const name of this.#instances.complete(fold(series.type))) {
      // What is in doubt is to be said with all that belongs to it.
      if (this.cache.get(name, "SRV").some(({ doubts }) => doubts)) continue;
      for (const cached of this.cache.get(series.type, "PTR", name)) {
        const { record, interfaceName, expiresAt, heardAt } = cached;
        const ttl = Math.floor((expiresAt - now) / 1_000);
        const isKnown = interfaceName === on && heardAt >= since &&
          ttl > record.ttl / 2;
        if (isKnown) known.push({ ...record, ttl });
      }
    }
    return known;
  }
}

/** Questions to be asked now, each once on an interface. */
class Questions {
  readonly byInterface = new Map<string, Map<string, DnsQuestion>>();

  add(interfaces: Iterable<string>, question: DnsQuestion): void {
    const key = keyOf(question);
    for (const on of interfaces) {
      const asked = this.byInterface.get(on) ?? new Map();
      this.byInterface.set(on, asked.set(key, asked.get(key) ?? question));
    }
  }
}

function isCached(type: string): type is DnsRecord["type"] {
  return /^(?:PTR|SRV|TXT|A|AAAA)$/.test(type);
}

function keyOf({ type, name }: DnsQuestion): string {
  return `${type} ${fold(name)}`;
}
