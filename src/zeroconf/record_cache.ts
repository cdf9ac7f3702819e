import type { DnsRecord } from "./dns_message.ts";
import { fold } from "./dns_message.ts";
import { comparableData } from "./encode_message.ts";

/** Parts of a lifetime after which a record is asked for again (RFC 6762, section 5.2). */
const RENEWALS = [0.8, 0.85, 0.9, 0.95];
/** Milliseconds that a record lives on after a goodbye or a flush (sections 10.1 and 10.2). */
const LAST_SECOND = 1_000;
/** The most records of one type under one name; the one heard longest ago makes room. */
const MAX_SIBLINGS = 50;
/** The longest lifetime that is believed, in seconds: a day. */
const MAX_TTL = 86_400;

/** A record as it is remembered. */
export interface CachedRecord {
  readonly record: DnsRecord;
  /** The interface on which it was heard; each has its own truth (section 10.2). */
  readonly interfaceName: string;
  /** When it was heard last. */
  heardAt: number;
  expiresAt: number;
  /** Whether it is about to go, because newer ones have replaced it. */
  replaced: boolean;
  /** How many of its renewals were asked for. */
  renewals: number;
  /** Spreads the renewals of many hosts: up to 2 % of the lifetime. */
  readonly jitter: number;
}

/** What was heard and is still valid, at most so many records. */
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

  /** How many records there are. */
  get size(): number {
    return this.#size;
  }

  /**
   * The records under a name and of a type, on all interfaces.
   *
   * @param target Of pointers, what they have to point to.
   */
  get(name: string, type: DnsRecord["type"], target = ""): CachedRecord[] {
    const records = this.#records.get(groupOf(name, type, target));
    return records === undefined ? [] : [...records.values()];
  }

  /** Takes in one record, or its goodbye. */
  add(record: DnsRecord, interfaceName: string, now: number): void {
    const target = record.type === "PTR" ? record.data : "";
    const group = groupOf(record.name, record.type, target);
    const key = `${interfaceName} ${dataKey(record)}`;
    const records = this.#records.get(group) ?? new Map<string, CachedRecord>();
    const old = records.get(key);
    // A shared record cannot replace those of others, whatever it claims.
    if (record.flush && record.type !== "PTR") {
      for (const other of records.values()) {
        if (
          other !== old && other.interfaceName === interfaceName &&
          now - other.heardAt > LAST_SECOND && !other.replaced
        ) {
          other.replaced = true;
          this.#endSoon(other, now);
        }
      }
    }
    if (record.ttl === 0) {
      if (old) this.#endSoon(old, now);
      return;
    }
    if (old === undefined) {
      if (records.size >= MAX_SIBLINGS) {
        const [oldest] = records.keys();
        records.delete(oldest!);
        this.#size--;
      }
      if (this.#size >= this.#max) return;
      this.#size++;
    }
    records.delete(key);
    const ttl = Math.min(record.ttl, MAX_TTL);
    const cached: CachedRecord = {
      record: { ...record, ttl },
      interfaceName,
      heardAt: now,
      expiresAt: now + ttl * 1_000,
      replaced: false,
      renewals: 0,
      jitter: this.#random() * 0.02,
    };
    records.set(key, cached);
    this.#next = Math.min(this.#next, deadlineOf(cached));
    this.#records.set(group, records);
  }

  /**
   * Drops what is over, and what is not wanted.
   *
   * @returns What was dropped.
   */
  prune(
    now: number,
    wanted: (cached: CachedRecord) => boolean = () => true,
  ): DnsRecord[] {
    const dropped: DnsRecord[] = [];
    let next = Infinity;
    for (const [group, records] of this.#records) {
      for (const [key, cached] of records) {
        if (cached.expiresAt > now && wanted(cached)) {
          next = Math.min(next, deadlineOf(cached));
          continue;
        }
        dropped.push(cached.record);
        records.delete(key);
        this.#size--;
      }
      if (records.size === 0) this.#records.delete(group);
    }
    this.#next = next;
    return dropped;
  }

  /** Drops the records under a name and of a type. */
  drop(name: string, type: DnsRecord["type"], target = ""): void {
    const group = groupOf(name, type, target);
    this.#size -= this.#records.get(group)?.size ?? 0;
    this.#records.delete(group);
  }

  /** The records that have to be asked for again now, each counted once. */
  takeDue(now: number): CachedRecord[] {
    const due: CachedRecord[] = [];
    let next = Infinity;
    for (const cached of this.#all()) {
      let missed = false;
      while (renewalAt(cached) <= now) {
        cached.renewals++;
        missed = true;
      }
      if (missed) due.push(cached);
      next = Math.min(next, deadlineOf(cached));
    }
    this.#next = next;
    return due;
  }

  /** When the next record ends or has to be asked for again, or earlier. */
  get nextDeadline(): number {
    return this.#next;
  }

  #endSoon(cached: CachedRecord, now: number): void {
    cached.expiresAt = Math.min(cached.expiresAt, now + LAST_SECOND);
    this.#next = Math.min(this.#next, cached.expiresAt);
  }

  *#all(): Iterable<CachedRecord> {
    for (const records of this.#records.values()) yield* records.values();
  }
}

/** The record that was heard last, and not replaced since. */
export function newest(
  records: readonly CachedRecord[],
): DnsRecord | undefined {
  let found: CachedRecord | undefined;
  for (const cached of records) {
    if (cached.replaced) continue;
    if (found === undefined || cached.heardAt > found.heardAt) found = cached;
  }
  return found?.record;
}

function deadlineOf(cached: CachedRecord): number {
  return Math.min(cached.expiresAt, renewalAt(cached));
}

function renewalAt(cached: CachedRecord): number {
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

function dataKey(record: DnsRecord): string {
  return record.type === "PTR"
    ? fold(record.data)
    : comparableData(record).join();
}
