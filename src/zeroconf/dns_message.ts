/** A record as `multicast-dns` decodes it; names have no dot at their end. */
export type DnsRecord =
  | RecordOf<"PTR", string>
  | RecordOf<"SRV", SrvData>
  | RecordOf<"TXT", Uint8Array[]>
  | RecordOf<"A", string>
  | RecordOf<"AAAA", string>
  | RecordOf<"NSEC", QuestionType[]>;

/** The types that carry something; NSEC tells which of them there are (RFC 6762, section 6.1). */
export const RECORD_TYPES = ["PTR", "SRV", "TXT", "A", "AAAA"] as const;

/** The rdata of an SRV record (RFC 2782). */
export interface SrvData {
  priority: number;
  weight: number;
  port: number;
  target: string;
}

interface RecordOf<Type extends string, Data> {
  name: string;
  type: Type;
  /** Seconds. */
  ttl: number;
  /** Whether it replaces what is cached under its name and type (RFC 6762, section 10.2). */
  flush: boolean;
  data: Data;
}

/** What a question asks for. */
export type QuestionType = DnsRecord["type"] | "ANY";

/** A question; `unicast` asks for a direct answer (RFC 6762, section 5.4). */
export interface DnsQuestion {
  name: string;
  type: QuestionType;
  unicast?: boolean;
}

/** A query or a response. */
export interface DnsMessage {
  type: "query" | "response";
  /** Only in answers to simple resolvers (RFC 6762, section 6.7). */
  id?: number;
  /** Whether more known answers follow (RFC 6762, section 7.2). */
  truncated?: boolean;
  questions?: readonly DnsQuestion[];
  answers?: readonly DnsRecord[];
  authorities?: readonly DnsRecord[];
  additionals?: readonly DnsRecord[];
}

/** Where a packet came from. */
export interface Source {
  /** The name of the interface on which it arrived. */
  interfaceName: string;
  address: string;
  port: number;
}

/** A way to send packets; without an interface's name, on every interface. */
export type Send = (
  message: DnsMessage,
  interfaceName?: string,
  to?: { address: string; port: number },
) => void;

/** Makes names comparable: case does not count (RFC 6762, section 16). */
export function fold(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/**
 * Splits a name into its labels. A dot inside of an instance's name is part
 * of it: only what follows is split (RFC 6763, section 4.1.1).
 */
export function labelsOf(name: string): string[] {
  const instance = /^(.+)\.(_[^.]+\._(?:tcp|udp)\.[^.]+)$/is.exec(name);
  if (instance === null || /\._sub$/i.test(instance[1]!)) {
    return name.split(".");
  }
  return [instance[1]!, ...instance[2]!.split(".")];
}
