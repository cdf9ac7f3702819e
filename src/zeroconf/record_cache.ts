import {
  dataKey,
  type DnsRecord,
  fold,
  type PacketSource,
} from "./dns_message.ts";

/** Parts of a lifetime after which a record is asked for again (RFC 6762, section 5.2). */
const RENEWALS = [0.8, 0.85, 0.9, 0.95];
/** Milliseconds that a record lives on after a goodbye or a flush (sections 10.1 and 10.2). */
const LAST_SECOND = 1_000;
/** Milliseconds in which somebody has to answer what was asked twice (section 10.5). */
const UNANSWERED = 10_000;
/** The most records of one type under one name; the one heard longest ago makes room. */
const MAX_SIBLINGS = 50;
/** The longest lifetime that is believed, in seconds: a day. */
const MAX_TTL = 86_400;

/** A record as it is remembered. */
export interface CachedRecord {
  readonly record: DnsRecord;
  /** The interface on which it was heard; each has its own truth (section 10.2). */
  readonly interfaceName: string;
  /** The address of the host that said it. */
  readonly from: string;
  /** When it was heard last, in the milliseconds of the clock. */
  readonly heardAt: number;
  expiresAt: number;
  /** True if it is about to go, because newer ones have replaced it. */
  replaced: boolean;
  /** The number of its renewals that were asked for. */
  renewals: number;
  /** Spreads the renewals of many hosts: up to 2 % of the lifetime. */
  readonly jitter: number;
  /** When it is asked for because it is in doubt, in place of its renewals. */
  doubts?: readonly number[];
  /** When others asked for it in vain, since it was heard last. */
  unanswered?: number;
}

/** Keeps what was heard while it is valid, at most so many records. */
export class RecordCache {
  readonly #max: number;
  readonly #random: () => number;
  readonly #records = new Map<string, Map<string, CachedRecord>>();
  #size = 0;
  #next = Infinity;

  /**
   * @param max The most records that are kept; more are not taken in.
   * @param random Spreads renewals, in [0, 1).
   */
  constructor(max: number, random: () => number) {
    this.#max = max;
    this.#random = random;
  }

  /** The number of records. */
  get size(): number {
    return this.#size;
  }

  /**
   * When the next record ends or has to be asked for again, or earlier, in the
   * milliseconds of the clock.
   */
  get nextDeadline(): number {
    return this.#next;
  }

  /**
   * Finds the records under a name and of a type, on all interfaces.
   *
   * @param target Of pointers, what they have to point to.
   */
  get(name: string, type: DnsRecord["type"], target = ""): CachedRecord[] {
    const records = this.#records.get(groupOf(name, type, target));
    return records === undefined ? [] : [...records.values()];
  }

  /**
   * Takes in one record, or its goodbye.
   *
   * @returns Whether anything is different from before, its lifetime apart.
   */
  add(
    record: DnsRecord,
    { interfaceName, address }: PacketSource,
    now: number,
  ): boolean {
    const target = record.type === "PTR" ? record.data : "";
    const group = groupOf(record.name, record.type, target);
    const key = `${interfaceName} ${dataKey(record)}`;
    const records = this.#records.get(group) ?? new Map<string, CachedRecord>();
    const old = records.get(key);
    // A shared record cannot replace those of others, whatever it claims.
    const changed = record.flush && record.type !== "PTR" &&
      this.#replace(records, old, interfaceName, now);
    if (record.ttl === 0) {
      if (old) this.#endSoon(old, now);
      return changed || old !== undefined;
    }
    if (old === undefined) {
      if (records.size >= MAX_SIBLINGS) {
        const [oldest] = records.keys();
        records.delete(oldest!);
        this.#size--;
      }
      if (this.#size >= this.#max) return changed;
      this.#size++;
    }
    records.delete(key);
    const ttl = Math.min(record.ttl, MAX_TTL);
    const cached: CachedRecord = {
      record: { ...record, ttl },
      interfaceName,
      from: address,
      heardAt: now,
      expiresAt: now + ttl * 1_000,
      replaced: false,
      renewals: 0,
      jitter: this.#random() * 0.02,
    };
    records.set(key, cached);
    this.#next = Math.min(this.#next, deadlineOf(cached));
    this.#records.set(group, records);
    return changed || old === undefined || old.replaced ||
      old.record.ttl !== ttl;
  }

  /** Replaces all of these but one that were heard on an interface; tells whether there are any. */
  #replace(
    records: ReadonlyMap<string, CachedRecord>,
    one: CachedRecord | undefined,
    interfaceName: string,
    now: number,
  ): boolean {
    let changed = false;
    for (const other of records.values()) {
      if (
        other !== one && other.interfaceName === interfaceName &&
        now - other.heardAt > LAST_SECOND && !other.replaced
      ) {
        other.replaced = true;
        changed = true;
        this.#endSoon(other, now);
      }
    }
    return changed;
  }

