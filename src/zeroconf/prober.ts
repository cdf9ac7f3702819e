import type { Clock } from "./clock.ts";
import { dataKey, type DnsRecord } from "./dns_message.ts";
import { comparableData } from "./wire_format.ts";

/** Milliseconds between two probes (RFC 6762, section 8.1). */
export const PROBE_INTERVAL = 250;
const PROBES = 3;
/** Milliseconds that the loser of a tie-break waits (section 8.2). */
const DEFER = 1_000;
/** After this many conflicts within so many milliseconds, probing slows down (section 8.1). */
const MANY_CONFLICTS = 15;
const CONFLICTS_WITHIN = 10_000;
const SLOW_PROBING = 5_000;
/** The most times that the time for probing is doubled. */
const MAX_DOUBLED = 3;
/** Milliseconds for which a doubt counts: several of the longest that probing takes. */
const DOUBTS_WITHIN = 60_000;
/** Milliseconds for which what was sent before a change may still come back to us. */
const ECHO = 1_000;
/** When announcements follow the first one, in milliseconds: more than the two of section 8.3. */
const ANNOUNCEMENTS = [0, 1_000, 3_000];

/** Gives a {@linkcode Prober} what it needs. */
interface ProberOptions {
  /** The name to begin with, without a dot at its end. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** The unique records under the name, as they are now, on one interface or on all. */
  records(interfaceName?: string): readonly DnsRecord[];
  /** Sends the records as a probe. */
  probe(): void;
  /** Sends the records as an announcement. */
  announce(): void;
  /** Makes another name of one that is taken. */
  nextName(name: string): string;
  /** Called when another name is tried, or has replaced one that was announced. */
  onRename(name: string): void;
  /** Tells whether records that are not among these are of the same host. */
  isOwn?(record: DnsRecord): boolean;
}

/**
 * Holds one unique name on the network: probes for it, has it announced,
 * defends it, and gives it up for another one when it is taken (RFC 6762,
 * sections 8 and 9).
 */
export class Prober {
  readonly #options: ProberOptions;
  #name: string;
  #state: "new" | "probing" | "announced" | "over" = "new";
  #everAnnounced = false;
  /** The name that others know as ours; none where another host claims it, too. */
  #known = "";
  #probesSent = 0;
  /**
   * Remembers, by {@linkcode dataKey}, what was sent last, and what was before
   * a change.
   */
  #sent: readonly string[] = [];
  #former: readonly string[] = [];
  #formerUntil = -Infinity;
  #conflicts: readonly number[] = [];
  #isSlow = false;
  /** When other hosts claimed a name that was announced. */
  #doubts: readonly number[] = [];
  #cancel: () => void = () => {};
  readonly #won = Promise.withResolvers<string>();

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#won.promise.catch(() => {});
  }

  /** The name as it stands. */
  get name(): string {
    return this.#name;
  }

  /**
   * Tells whether the records may be used in answers. They may while the name is
   * probed for again, so that nobody takes it meanwhile.
   */
  get announced(): boolean {
    return this.#state === "announced" ||
      this.#state === "probing" && this.isKnown;
  }

  /**
   * Tells whether the name was announced at any time, so that others may know
   * it.
   */
  get everAnnounced(): boolean {
    return this.#everAnnounced;
  }

  /**
   * Tells whether others know the records under the name as ours, also while it is
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

  /**
   * Looks for a conflict in a response (section 9).
   *
   * @param records Those of the response that have the name.
   */
  heardResponse(records: readonly DnsRecord[]): void {
    const foreign = records.some((record) =>
      record.ttl > 0 && this.#isForeign(record)
    );
    if (!foreign) return;
    if (this.#state === "probing" && !this.isKnown) {
      if (this.#probesSent > 0) this.#takeNextName();
    } else if (this.announced) {
      this.#known = "";
      this.#noteConflict();
      this.#doubts = [
        ...this.#recent(this.#doubts, DOUBTS_WITHIN),
        this.#options.clock.now(),
      ];
      this.#probeAfter(this.#options.random() * PROBE_INTERVAL + this.#drain);
    }
  }

  /**
   * Compares a probe for the same name with our own (section 8.2).
   *
   * @param theirs The records that are proposed for the name.
   */
  heardProbe(theirs: readonly DnsRecord[], interfaceName: string): void {
    if (this.#state !== "probing" || this.isKnown) return;
    if (!theirs.some((record) => this.#isForeign(record))) return;
    const ours = this.#options.records(interfaceName);
    if (compareProposals(ours, theirs) < 0) this.#probeAfter(DEFER);
  }

  /**
   * The times that the pause between probes is doubled. Where names are doubted
   * one soon after the other, the network takes longer than probing did, and two
   * hosts would give up one name after the other at the same time.
   */
  get #doubled(): number {
    const { length } = this.#recent(this.#doubts, DOUBTS_WITHIN);
    return Math.min(Math.max(length - 1, 0), MAX_DOUBLED);
  }

  /** Milliseconds until what is still on its way to us has arrived. */
  get #drain(): number {
    return this.#doubled === 0 ? 0 : DEFER * 2 ** this.#doubled;
  }

  #isForeign(record: DnsRecord): boolean {
    const key = dataKey(record);
    const isEcho = this.#options.clock.now() < this.#formerUntil &&
      this.#former.includes(key);
    if (isEcho || this.#options.isOwn?.(record)) return false;
    const own = this.#options.records();
    return own.some(({ type }) => type === record.type) &&
      own.every((each) => dataKey(each) !== key);
  }

  #takeNextName(): void {
    this.#noteConflict();
    this.#name = this.#options.nextName(this.#name);
    this.#options.onRename(this.#name);
    this.#probeAfter(PROBE_INTERVAL);
  }

  #noteConflict(): void {
    this.#conflicts = [
      ...this.#recent(this.#conflicts, CONFLICTS_WITHIN),
      this.#options.clock.now(),
    ];
    this.#isSlow ||= this.#conflicts.length >= MANY_CONFLICTS;
  }

  #recent(times: readonly number[], within: number): readonly number[] {
    const since = this.#options.clock.now() - within;
    return times.filter((at) => at > since);
  }

  #probeAfter(delay: number): void {
    this.#state = "probing";
    this.#probesSent = 0;
    this.#cancel();
    // Section 8.1: each attempt waits, once there have been so many.
    this.#cancel = this.#options.clock.after(
      this.#isSlow ? SLOW_PROBING : delay,
      () => this.#probe(),
    );
  }

  #probe(): void {
    if (this.#probesSent === PROBES) {
      this.#state = "announced";
      this.#everAnnounced = true;
      this.#isSlow = false;
      this.#known = this.#name;
      this.#announce(0);
      return this.#won.resolve(this.#name);
    }
    this.#probesSent++;
    this.#cancel = this.#options.clock.after(
      PROBE_INTERVAL * 2 ** this.#doubled,
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
    this.#sent = this.#options.records().map(dataKey);
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
