import { type DnsMessage, type DnsRecord, labelsOf } from "./dns_message.ts";
import { comparableData } from "./encode_message.ts";
import { recordKey } from "./record_key.ts";

/** Bytes that fit an Ethernet frame with its headers (RFC 6762, section 17). */
const MAX_PACKET = 1_400;

/** An answer and what belongs to it. */
export interface AnswerGroup {
  answers: readonly DnsRecord[];
  additionals?: readonly DnsRecord[];
}

/** Answers for one packet. */
export interface PackedAnswers {
  answers: DnsRecord[];
  additionals: DnsRecord[];
}

/** The questions of a probe and the records that are proposed (section 8.2). */
export interface ProbeGroup {
  name: string;
  records: readonly DnsRecord[];
}

/** Puts answers into packets that fit a frame, each with what belongs to it, once. */
export function packAnswers(groups: readonly AnswerGroup[]): PackedAnswers[] {
  const packets: PackedAnswers[] = [];
  let size = Infinity;
  let seen = new Set<string>();
  for (const { answers, additionals = [] } of groups) {
    const all = [...answers, ...additionals];
    let added = sizeOf(all.filter((record) => !seen.has(recordKey(record))));
    if (size + added > MAX_PACKET) {
      packets.push({ answers: [], additionals: [] });
      size = 12;
      seen = new Set();
      added = sizeOf(all);
    }
    size += added;
    const packet = packets.at(-1)!;
    all.forEach((record, index) => {
      const key = recordKey(record);
      if (seen.has(key)) return;
      seen.add(key);
      (index < answers.length ? packet.answers : packet.additionals)
        .push(record);
    });
  }
  // What answers one question need not be said again to another.
  for (const packet of packets) {
    const answers = new Set(packet.answers.map(recordKey));
    packet.additionals = packet.additionals
      .filter((record) => !answers.has(recordKey(record)));
  }
  return packets;
}

/** Puts probes for several names into as few packets as they fit (section 8.1). */
export function packProbes(groups: readonly ProbeGroup[]): DnsMessage[] {
  const packets: Required<Pick<ProbePacket, "questions" | "authorities">>[] =
    [];
  let size = Infinity;
  for (const { name, records } of groups) {
    const added = sizeOf(records) + labelsOf(name)[0]!.length + 8;
    if (size + added > MAX_PACKET) {
      packets.push({ questions: [], authorities: [] });
      size = 12;
    }
    size += added;
    const packet = packets.at(-1)!;
    packet.questions.push({ name, type: "ANY" });
    packet.authorities.push(
      ...records.map((record) => ({ ...record, flush: false })),
    );
  }
  return packets.map((packet) => ({ type: "query", ...packet }));
}

interface ProbePacket {
  questions: { name: string; type: "ANY" }[];
  authorities: DnsRecord[];
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
