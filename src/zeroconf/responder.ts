import type { Clock } from "./clock.ts";
import {
  type DnsQuestion,
  type DnsRecord,
  type PacketSource,
  recordKey,
  type Send,
} from "./dns_message.ts";
import { channelOf } from "./interfaces.ts";
import type { OwnRecords } from "./own_records.ts";
import { packAnswers, type PackedAnswers } from "./packets.ts";
import type { ReceivedMessage } from "./wire_format.ts";

/** The most queries that are kept until the rest of them has come. */
const MAX_INCOMPLETE = 100;
/** Milliseconds that pass before a record is sent again (RFC 6762, section 6). */
const PAUSE = 1_000;
/** The same where a name is defended against a probe. */
const PROBE_PAUSE = 250;

/** Gives a {@linkcode Responder} what it needs. */
interface ResponderOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly send: Send;
  readonly records: OwnRecords;
}

interface Query {
  readonly id: number;
  readonly questions: DnsQuestion[];
  readonly isProbe: boolean;
  /** The lifetimes of the known answers, by record. */
  readonly known: Map<string, number>;
}

interface Waiting {
  readonly channel: string;
  /** The lifetimes of what another host has said meanwhile, by record. */
  readonly said: Map<string, number>;
}

/**
 * Answers queries (RFC 6762, section 6), except for what whoever asked knows or
 * another host has just said (section 7).
 */
