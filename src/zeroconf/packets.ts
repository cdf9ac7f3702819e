import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  recordKey,
  sizeOfName,
} from "./dns_message.ts";
import { comparableData } from "./wire_format.ts";

/**
 * Spreads what has to be said over packets that fit an Ethernet frame
 * (RFC 6762, section 17).
 *
 * @module
 */

/** Bytes that fit an Ethernet frame with its headers (RFC 6762, section 17). */
const MAX_PACKET = 1_400;
/** Bytes of a packet before its first question. */
const HEADER = 12;

const encoder = new TextEncoder();

/** An answer and what belongs to it. */
interface AnswerGroup {
  answers: readonly DnsRecord[];
  additionals?: readonly DnsRecord[];
}

/** Answers for one packet. */
export interface PackedAnswers {
  answers: DnsRecord[];
  additionals: DnsRecord[];
}

/** The questions of a probe and the records that are proposed (section 8.2). */
interface ProbeGroup {
  name: string;
  records: readonly DnsRecord[];
}

/**
 * Puts answers into packets, each with what belongs to it. A record is said
 * once in a packet, and as an answer where it is one.
 */
export function packAnswers(groups: readonly AnswerGroup[]): PackedAnswers[] {
  const asked = new Set(
    groups.flatMap(({ answers }) => answers.map(recordKey)),
  );
  const packets: PackedAnswers[] = [];
  let size = Infinity;
  let seen = new Set<string>();
  for (const { answers, additionals = [] } of groups) {
    const others = additionals.filter((record) =>
      !asked.has(recordKey(record))
    );
    const isNew = (record: DnsRecord): boolean => !seen.has(recordKey(record));
    let added = sizeOf([...answers, ...others].filter(isNew));
    if (size + added > MAX_PACKET) {
      packets.push({ answers: [], additionals: [] });
      size = HEADER;
      seen = new Set();
      added = sizeOf([...answers, ...others]);
    }
    size += added;
    const packet = packets.at(-1)!;
    packet.answers.push(...answers.filter(isNew));
    packet.additionals.push(...others.filter(isNew));
    for (const record of [...answers, ...others]) seen.add(recordKey(record));
  }
  return packets;
}

/**
 * Puts probes for several names into as few packets as they fit. They ask for
 * direct answers, which come at once (section 8.1).
 */
export function packProbes(groups: readonly ProbeGroup[]): DnsMessage[] {
  const packets: { questions: DnsQuestion[]; authorities: DnsRecord[] }[] = [];
  let size = Infinity;
  for (const { name, records } of groups) {
    const added = sizeOf(records) + sizeOfName(name) + 4;
    if (size + added > MAX_PACKET) {
      packets.push({ questions: [], authorities: [] });
      size = HEADER;
    }
    size += added;
    const packet = packets.at(-1)!;
    packet.questions.push({ name, type: "ANY", unicast: true });
    packet.authorities.push(
      ...records.map((record) => ({ ...record, flush: false })),
    );
  }
  return packets.map((packet) => ({ type: "query", ...packet }));
}

/** About how many bytes records take once their names are compressed. */
function sizeOf(records: readonly DnsRecord[]): number {
  let size = 0;
  for (const record of records) {
    size += 12 + sizeOfName(record.name) + comparableData(record).length;
  }
  return size;
}

/**
 * Puts questions and known answers into packets. All but the last packet with
 * known answers say that more follow (section 7.2).
 *
 * @param known Pointers that need not be given as answers.
 * @returns The queries in the order in which they have to be sent.
 */
export function packQuery(
  questions: readonly DnsQuestion[],
  known: readonly DnsRecord[],
): DnsMessage[] {
  const packets: { questions: DnsQuestion[]; answers: DnsRecord[] }[] = [];
  let room = 0;
  const packetFor = (size: number): (typeof packets)[number] => {
    if (size > room) {
      packets.push({ questions: [], answers: [] });
      room = MAX_PACKET;
    }
    room -= size;
    return packets.at(-1)!;
  };
  // A question's name may be the only one with its end in the packet.
  for (const question of questions) {
    packetFor(bytesOf(question.name) + 6).questions.push(question);
  }
  for (const record of known) {
    packetFor(sizeOf([record])).answers.push(record);
  }
  return packets.map((packet, index) => ({
    type: "query",
    truncated: (packets[index + 1]?.answers.length ?? 0) > 0,
    ...packet,
  }));
}

function bytesOf(name: string): number {
  return encoder.encode(name).length;
}
