import type { Clock } from "./clock.ts";
import type { DnsRecord, Send } from "./dns_message.ts";
import type { NetworkPlace, OwnRecords, Service } from "./own_records.ts";
import { packAnswers, packProbes } from "./packets.ts";
import type { Prober } from "./prober.ts";

/** Gives an {@linkcode Announcer} what it needs. */
interface AnnouncerOptions {
  readonly clock: Clock;
  readonly send: Send;
  readonly records: OwnRecords;
  /** The names of the interfaces as they are now. */
  interfaceNames(): readonly string[];
  /** Called with what was sent to the group. */
  onSent(records: readonly DnsRecord[], on: string): void;
}

/** The records that go out on an interface; none where the name is not meant for it. */
type RecordsOn = (on: string) => readonly DnsRecord[];

/**
 * Sends probes, announcements and goodbyes (RFC 6762, sections 8.1, 8.3 and
 * 10.1): those of all names that are due at the same time travel together.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #probes = new Map<Prober, RecordsOn>();
  readonly #announcements = new Map<Prober, RecordsOn>();
  #cancel: (() => void) | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Probes for a name with the records that are meant for it. */
  probe(prober: Prober, records: RecordsOn): void {
    this.#probes.set(prober, records);
    this.#sendSoon();
  }

  /** Announces the records under a name that is won. */
  announce(prober: Prober, records: RecordsOn): void {
    this.#announcements.set(prober, records);
    this.#sendSoon();
  }

  /** Says goodbye for services that were announced. */
  sayGoodbye(services: readonly Service[]): void {
    const { records, send, interfaceNames } = this.#options;
    for (const on of interfaceNames()) {
      const groups = services
        .filter(({ place }) => place.interfaceNames.has(on))
        .map((service) => ({
          answers: [
            // Others may have services of the type yet.
            ...records.shared(service).slice(0, -1),
            ...records.unique(service),
          ].map((record) => ({ ...record, ttl: 0 })),
        }));
      for (const { answers } of packAnswers(groups)) {
        send({ type: "response", answers }, on);
      }
    }
  }

  /** Says goodbye for records under names that others may have, too. */
  withdraw(
    records: readonly DnsRecord[],
    { interfaceNames }: NetworkPlace,
  ): void {
    const answers = records.map((record) => ({ ...record, ttl: 0 }));
    for (const on of interfaceNames) {
      this.#options.send({ type: "response", answers }, on);
    }
  }

  /** Sends nothing more for a name. */
  forget(prober: Prober): void {
    this.#probes.delete(prober);
    this.#announcements.delete(prober);
    if (this.#probes.size + this.#announcements.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #sendSoon(): void {
    this.#cancel ??= this.#options.clock.after(0, () => {
      this.#cancel = undefined;
      for (const on of this.#options.interfaceNames()) this.#sendOn(on);
      this.#probes.clear();
      this.#announcements.clear();
    });
  }

  #sendOn(on: string): void {
    const { send, onSent } = this.#options;
    const probes = [...this.#probes]
      .map(([{ name }, records]) => ({ name, records: records(on) }))
      .filter(({ records }) => records.length > 0);
    for (const message of packProbes(probes)) send(message, on);
    // A conflict may have come between.
    const groups = [...this.#announcements]
      .filter(([prober]) => prober.announced)
      .map(([, records]) => ({ answers: records(on) }))
      .filter(({ answers }) => answers.length > 0);
    for (const { answers } of packAnswers(groups)) {
      onSent(answers, on);
      send({ type: "response", answers }, on);
    }
  }
}
