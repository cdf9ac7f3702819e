import { Claim } from "./claim.ts";
import type { Clock } from "./clock.ts";
import { cutLabel, MAX_LABEL } from "./cut_label.ts";
import {
  type DnsRecord,
  fold,
  labelsOf,
  type Send,
  type Source,
} from "./dns_message.ts";
import { comparableData } from "./encode_message.ts";
import type { NetworkInterface } from "./network.ts";
import {
  isKnown,
  type ReceivedMessage,
  type ReceivedRecord,
} from "./sockets.ts";

/** Seconds that records with a host's name stay valid (RFC 6762, section 10). */
const HOST_TTL = 120;
/** Seconds that all other records stay valid. */
const OTHER_TTL = 4_500;
/** Bytes that fit an Ethernet frame with its headers. */
const MAX_PACKET = 1_400;
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

/** What a {@linkcode Responder} needs. */
export interface ResponderOptions {
  clock: Clock;
  random: () => number;
  send: Send;
  /** The name of the host to begin with, one label. */
  host: string;
  /** The interfaces as they are now. */
  networks(): readonly NetworkInterface[];
  /** Whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean;
}

interface Registration {
  records: ServiceRecords;
  claim: Claim;
}

interface Query {
  message: ReceivedMessage;
  known: ReceivedRecord[];
}

/** Holds services on the network and answers for them (RFC 6762, sections 6 to 9). */
export class Responder {
  readonly #options: ResponderOptions;
  readonly #host: Claim;
  readonly #services = new Set<Registration>();
  /** Queries whose known answers are still coming, by sender. */
  readonly #incomplete = new Map<string, Query>();
  /** When a record was last sent to the group, by interface and record. */
  readonly #lastSent = new Map<string, number>();
  /** Records that wait until they may be sent again. */
  readonly #postponed = new Set<string>();
  readonly #pending = new Set<() => void>();

  constructor(options: ResponderOptions) {
    this.#options = options;
    const { clock, random, host } = options;
    this.#host = new Claim({
      name: `${host}.local`,
      clock,
      random,
      records: (on) => this.#addressRecords(on),
      probe: () => this.#probe(this.#host, (on) => this.#addressRecords(on)),
      announce: () => this.#announce((on) => this.#addressRecords(on)),
      nextName: (name) => `${nextHost(name.slice(0, -".local".length))}.local`,
      onRename: () => {
        for (const { claim } of this.#services) claim.changed();
      },
      isOwn: (record) =>
        (record.type === "A" || record.type === "AAAA") &&
        options.isOwnAddress(record.data),
    });
  }

  /** The host's name, with a dot at its end. */
  get server(): string {
    return `${this.#host.name}.`;
  }

