import { labelsOf } from "./names.ts";

/** A record that the protocol here reads and writes; names have no dot at their end. */
export type DnsRecord =
  | RecordOf<"PTR", string>
  | RecordOf<"SRV", SrvData>
  | RecordOf<"TXT", Uint8Array[]>
  | RecordOf<"A", string>
  | RecordOf<"AAAA", string>
  | RecordOf<"NSEC", readonly RecordType[]>;

/** The types that carry something; NSEC says which of them a name has (RFC 6762, section 6.1). */
export type RecordType = "PTR" | "SRV" | "TXT" | "A" | "AAAA";

/** The rdata of an SRV record (RFC 2782). */
interface SrvData {
  priority: number;
  weight: number;
  port: number;
  target: string;
}

interface RecordOf<Type extends string, Data> {
  readonly name: string;
  readonly type: Type;
  /** Seconds. */
  readonly ttl: number;
  /**
   * True if it replaces what is cached under its name and type (RFC 6762,
   * section 10.2).
   */
  readonly flush: boolean;
  readonly data: Data;
}

/** A question; `unicast` asks for a direct answer (RFC 6762, section 5.4). */
export interface DnsQuestion {
  readonly name: string;
  /** The type by its name, `ANY` for all, or `UNKNOWN_` with its number. */
  readonly type: string;
  readonly unicast?: boolean;
}

/** A query or a response. */
export interface DnsMessage {
  readonly type: "query" | "response";
  /** Not 0 only between us and simple resolvers (RFC 6762, section 6.7). */
  readonly id?: number;
  /** True if more known answers follow (RFC 6762, section 7.2). */
  readonly truncated?: boolean;
  readonly questions?: readonly DnsQuestion[];
  readonly answers?: readonly DnsRecord[];
  readonly authorities?: readonly DnsRecord[];
  readonly additionals?: readonly DnsRecord[];
}

/** Says where a packet came from. */
export interface PacketSource {
  /** The name of the interface on which it arrived. */
  readonly interfaceName: string;
  readonly address: string;
  readonly port: number;
  /** True if it was sent to this host alone. */
  readonly unicast?: boolean;
}

/** Sends a packet; without an interface's name, on every interface. */
export type Send = (
  message: DnsMessage,
  interfaceName?: string,
  to?: { address: string; port: number },
) => void;

/** Makes names comparable: case does not count (RFC 6762, section 16). */
export function fold(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

const encoder = new TextEncoder();
const keys = new WeakMap<DnsRecord, string>();

/** The same for two records of one name, type and data; a record is not changed once it is made. */
export function recordKey(record: DnsRecord): string {
  let key = keys.get(record);
  if (key === undefined) {
    key = `${fold(record.name)} ${dataKey(record)}`;
    keys.set(record, key);
  }
  return key;
}

/** The same for two records of one type and data; case does not count in names. */
export function dataKey({ type, data }: DnsRecord): string {
  switch (type) {
    case "PTR":
      return `PTR ${fold(data)}`;
    case "SRV": {
      const { priority, weight, port, target } = data;
      return `SRV ${priority} ${weight} ${port} ${fold(target)}`;
    }
    case "TXT":
      return `TXT ${data.map((string) => string.join()).join(" ")}`;
    case "A":
    case "AAAA":
      return `${type} ${data}`;
    case "NSEC":
      return `NSEC ${data.join(" ")}`;
  }
}

/** About how many bytes a name takes in a packet in which its end was written before. */
export function sizeOfName(name: string): number {
  return encoder.encode(labelsOf(name)[0]!).length + 4;
}
