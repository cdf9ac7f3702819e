import assert from "node:assert/strict";
import type {
  DnsMessage,
  DnsQuestion,
  DnsRecord,
} from "../../src/zeroconf/dns_message.ts";
import type { Namespace } from "../namespaces.ts";
import type { Peer } from "./zeroconf_peer.ts";
import type { Heard, Probe, SendOptions } from "./zeroconf_probe.ts";

export const TYPE = "_platypush-redis._tcp.local";
export const ALL_TYPES = "_services._dns-sd._udp.local";
export const NAME = `wire.${TYPE}`;
/** The addresses of the stack that is tried, and of the probe. */
export const STACK = "192.168.77.1";

/** One thing that RFC 6762 or 6763 asks for, and how it is tried on the wire. */
export interface Clause {
  /** The section, such as `6762 §7.1`. */
  readonly section: string;
  readonly title: string;
  /** Whether it is tried on a stack that announces, or on one that looks. */
  readonly role: "announces" | "looks";
  try(lab: Lab): Promise<void>;
}

/** A stack and a probe on one network; the stack announces `wire` or looks for its type. */
export class Lab {
  constructor(
    readonly probe: Probe,
    readonly peer: Peer,
    readonly host: Namespace,
  ) {}

  /** Waits until nothing that was said counts as said a moment ago. */
  rest(milliseconds = 1_100): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  /** Asks, and returns the answer to one who asked, if one came. */
  async ask(
    questions: readonly DnsQuestion[],
    message: Omit<DnsMessage, "type" | "questions"> = {},
    options: SendOptions = {},
    fits: (heard: Heard) => boolean = ({ answers }) => answers.length > 0,
    seconds = 1.2,
  ): Promise<Heard | undefined> {
    await this.rest();
    const after = performance.now();
    await this.probe.send({ type: "query", questions, ...message }, options);
    return await this.probe.hears(
      (heard) => heard.type === "response" && isIpv4(heard) && fits(heard),
      { after, seconds },
    );
  }

  /** Says something, and waits for what fits. */
  async say(
    answers: readonly DnsRecord[],
    fits: (heard: Heard) => boolean,
    options: SendOptions = {},
    seconds = 2,
  ): Promise<Heard | undefined> {
    await this.rest();
    const after = performance.now();
    await this.probe.send({ type: "response", answers }, options);
    return await this.probe.hears((heard) => isIpv4(heard) && fits(heard), {
      after,
      seconds,
    });
  }

  /** The record of a type that the stack announces under a name. */
  async own(type: string, name = NAME): Promise<DnsRecord> {
    const answer = await this.ask([{ name, type }]);
    const record = answer?.answers.find((each) => each.type === type);
    assert.ok(record, `no ${type} of ${name}`);
    return record;
  }

  /** The name of the stack's host. */
  async server(): Promise<string> {
    const srv = await this.own("SRV");
    assert.ok(srv.type === "SRV");
    return srv.data.target;
  }
}

export function isIpv4({ source }: Heard): boolean {
  return !source.includes(":");
}

export function has(
  records: readonly DnsRecord[],
  type: string,
  name?: string,
): boolean {
  return records.some((each) =>
    each.type === type &&
    (name === undefined || each.name.toLowerCase() === name.toLowerCase())
  );
}

/** Whether a packet carries NSEC, which nothing here decodes: its number in the packet. */
export function hasNsec({ packet }: Heard): boolean {
  return packet.some((byte, at) =>
    byte === 0 && packet[at + 1] === 47 &&
    (packet[at + 2] === 0x80 || packet[at + 2] === 0) && packet[at + 3] === 1
  );
}

/** The probes for the service, until it was announced. */
export function probesOf({ probe }: Lab): Heard[] {
  const probes = probe.heard.filter((heard) =>
    heard.type === "query" && isIpv4(heard) &&
    has(heard.authorities, "SRV", NAME)
  );
  assert.ok(probes.length > 0, "no probe");
  return probes;
}

export const PTR = { name: TYPE, type: "PTR" } as const;
export const SRV = { name: NAME, type: "SRV" } as const;
export const POINTER = {
  ...PTR,
  ttl: 4_500,
  flush: false,
  data: NAME,
} as const satisfies DnsRecord;

/** The records of an invented service. */
export function invented(
  instance: string,
  { host = "invented.local", address = "192.168.77.2", port = 1, ttl = 120 } =
    {},
): DnsRecord[] {
  const name = `${instance}.${TYPE}`;
  const data = { priority: 0, weight: 0, port, target: host };
  return [
    { name: TYPE, type: "PTR", ttl, flush: false, data: name },
    { name, type: "SRV", ttl, flush: true, data },
    { name, type: "TXT", ttl, flush: true, data: [] },
    { name: host, type: "A", ttl, flush: true, data: address },
  ];
}

export const announces = (
  section: string,
  title: string,
  attempt: (lab: Lab) => Promise<void>,
): Clause => ({ section, title, role: "announces", try: attempt });

export const looks = (
  section: string,
  title: string,
  attempt: (lab: Lab) => Promise<void>,
): Clause => ({ section, title, role: "looks", try: attempt });