  /**
   * Puts a service on the network.
   *
   * @param records What it says; the object may be changed later, see
   * {@linkcode changed}.
   * @param onRename Called with the new instance name when it has to change.
   * @returns The registration's claim on the name.
   */
  add(records: ServiceRecords, onRename: (instance: string) => void): Claim {
    const { clock, random } = this.#options;
    const suffix = `.${records.type}`;
    const claim: Claim = new Claim({
      name: records.instance + suffix,
      clock,
      random,
      records: () => this.#uniqueRecords(registration),
      probe: () => this.#probe(claim, () => this.#uniqueRecords(registration)),
      announce: () =>
        this.#announce((on) => [
          ...this.#sharedRecords(registration),
          ...this.#uniqueRecords(registration),
          ...this.#addressRecords(on),
        ]),
      nextName: (name) => nextInstance(name.slice(0, -suffix.length)) + suffix,
      onRename: (name) => onRename(name.slice(0, -suffix.length)),
    });
    const registration: Registration = { records, claim };
    if (this.#services.size === 0) this.#host.start();
    this.#services.add(registration);
    claim.start();
    return claim;
  }

  /** Takes a service off the network, with a goodbye (section 10.1). */
  remove(claim: Claim): void {
    for (const registration of this.#services) {
      if (registration.claim !== claim) continue;
      this.#services.delete(registration);
      if (claim.announced) this.#sayGoodbye(registration);
      claim.stop();
    }
  }

  /** Probes again on all interfaces, because they changed (section 8.4 and 13). */
  networkChanged(): void {
    if (this.#services.size === 0) return;
    this.#host.start();
    for (const { claim } of this.#services) claim.start();
  }

  /** Takes everything off the network. */
  close(): void {
    for (const { claim } of [...this.#services]) this.remove(claim);
    this.#host.stop();
    for (const cancel of this.#pending) cancel();
    this.#pending.clear();
  }

  /** Deals with a packet. */
  receive(message: ReceivedMessage, source: Source): void {
    if (this.#services.size === 0) return;
    const claims = [this.#host, ...[...this.#services].map((s) => s.claim)];
    if (message.type === "response") {
      const records = [...message.answers, ...message.additionals]
        .filter(isKnown);
      for (const claim of claims) claim.heardResponse(records);
      return;
    }
    const proposed = message.authorities.filter(isKnown);
    if (proposed.length > 0) {
      for (const claim of claims) {
        claim.heardProbe(proposed, source.interfaceName);
      }
    }
    this.#collect(message, source);
  }

  /** Waits for the rest of the known answers (section 7.2). */
  #collect(message: ReceivedMessage, source: Source): void {
    const from = `${source.address} ${source.port} ${source.interfaceName}`;
    const earlier = this.#incomplete.get(from);
    if (earlier !== undefined) {
      earlier.known.push(...message.answers);
      earlier.message.questions.push(...message.questions);
      return;
    }
    const query = { message, known: [...message.answers] };
    if (!message.flag_tc || this.#incomplete.size >= 100) {
      return this.#answer(query, source);
    }
    this.#incomplete.set(from, query);
    this.#later(400 + this.#options.random() * 100, () => {
      this.#incomplete.delete(from);
      this.#answer(query, source);
    });
  }

  #answer({ message, known }: Query, source: Source): void {
    const { interfaceName } = source;
    const legacy = source.port !== 5353;
    const probe = message.authorities.length > 0;
    const answers = new Map<string, DnsRecord>();
    let shared = false;
    for (const { name, type } of message.questions) {
      for (const record of this.#recordsFor(name, type, interfaceName)) {
        if (isKnownAnswer(record, known)) continue;
        shared ||= !record.flush;
        answers.set(keyOf(record), record);
      }
    }
    if (answers.size === 0) return;
    const send = (to?: Source): void =>
      this.#sendAnswers(
        [...answers.values()],
        interfaceName,
        probe,
        message,
        to,
      );
    // Section 6.7: a simple resolver listens only on its own port.
    if (legacy) return send(source);
    // Section 5.4: a direct answer, unless the group has not heard it lately.
    const direct = message.questions.length > 0 &&
      message.questions.every((question) => isUnicast(question)) &&
      [...answers.values()].every((record) =>
        this.#sentWithin(record, interfaceName, record.ttl * 1_000 / 4)
      );
    if (direct) return send(source);
    // Section 6: an answer that others may give too waits 20 to 120 ms.
    if (!shared || probe) return send();
    this.#later(20 + this.#options.random() * 100, () => send());
  }

  #sendAnswers(
    found: readonly DnsRecord[],
    interfaceName: string,
    probe: boolean,
    query: ReceivedMessage,
    to?: Source,
  ): void {
    // Section 6: not again within a second, or 250 ms when a name is defended.
    const pause = probe ? 250 : 1_000;
    const answers = to !== undefined ? found : found.filter((record) =>
      // An answer that waited must not undo a goodbye.
      this.#isCurrent(record, interfaceName) &&
      !this.#postpone(record, interfaceName, pause)
    );
    if (answers.length === 0) return;
    const packets = packResponses(
      answers.map((answer) => [
        answer,
        ...this.#additionalsFor(answer, interfaceName),
      ]),
    );
    if (to !== undefined && to.port !== 5353) {
      const [first] = packets;
      const simple = (record: DnsRecord): DnsRecord => ({
        ...record,
        ttl: Math.min(record.ttl, 10),
        flush: false,
      });
      return this.#options.send(
        {
          type: "response",
          id: query.id,
          questions: query.questions.map(({ name, type }) => ({
            name,
            type: type as DnsRecord["type"],
          })),
          answers: first?.answers.map(simple) ?? [],
          additionals: first?.additionals.map(simple) ?? [],
          truncated: packets.length > 1,
        },
        interfaceName,
        to,
      );
    }
    for (const packet of packets) {
      if (to === undefined) {
        this.#noteSent(
          [...packet.answers, ...packet.additionals],
          interfaceName,
        );
      }
      this.#options.send({ type: "response", ...packet }, interfaceName, to);
    }
  }

  /** Leaves a record that was just sent for when it may be sent again. */
  #postpone(record: DnsRecord, on: string, pause: number): boolean {
    const key = `${on} ${keyOf(record)}`;
    const due = (this.#lastSent.get(key) ?? -Infinity) + pause;
    const delay = due - this.#options.clock.now();
    if (delay <= 0) return false;
    if (this.#postponed.has(key)) return true;
    this.#postponed.add(key);
    this.#later(delay, () => {
      this.#postponed.delete(key);
      if (!this.#isCurrent(record, on) || this.#sentWithin(record, on, pause)) {
        return;
      }
      const additionals = this.#additionalsFor(record, on);
      this.#noteSent([record, ...additionals], on);
      this.#options.send(
        { type: "response", answers: [record], additionals },
        on,
      );
    });
    return true;
  }

  #isCurrent(record: DnsRecord, on: string): boolean {
    const key = keyOf(record);
    return this.#recordsFor(record.name, record.type, on)
      .some((other) => keyOf(other) === key);
  }

  #recordsFor(name: string, type: string, on: string): DnsRecord[] {
    const asked = fold(name);
    const records: DnsRecord[] = [];
    if (this.#host.announced && asked === fold(this.#host.name)) {
      records.push(...this.#addressRecords(on));
    }
    for (const registration of this.#services) {
      const { claim, records: { type } } = registration;
      if (!claim.announced) continue;
      if (asked === fold(claim.name)) {
        records.push(...this.#uniqueRecords(registration));
      } else if (asked === fold(type) || asked === ALL_TYPES) {
        records.push(...this.#sharedRecords(registration));
      }
    }
    return records.filter((record) =>
      fold(record.name) === asked && (type === "ANY" || type === record.type)
    );
  }

  /** What whoever asked will want next (RFC 6763, section 12). */
  #additionalsFor(answer: DnsRecord, on: string): DnsRecord[] {
    if (answer.type === "TXT" || fold(answer.name) === ALL_TYPES) return [];
    const service = answer.type === "PTR"
      ? this.#recordsFor(answer.data, "ANY", on)
      : [];
    return [...service, ...this.#recordsFor(this.#host.name, "ANY", on)];
  }

  #sharedRecords({ records: { type }, claim }: Registration): DnsRecord[] {
    const common = { type: "PTR", ttl: OTHER_TTL, flush: false } as const;
    return [
      { ...common, name: type, data: claim.name },
      { ...common, name: ALL_TYPES, data: type },
    ];
  }

  #uniqueRecords({ records, claim: { name } }: Registration): DnsRecord[] {
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

  #addressRecords(on?: string): DnsRecord[] {
    const common = { name: this.#host.name, ttl: HOST_TTL, flush: true };
    return this.#options.networks()
      .filter(({ name }) => on === undefined || name === on)
      .flatMap(({ ipv4, ipv6 }): DnsRecord[] => [
        ...ipv4.map(({ address }) =>
          ({ ...common, type: "A", data: address }) as const
        ),
        ...ipv6.map((data) => ({ ...common, type: "AAAA", data }) as const),
      ]);
  }

  #probe(claim: Claim, records: (on: string) => DnsRecord[]): void {
    for (const { name } of this.#options.networks()) {
      this.#options.send({
        type: "query",
        questions: [{ name: claim.name, type: "ANY" }],
        authorities: records(name).map((record) => ({
          ...record,
          flush: false,
        })),
      }, name);
    }
  }

  #announce(records: (on: string) => DnsRecord[]): void {
    for (const { name } of this.#options.networks()) {
      const answers = records(name);
      if (answers.length === 0) continue;
      this.#noteSent(answers, name);
      this.#options.send({ type: "response", answers }, name);
    }
  }

  #sayGoodbye(registration: Registration): void {
    const [pointer] = this.#sharedRecords(registration);
    this.#options.send({
      type: "response",
      answers: [pointer!, ...this.#uniqueRecords(registration)].map(
        (record) => ({ ...record, ttl: 0 }),
      ),
    });
  }

  #sentWithin(record: DnsRecord, on: string, milliseconds: number): boolean {
    const at = this.#lastSent.get(`${on} ${keyOf(record)}`);
    return at !== undefined && this.#options.clock.now() - at < milliseconds;
  }

  #noteSent(records: readonly DnsRecord[], on: string): void {
    if (this.#lastSent.size > 10_000) this.#lastSent.clear();
    for (const record of records) {
      this.#lastSent.set(`${on} ${keyOf(record)}`, this.#options.clock.now());
    }
  }

  #later(delay: number, callback: () => void): void {
    const cancel = this.#options.clock.after(delay, () => {
      this.#pending.delete(cancel);
      callback();
    });
    this.#pending.add(cancel);
  }
}

