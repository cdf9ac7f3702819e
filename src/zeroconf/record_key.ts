import { type DnsRecord, fold } from "./dns_message.ts";
import { comparableData } from "./encode_message.ts";

const keys = new WeakMap<DnsRecord, string>();

/** The same for two records of one name, type and data; a record is not changed once it is made. */
export function recordKey(record: DnsRecord): string {
  let key = keys.get(record);
  if (key === undefined) {
    key = `${fold(record.name)} ${comparableData(record).join()}`;
    keys.set(record, key);
  }
  return key;
}
