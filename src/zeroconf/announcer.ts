import type { Claim } from "./claim.ts";
import type { Clock } from "./clock.ts";
import type { DnsRecord, Send } from "./dns_message.ts";
import type { LocalRecords, Registration } from "./local_records.ts";
import { packAnswers, packProbes } from "./pack.ts";

/** What an {@linkcode Announcer} needs. */
export interface AnnouncerOptions {
  clock: Clock;
  send: Send;
  records: LocalRecords;
  /** The names of the interfaces as they are now. */
  interfaceNames(): readonly string[];
  /** Called with what was sent to the group. */
  onSent(records: readonly DnsRecord[], on: string): void;
}

/**
 * Sends probes, announcements and goodbyes (RFC 6762, sections 8.1, 8.3 and
 * 10.1): those of all names that are due at the same time travel together.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #probes = new Map<Claim, (on: string) => DnsRecord[]>();
  readonly #announcements = new Map<Claim, (on: string) => DnsRecord[]>();
  #cancel: (() => void) | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Probes for a name with the records that are meant for it. */
  probe(claim: Claim, records: (on: string) => DnsRecord[]): void {
    this.#probes.set(claim, records);
    this.#sendSoon();
  }

  /** Announces the records under a name that is won. */
  announce(claim: Claim, records: (on: string) => DnsRecord[]): void {
    this.#announcements.set(claim, records);
    this.#sendSoon();
  }

  /** Says goodbye for services that were announced. */
  sayGoodbye(registrations: readonly Registration[]): void {
    const { records, send } = this.#options;
    const groups = registrations.map((registration) => ({
      answers: [
        records.shared(registration)[0]!,
        ...records.unique(registration),
      ].map((record) => ({ ...record, ttl: 0 })),
    }));
    for (const { answers } of packAnswers(groups)) {
      send({ type: "response", answers });
    }
  }

  /** Sends nothing more for a name. */
  forget(claim: Claim): void {
    this.#probes.delete(claim);
    this.#announcements.delete(claim);
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
    const probes = [...this.#probes].map(([{ name }, records]) => ({
      name,
      records: records(on),
    }));
    for (const message of packProbes(probes)) send(message, on);
    // A conflict may have come between.
    const groups = [...this.#announcements]
      .filter(([claim]) => claim.announced)
      .map(([, records]) => ({ answers: records(on) }))
      .filter(({ answers }) => answers.length > 0);
    for (const { answers } of packAnswers(groups)) {
      onSent(answers, on);
      send({ type: "response", answers }, on);
    }
  }
}