/**
 * Puts answers into packets that fit an Ethernet frame (RFC 6762, section 17),
 * each with what belongs to it.
 *
 * @param groups An answer and its additional records each.
 */
function packResponses(
  groups: readonly DnsRecord[][],
): { answers: DnsRecord[]; additionals: DnsRecord[] }[] {
  const packets: { answers: DnsRecord[]; additionals: DnsRecord[] }[] = [];
  let size = Infinity;
  let seen = new Set<string>();
  for (const group of groups) {
    let added = sizeOf(group.filter((record) => !seen.has(keyOf(record))));
    if (size + added > MAX_PACKET) {
      packets.push({ answers: [], additionals: [] });
      size = 12;
      seen = new Set();
      added = sizeOf(group);
    }
    size += added;
    const packet = packets.at(-1)!;
    group.forEach((record, index) => {
      const key = keyOf(record);
      if (seen.has(key)) return;
      seen.add(key);
      (index === 0 ? packet.answers : packet.additionals).push(record);
    });
  }
  return packets;
}

/** About how many bytes records take once their names are compressed. */
function sizeOf(records: readonly DnsRecord[]): number {
  return records.reduce(
    (sum, record) =>
      sum + 16 + labelsOf(record.name)[0]!.length +
      comparableData(record).length,
    0,
  );
}

