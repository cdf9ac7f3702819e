import type { Clock } from "./clock.ts";
import { type DnsRecord, fold } from "./dns_message.ts";
import { comparableData } from "./encode_message.ts";

/** Milliseconds between two probes (RFC 6762, section 8.1). */
export const PROBE_INTERVAL = 250;
const PROBES = 3;
/** Milliseconds that the loser of a tie-break waits (section 8.2). */
const DEFER = 1_000;
/** After this many conflicts within ten seconds, probing slows down (section 8.1). */
const MANY_CONFLICTS = 15;
const SLOW_PROBING = 5_000;
/** Milliseconds for which what was sent before a change may still come back to us. */
const ECHO = 1_000;
/** When announcements follow the first one: more than the two of section 8.3. */
const ANNOUNCEMENTS = [0, 1_000, 3_000];

/** What a {@linkcode Claim} needs. */
export interface ClaimOptions {
  /** The name to begin with, without a dot at its end. */
  name: string;
  clock: Clock;
  random: () => number;
  /** The unique records under the name, as they are now, on one interface or on all. */
  records(interfaceName?: string): DnsRecord[];
  /** Sends the records as a probe. */
  probe(): void;
  /** Sends the records as an announcement. */
  announce(): void;
  /** Makes another name of one that is taken. */
  nextName(name: string): string;
  /** Called when another name has been won, or has replaced one that was announced. */
  onRename(name: string): void;
  /** Whether records that are not among the claim's own are of the same host. */
  isOwn?(record: DnsRecord): boolean;
}

/**
 * One unique name on the network: probed, announced, defended, and given up
 * for another one when it is taken (RFC 6762, sections 8 and 9).
 */
export class Claim {
  readonly #options: ClaimOptions;
  #name: string;
  #state: "new" | "probing" | "announced" | "over" = "new";
  #everAnnounced = false;
  /** The name that others know as ours; none where another host claims it, too. */
  #known = "";
  #probesSent = 0;
  /** What was sent last, and what was before a change, as comparable data. */
  #sent: Uint8Array[] = [];
  #former: Uint8Array[] = [];
  #formerUntil = -Infinity;
  #conflicts: number[] = [];
  #cancel: () => void = () => {};
  #won = Promise.withResolvers<string>();

  constructor(options: ClaimOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#won.promise.catch(() => {});
  }

  /** The name as it stands. */
  get name(): string {
    return this.#name;
  }

  /** Whether the records may be used in answers. */
  get announced(): boolean {
    return this.#state === "announced";
  }

  /** Whether the name was announced at any time, so that others may know it. */
  get everAnnounced(): boolean {
    return this.#everAnnounced;
  }

  /**
   * Whether others know the records under the name as ours, also while it is
   * probed for again, and are to hear a goodbye.
   */
  get isKnown(): boolean {
    return this.#known === this.#name;
  }

  /** Resolves with the name once it is announced for the first time. */
  get won(): Promise<string> {
    return this.#won.promise;
  }

  /**
   * Probes for the name, as at the start and after a change of the network.
   *
   * @param delay Milliseconds until the first probe.
   */
  start(delay: number): void {
    if (this.#state !== "over") this.#probeAfter(delay);
  }

  /** Announces the records again because they changed. */
  changed(): void {
    this.#former = this.#sent;
    this.#formerUntil = this.#options.clock.now() + ECHO;
    if (this.#state === "announced") this.#announce(0);
  }

  /** Stops; nothing is sent any more. */
  stop(): void {
    this.#state = "over";
    this.#cancel();
    this.#won.reject(
      new Error("Cannot finish the registration: it has been stopped"),
    );
  }

  /** Looks for a conflict in the records of a response (section 9). */
  heardResponse(records: readonly DnsRecord[]): void {
    const foreign = records.some((record) =>
      record.ttl > 0 && fold(record.name) === fold(this.#name) &&
      this.#isForeign(record)
    );
    if (!foreign) return;
    if (this.#state === "probing") {
      if (this.#probesSent > 0) this.#takeNextName();
    } else if (this.#state === "announced") {
      this.#known = "";
      this.#noteConflict();
      this.#probeAfter(this.#options.random() * PROBE_INTERVAL);
    }
  }

  /** Compares a probe for the same name with our own (section 8.2). */
  heardProbe(proposed: readonly DnsRecord[], interfaceName: string): void {
    if (this.#state !== "probing") return;
    const theirs = proposed.filter(({ name }) =>
      fold(name) === fold(this.#name)
    );
    if (theirs.length === 0 || !theirs.some((r) => this.#isForeign(r))) return;
    const ours = this.#options.records(interfaceName);
    if (compareProposals(ours, theirs) < 0) this.#probeAfter(DEFER);
  }

  #isForeign(record: DnsRecord): boolean {
    const data = comparableData(record);
    const isEcho = this.#options.clock.now() < this.#formerUntil &&
      this.#former.some((former) => compareBytes(former, data) === 0);
    return !isEcho && !this.#options.isOwn?.(record) &&
      this.#options.records().every((own) =>
        compareBytes(comparableData(own), data) !== 0
      ) &&
      this.#options.records().some(({ type }) => type === record.type);
  }

  #takeNextName(): void {
    this.#noteConflict();
    this.#name = this.#options.nextName(this.#name);
    this.#options.onRename(this.#name);
    this.#probeAfter(
      this.#conflicts.length >= MANY_CONFLICTS ? SLOW_PROBING : PROBE_INTERVAL,
    );
  }

  #noteConflict(): void {
    const now = this.#options.clock.now();
    this.#conflicts = this.#conflicts.filter((at) => at > now - 10_000);
    this.#conflicts.push(now);
  }

  #probeAfter(delay: number): void {
    this.#state = "probing";
    this.#probesSent = 0;
    this.#cancel();
    this.#cancel = this.#options.clock.after(delay, () => this.#probe());
  }

  #probe(): void {
    if (this.#probesSent === PROBES) {
      this.#state = "announced";
      this.#everAnnounced = true;
      this.#known = this.#name;
      this.#announce(0);
      return this.#won.resolve(this.#name);
    }
    this.#probesSent++;
    this.#cancel = this.#options.clock.after(
      PROBE_INTERVAL,
      () => this.#probe(),
    );
    this.#noteSent();
    this.#options.probe();
  }

  #announce(index: number): void {
    const { clock, announce } = this.#options;
    this.#cancel();
    const next = ANNOUNCEMENTS[index + 1];
    if (next !== undefined) {
      this.#cancel = clock.after(
        next - ANNOUNCEMENTS[index]!,
        () => this.#announce(index + 1),
      );
    }
    this.#noteSent();
    announce();
  }

  #noteSent(): void {
    this.#sent = this.#options.records().map(comparableData);
  }
}

/** Which set of records comes later, byte by byte (section 8.2.1). */
function compareProposals(
  ours: readonly DnsRecord[],
  theirs: readonly DnsRecord[],
): number {
  const [a, b] = [ours, theirs].map((records) =>
    records.map(comparableData).sort(compareBytes)
  ) as [Uint8Array[], Uint8Array[]];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compareBytes(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}