  /** Lets go of what was heard on interfaces that are no longer there. */
  keepInterfaces(names: ReadonlySet<string>): DnsRecord[] {
    return this.#prune(({ interfaceName }) => names.has(interfaceName));
  }

  /**
   * Lets go of what is over.
   *
   * @returns What is gone, and the records that have to be asked for again
   * now, each for the first time that it is due.
   */
  sweep(now: number): { gone: DnsRecord[]; due: CachedRecord[] } {
    if (now < this.#next) return { gone: [], due: [] };
    const gone = this.#prune(({ expiresAt }) => expiresAt > now);
    const due: CachedRecord[] = [];
    let next = Infinity;
    for (const cached of this.#all()) {
      let isDue = false;
      while (renewalAt(cached) <= now) {
        cached.renewals++;
        isDue = true;
      }
      if (isDue) due.push(cached);
      next = Math.min(next, deadlineOf(cached));
    }
    this.#next = next;
    return { gone, due };
  }

  /**
   * Doubts a record: unless it is heard again in time, it goes (section 10.4).
   *
   * @param at When it is asked for meanwhile, in milliseconds from now.
   * @param within The milliseconds until it goes.
   */
  doubt(
    cached: CachedRecord,
    now: number,
    at: readonly number[],
    within: number,
  ): void {
    if (cached.expiresAt <= now + within) return;
    cached.expiresAt = now + within;
    cached.doubts = at.map((delay) => now + delay);
    cached.renewals = 0;
    this.#next = Math.min(this.#next, deadlineOf(cached));
  }

  /**
   * Notes that another host has asked for a record. Where that happens twice, and
   * nobody answers within ten seconds of the first time, it goes (section 10.5).
   *
   * @returns Whether it is about to go.
   */
  noteAsked(cached: CachedRecord, now: number): boolean {
    // An answer that was just given is not given again (section 6).
    if (now - cached.heardAt < LAST_SECOND || cached.doubts) return false;
    const first = cached.unanswered;
    if (first === undefined || now - first > UNANSWERED) {
      cached.unanswered = now;
    } else if (now - first >= LAST_SECOND) {
      cached.expiresAt = Math.min(cached.expiresAt, first + UNANSWERED);
      this.#next = Math.min(this.#next, cached.expiresAt);
      return true;
    }
    return false;
  }

  /** Drops the records under a name and of a type. */
  drop(name: string, type: DnsRecord["type"], target = ""): void {
    const group = groupOf(name, type, target);
    this.#size -= this.#records.get(group)?.size ?? 0;
    this.#records.delete(group);
  }

  #prune(stays: (cached: CachedRecord) => boolean): DnsRecord[] {
    const gone: DnsRecord[] = [];
    for (const [group, records] of this.#records) {
      for (const [key, cached] of records) {
        if (stays(cached)) continue;
        gone.push(cached.record);
        records.delete(key);
        this.#size--;
      }
      if (records.size === 0) this.#records.delete(group);
    }
    return gone;
  }

  #endSoon(cached: CachedRecord, now: number): void {
    cached.expiresAt = Math.min(cached.expiresAt, now + LAST_SECOND);
    this.#next = Math.min(this.#next, cached.expiresAt);
  }

  *#all(): Iterable<CachedRecord> {
    for (const records of this.#records.values()) yield* records.values();
  }
}

/** Picks the record that was heard last, and not replaced since. */
export function newest(
  records: readonly CachedRecord[],
): CachedRecord | undefined {
  let found: CachedRecord | undefined;
  for (const cached of records) {
    if (cached.replaced) continue;
    if (found === undefined || cached.heardAt >= found.heardAt) found = cached;
  }
  return found;
}

function deadlineOf(cached: CachedRecord): number {
  return Math.min(cached.expiresAt, renewalAt(cached));
}

function renewalAt(cached: CachedRecord): number {
  if (cached.doubts) return cached.doubts[cached.renewals] ?? Infinity;
  const part = RENEWALS[cached.renewals];
  const lifetime = cached.record.ttl * 1_000;
  // A record that said goodbye or was replaced is let go.
  if (
    part === undefined || cached.expiresAt < cached.heardAt + lifetime
  ) return Infinity;
  return cached.heardAt + lifetime * (part + cached.jitter);
}

/** Pointers are kept apart by their targets, for there may be thousands under one name. */
function groupOf(
  name: string,
  type: DnsRecord["type"],
  target: string,
): string {
  return `${type} ${fold(name)} ${fold(target)}`;
}
