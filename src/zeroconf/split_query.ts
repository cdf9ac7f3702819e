import type { DnsMessage, DnsQuestion, DnsRecord } from "./dns_message.ts";

/** Bytes that fit an Ethernet frame with its headers (RFC 6762, section 17). */
const MAX_PACKET = 1_400;
const encoder = new TextEncoder();

/**
 * Spreads questions and known answers over packets. All but the last packet
 * with known answers say that more follow (RFC 6762, section 7.2).
 *
 * @param questions What is asked.
 * @param known The answers that need not be given.
 * @returns The queries in the order in which they have to be sent.
 */
export function splitQuery(
  questions: readonly DnsQuestion[],
  known: readonly DnsRecord[],
): DnsMessage[] {
  const messages: { questions: DnsQuestion[]; answers: DnsRecord[] }[] = [];
  let room = 0;
  const packetFor = (size: number): (typeof messages)[number] => {
    if (size > room) {
      messages.push({ questions: [], answers: [] });
      room = MAX_PACKET;
    }
    room -= size;
    return messages.at(-1)!;
  };
  for (const question of questions) {
    packetFor(sizeOf(question.name) + 4).questions.push(question);
  }
  for (const record of known) {
    const data = record.type === "PTR" ? sizeOf(record.data) : 0;
    packetFor(12 + data).answers.push(record);
  }
  return messages.map((message, index) => ({
    type: "query",
    truncated: known.length > 0 && index < messages.length - 1 &&
      messages[index + 1]!.answers.length > 0,
    ...message,
  }));
}

function sizeOf(name: string): number {
  return encoder.encode(name).length + 2;
}