/** Known-answer suppression (RFC 6762, section 7.1). */
function isKnownAnswer(
  record: DnsRecord,
  known: readonly ReceivedRecord[],
): boolean {
  return known.some((other) =>
    isKnown(other) && other.ttl >= record.ttl / 2 &&
    fold(other.name) === fold(record.name) && keyOf(other) === keyOf(record)
  );
}

/** The top bit of a question's class asks for a direct answer; decoded, it has no name. */
function isUnicast({ class: name }: { class: string }): boolean {
  return name !== "IN" && name !== "ANY";
}

function keyOf(record: DnsRecord): string {
  return `${fold(record.name)} ${comparableData(record).join()}`;
}

/** `name` → `name (2)` → `name (3)`, cut so that it still fits its label. */
export function nextInstance(instance: string): string {
  const [, base = instance, number = "1"] =
    /^(.*) \((\d{1,6})\)$/s.exec(instance) ?? [];
  const suffix = ` (${Number(number) + 1})`;
  return cutLabel(base, MAX_LABEL - suffix.length) + suffix;
}

function nextHost(host: string): string {
  const label = labelsOf(host)[0]!;
  const [, base = label, number = "1"] = /^(.*)-(\d{1,6})$/.exec(label) ?? [];
  const suffix = `-${Number(number) + 1}`;
  return cutLabel(base, MAX_LABEL - suffix.length) + suffix;
}