export class Responder {
  readonly #options: ResponderOptions;
  /** Queries whose known answers are still coming, by sender. */
  readonly #incomplete = new Map<string, Query>();
  /** When a record was last sent to the group, by interface and record. */
  readonly #lastSent = new Map<string, number>();
  /** Records that wait until they may be sent again. */
  readonly #postponed = new Set<string>();
  readonly #waiting = new Set<Waiting>();
  readonly #pending = new Set<() => void>();

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** Deals with a query, once the rest of its known answers has come (section 7.2). */
  receive(message: ReceivedMessage, source: PacketSource): void {
    const { id, questions, answers, authorities, truncated } = message;
    const from = `${source.address} ${source.port} ${source.interfaceName}`;
    const earlier = this.#incomplete.get(from);
    const query: Query = earlier ??
      { id, questions: [], isProbe: authorities.length > 0, known: new Map() };
    query.questions.push(...questions);
    // Whoever proposes a record of ours knows it, and we hear our own probes.
    for (const record of [...answers, ...authorities]) {
      query.known.set(recordKey(record), record.ttl);
    }
    if (earlier !== undefined) return;
    if (!truncated || this.#incomplete.size >= MAX_INCOMPLETE) {
      return this.#plan(query, source);
    }
    this.#incomplete.set(from, query);
    this.#later(400 + this.#options.random() * 100, () => {
      this.#incomplete.delete(from);
      this.#plan(query, source);
    });
  }

  /**
   * Notes what another host says: it need not be said again (section 7.4). What
   * it says too weakly of our records is put right: that they are over (section
   * 10.1), or that they live less than half as long as they do (section 6.6).
   */
  heard(records: readonly DnsRecord[], source: PacketSource): void {
    const { interfaceName: on, address } = source;
    for (const { channel, said } of this.#waiting) {
      // Whoever asked may hear one IP version only.
      if (channel !== channelOf(on, address)) continue;
      for (const record of records) said.set(recordKey(record), record.ttl);
    }
    const wronged: DnsRecord[] = records.flatMap((record): DnsRecord[] => {
      const own = this.#options.records.same(record, on);
      return own !== undefined && record.ttl < own.ttl / 2 ? [own] : [];
    });
    if (wronged.length > 0) this.#respond(wronged, on, PAUSE);
  }

  /** Notes what was sent to the group. */
  noteSent(records: readonly DnsRecord[], on: string): void {
    if (this.#lastSent.size > 10_000) this.#lastSent.clear();
    for (const record of records) {
      this.#lastSent.set(
        `${on} ${recordKey(record)}`,
        this.#options.clock.now(),
      );
    }
  }

  /** Gives up all that waits. */
  close(): void {
    for (const cancel of this.#pending) cancel();
    this.#pending.clear();
    this.#waiting.clear();
    this.#incomplete.clear();
    this.#postponed.clear();
  }

  #plan(query: Query, source: PacketSource): void {
    const { interfaceName: on } = source;
    const answers = this.#answersTo(query, on);
    if (answers.length === 0) return;
    const { questions, isProbe } = query;
    if (source.port !== 5353) return this.#answerSimply(query, answers, source);
    // Section 5.4: a direct answer, unless the group has not heard it lately.
    const isDirect = questions.every(({ unicast }) => unicast) &&
      answers.every((record) => this.#sentWithin(record, on, record.ttl * 250));
    if (isDirect || source.unicast) return this.#send(answers, on, source);
    // Section 6: an answer that others may give too waits 20 to 120 ms.
    if (isProbe || answers.every(({ flush }) => flush)) {
      return this.#respond(answers, on, isProbe ? PROBE_PAUSE : PAUSE);
    }
    const channel = channelOf(on, source.address);
    const waiting: Waiting = { channel, said: new Map() };
    this.#waiting.add(waiting);
    this.#later(20 + this.#options.random() * 100, () => {
      this.#waiting.delete(waiting);
      // What was said goodbye to meanwhile is no answer any more.
      const current = this.#answersTo(query, on).filter((record) =>
        (waiting.said.get(recordKey(record)) ?? 0) < record.ttl
      );
      this.#respond(current, on, PAUSE);
    });
  }

  /**
   * Finds what is to be said, without what is known for half of its lifetime
   * (section 7.1).
   */
  #answersTo({ questions, known }: Query, on: string): DnsRecord[] {
    const answers = new Map<string, DnsRecord>();
    for (const { name, type } of questions) {
      for (const record of this.#options.records.answer(name, type, on)) {
        const key = recordKey(record);
        if ((known.get(key) ?? -1) < record.ttl / 2) answers.set(key, record);
      }
    }
    return [...answers.values()];
  }

  /** Sends to the group what may be sent now, and the rest when it may be. */
  #respond(answers: readonly DnsRecord[], on: string, pause: number): void {
    const now = this.#options.clock.now();
    const due = (record: DnsRecord): number =>
      (this.#lastSent.get(`${on} ${recordKey(record)}`) ?? -Infinity) + pause;
    const later = answers.filter((record) =>
      due(record) > now && !this.#postponed.has(`${on} ${recordKey(record)}`)
    );
    const wait = Math.max(...later.map(due)) - now;
    this.#send(answers.filter((record) => due(record) <= now), on);
    if (later.length === 0) return;
    const keys = later.map((record) => `${on} ${recordKey(record)}`);
    for (const key of keys) this.#postponed.add(key);
    this.#later(wait, () => {
      for (const key of keys) this.#postponed.delete(key);
      const current = later.filter((record) =>
        this.#options.records.same(record, on) !== undefined &&
        !this.#sentWithin(record, on, pause)
      );
      this.#send(current, on);
    });
  }

  #send(answers: readonly DnsRecord[], on: string, to?: PacketSource): void {
    for (const packet of this.#pack(answers, on)) {
      if (to === undefined) {
        this.noteSent([...packet.answers, ...packet.additionals], on);
      }
      this.#options.send({ type: "response", ...packet }, on, to);
    }
  }

  /** Section 6.7: a simple resolver listens only on its own port. */
  #answerSimply(
    { id, questions }: Query,
    answers: readonly DnsRecord[],
    source: PacketSource,
  ): void {
    const packets = this.#pack(answers, source.interfaceName);
    const simple = (record: DnsRecord): DnsRecord => ({
      ...record,
      ttl: Math.min(record.ttl, 10),
      flush: false,
    });
    this.#options.send(
      {
        type: "response",
        id,
        questions: questions.map(({ name, type }) => ({ name, type })),
        answers: packets[0]!.answers.map(simple),
        additionals: packets[0]!.additionals.map(simple),
        truncated: packets.length > 1,
      },
      source.interfaceName,
      source,
    );
  }

  #pack(answers: readonly DnsRecord[], on: string): PackedAnswers[] {
    return packAnswers(answers.map((answer) => ({
      answers: [answer],
      additionals: this.#options.records.additionals(answer, on),
    })));
  }

  #sentWithin(record: DnsRecord, on: string, milliseconds: number): boolean {
    const at = this.#lastSent.get(`${on} ${recordKey(record)}`);
    return at !== undefined && this.#options.clock.now() - at < milliseconds;
  }

  #later(delay: number, callback: () => void): void {
    const cancel = this.#options.clock.after(delay, () => {
      this.#pending.delete(cancel);
      callback();
    });
    this.#pending.add(cancel);
  }
}
