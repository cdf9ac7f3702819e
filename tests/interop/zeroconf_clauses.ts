import assert from "node:assert/strict";
import type {
  DnsMessage,
  DnsQuestion,
  DnsRecord,
} from "../../src/zeroconf/dns_message.ts";
import type { Namespace } from "../namespaces.ts";
import type { Peer } from "./zeroconf_peer.ts";
import {
  GROUP,
  type Heard,
  Probe,
  type SendOptions,
} from "./zeroconf_probe.ts";

const TYPE = "_platypush-redis._tcp.local";
const ALL_TYPES = "_services._dns-sd._udp.local";
const NAME = `wire.${TYPE}`;
/** The addresses of the stack that is tried, and of the probe. */
const STACK = "192.168.77.1";

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

function isIpv4({ source }: Heard): boolean {
  return !source.includes(":");
}

function has(
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
function hasNsec({ packet }: Heard): boolean {
  return packet.some((byte, at) =>
    byte === 0 && packet[at + 1] === 47 &&
    (packet[at + 2] === 0x80 || packet[at + 2] === 0) && packet[at + 3] === 1
  );
}

/** The probes for the service, until it was announced. */
function probesOf({ probe }: Lab): Heard[] {
  const probes = probe.heard.filter((heard) =>
    heard.type === "query" && isIpv4(heard) &&
    has(heard.authorities, "SRV", NAME)
  );
  assert.ok(probes.length > 0, "no probe");
  return probes;
}

const PTR = { name: TYPE, type: "PTR" } as const;
const SRV = { name: NAME, type: "SRV" } as const;
const POINTER: DnsRecord = { ...PTR, ttl: 4_500, flush: false, data: NAME };

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

const announces = (
  section: string,
  title: string,
  attempt: (lab: Lab) => Promise<void>,
): Clause => ({ section, title, role: "announces", try: attempt });

const looks = (
  section: string,
  title: string,
  attempt: (lab: Lab) => Promise<void>,
): Clause => ({ section, title, role: "looks", try: attempt });

/** What is asked for, in the order of the sections. */
export const CLAUSES: readonly Clause[] = [
  announces("6762 §8.1", "it probes three times, 250 ms apart", (lab) => {
    const times = probesOf(lab).map(({ at }) => at);
    assert.equal(times.length, 3);
    const pauses = [times[1]! - times[0]!, times[2]! - times[1]!];
    assert.ok(pauses.every((ms) => ms > 200 && ms < 350), pauses.join());
    return Promise.resolve();
  }),
  announces("6762 §8.1", "its probes ask for direct answers", (lab) => {
    for (const { questions } of probesOf(lab)) {
      assert.ok(questions.every(({ unicast }) => unicast));
    }
    return Promise.resolve();
  }),
  announces("6762 §8.2", "its probes say what is proposed", (lab) => {
    for (const { authorities } of probesOf(lab)) {
      assert.ok(has(authorities, "SRV", NAME));
    }
    return Promise.resolve();
  }),
  announces(
    "6762 §8.3",
    "it announces at least twice, a second apart",
    (lab) => {
      const times = lab.probe.heard.filter((heard) =>
        heard.type === "response" && isIpv4(heard) &&
        has(heard.answers, "SRV", NAME)
      ).map(({ at }) => at);
      assert.ok(
        times.length >= 2 && times.length <= 8,
        `${times.length} times`,
      );
      assert.ok(times[1]! - times[0]! > 900, `${times[1]! - times[0]!} ms`);
      return Promise.resolve();
    },
  ),
  announces(
    "6762 §5.4",
    "a direct question is answered directly",
    async (lab) => {
      await lab.own("SRV");
      const answer = await lab.ask([{ ...SRV, unicast: true }]);
      assert.equal(answer?.to, "192.168.77.2");
    },
  ),
  announces(
    "6762 §5.5",
    "a question sent to the host alone is answered",
    async (lab) => {
      assert.ok(await lab.ask([SRV], {}, { to: STACK }));
    },
  ),
  announces("6762 §6", "answers come from port 5353", async (lab) => {
    assert.equal((await lab.ask([SRV]))?.port, 5353);
  }),
  announces(
    "6762 §6",
    "what others may answer too waits 20 to 120 ms",
    async (lab) => {
      await lab.rest();
      const start = performance.now();
      const answer = await lab.ask([PTR]);
      const waited = answer!.at - start - 1_100;
      assert.ok(waited >= 15, `${waited} ms`);
    },
  ),
  announces(
    "6762 §6",
    "a record goes to the group once a second",
    async (lab) => {
      await lab.own("SRV");
      const after = performance.now();
      await lab.probe.send({ type: "query", questions: [SRV] });
      const again = await lab.probe.hears(
        (heard) => isIpv4(heard) && has(heard.answers, "SRV"),
        { after, seconds: 0.5 },
      );
      assert.equal(again, undefined);
      // What it says a second later is none of the next question's.
      await lab.rest();
    },
  ),
  announces("6762 §6", "an answer is no additional of another", async (lab) => {
    const answer = await lab.ask(
      [PTR, SRV],
      {},
      {},
      ({ answers }) => has(answers, "PTR"),
    );
    assert.ok(has(answer!.answers, "SRV"));
    assert.ok(!has(answer!.additionals, "SRV"));
  }),
  announces(
    "6762 §6",
    "two questions in one packet are both answered",
    async (lab) => {
      const txt = { name: NAME, type: "TXT" };
      const answer = await lab.ask([SRV, txt]);
      assert.ok(has(answer!.answers, "SRV") && has(answer!.answers, "TXT"));
    },
  ),
  announces("6762 §6", "ANY asks for all", async (lab) => {
    const answer = await lab.ask([{ name: NAME, type: "ANY" }]);
    assert.ok(has(answer!.answers, "SRV") && has(answer!.answers, "TXT"));
  }),
  announces(
    "6762 §6",
    "a response has no questions and no identifier",
    async (lab) => {
      const answer = await lab.ask([SRV], { id: 4711 });
      assert.deepEqual([answer?.questions, answer?.id], [[], 0]);
    },
  ),
  announces("6762 §6", "a name of others is not answered", async (lab) => {
    const name = `nobody.${TYPE}`;
    assert.equal(await lab.ask([{ name, type: "SRV" }]), undefined);
  }),
  announces(
    "6762 §6.1",
    "absence is told, of AAAA or A of the host",
    async (lab) => {
      const name = await lab.server();
      const answer = await lab.ask([{ name, type: "HINFO" }], {}, {}, hasNsec);
      assert.ok(answer);
    },
  ),
  announces(
    "6762 §6.1",
    "absence is told, of any type asked of the service",
    async (lab) => {
      const type = "UNKNOWN_99";
      assert.ok(await lab.ask([{ name: NAME, type }], {}, {}, hasNsec));
    },
  ),
  announces(
    "6762 §6.6",
    "our record with a quarter of its lifetime is put right",
    async (lab) => {
      const srv = await lab.own("SRV");
      const again = await lab.say(
        [{ ...srv, ttl: srv.ttl / 4 }],
        (heard) => heard.type === "response" && has(heard.answers, "SRV", NAME),
      );
      assert.ok(again);
    },
  ),
  announces(
    "6762 §6.7",
    "a simple resolver is answered where it listens",
    async (lab) => {
      const id = 4712;
      const answer = await lab.ask([SRV], { id }, { port: 40_000 });
      assert.equal(answer?.to, "192.168.77.2");
      assert.equal(answer.id, id);
      assert.equal(answer.questions.length, 1);
      assert.ok(answer.answers.every(({ ttl, flush }) => ttl <= 10 && !flush));
    },
  ),
  announces("6762 §7.1", "a known answer is not given", async (lab) => {
    assert.ok(
      await lab.ask([PTR], {}, {}, ({ answers }) => has(answers, "PTR")),
    );
    const answer = await lab.ask([PTR], { answers: [POINTER] });
    assert.equal(answer, undefined);
  }),
  announces(
    "6762 §7.1",
    "a known answer past half of its life is given",
    async (lab) => {
      const known = { ...POINTER, ttl: 2_000 };
      assert.ok(await lab.ask([PTR], { answers: [known] }));
    },
  ),
  announces(
    "6762 §7.2",
    "the rest of the known answers is waited for",
    async (lab) => {
      await lab.rest();
      const after = performance.now();
      await lab.probe.send({
        type: "query",
        questions: [PTR],
        truncated: true,
      });
      await lab.probe.send({ type: "query", answers: [POINTER] });
      const answer = await lab.probe.hears(
        (heard) => isIpv4(heard) && has(heard.answers, "PTR", TYPE),
        { after, seconds: 1.2 },
      );
      assert.equal(answer, undefined);
    },
  ),
  announces("6762 §9", "a conflict has the name probed for", async (lab) => {
    const srv = await lab.own("SRV");
    assert.ok(srv.type === "SRV");
    const data = { ...srv.data, port: 4, target: "other.local" };
    const reaction = await lab.say(
      [{ ...srv, data }],
      (heard) =>
        heard.type === "query" &&
        heard.authorities.some(({ name }) =>
          name.toLowerCase() === NAME.toLowerCase()
        ),
    );
    assert.ok(reaction);
    await lab.rest(5_000);
  }),
  announces(
    "6762 §10",
    "records live 120 s with a host's name, 75 minutes without",
    async (lab) => {
      assert.equal((await lab.own("SRV")).ttl, 120);
      assert.equal((await lab.own("TXT")).ttl, 4_500);
    },
  ),
  announces(
    "6762 §10.1",
    "another host's goodbye for our pointer is put right",
    async (lab) => {
      const again = await lab.say(
        [{ ...POINTER, ttl: 0 }],
        (heard) => heard.type === "response" && has(heard.answers, "PTR", TYPE),
      );
      assert.ok(again);
    },
  ),
  announces(
    "6762 §10.2",
    "what is ours alone replaces, what is shared does not",
    async (lab) => {
      assert.equal((await lab.own("SRV")).flush, true);
      assert.equal((await lab.own("PTR", TYPE)).flush, false);
    },
  ),
  announces("6762 §11", "packets leave with 255 hops, by IPv4", async (lab) => {
    const toAll = await lab.ask([SRV]);
    assert.deepEqual([toAll?.to, toAll?.hops], [GROUP, 255]);
    const direct = await lab.ask([SRV], { id: 1 }, { port: 40_001 });
    assert.deepEqual([direct?.to, direct?.hops], ["192.168.77.2", 255]);
  }),
  announces(
    "6762 §11",
    "who is not on the network is not answered directly",
    async (lab) => {
      const far = { source: "192.0.2.7", to: STACK, ttl: 60 };
      assert.equal(await lab.ask([SRV], {}, far), undefined);
    },
  ),
  announces(
    "6762 §11",
    "who is not on the network causes no conflict",
    async (lab) => {
      const srv = await lab.own("SRV");
      assert.ok(srv.type === "SRV");
      const data = { ...srv.data, port: 5, target: "far.local" };
      const reaction = await lab.say(
        [{ ...srv, data }],
        ({ type, authorities }) => type === "query" && authorities.length > 0,
        { source: "192.0.2.7", to: STACK, ttl: 60 },
      );
      assert.equal(reaction, undefined);
    },
  ),
  announces(
    "6762 §11",
    "the group is heard from another subnet too",
    async (lab) => {
      const answer = await lab.ask([SRV], {}, { source: "192.0.2.7" });
      assert.equal(answer?.to, GROUP);
    },
  ),
  announces(
    "6762 §16",
    "case counts neither in questions nor in known answers",
    async (lab) => {
      assert.ok(await lab.ask([{ ...SRV, name: NAME.toUpperCase() }]));
      const data = NAME.toUpperCase();
      assert.equal(
        await lab.ask([PTR], { answers: [{ ...POINTER, data }] }),
        undefined,
      );
    },
  ),
  announces("6762 §18.3", "another operation is passed over", async (lab) => {
    const change = (packet: Uint8Array): void => void (packet[2]! |= 0x08);
    assert.equal(await lab.ask([SRV], {}, { change }), undefined);
  }),
  announces("6762 §18.14", "names are compressed, also in SRV", async (lab) => {
    const answer = await lab.ask([SRV]);
    assert.ok(answer!.packet.length < 300, `${answer!.packet.length} bytes`);
    assert.ok(answer!.packet.some((byte) => byte >= 0xc0));
  }),
  announces(
    "1035 §3.2.4",
    "a question of another class is not answered",
    async (lab) => {
      const change = (packet: Uint8Array): void =>
        void (packet[packet.length - 1] = 3);
      assert.equal(await lab.ask([SRV], {}, { change }), undefined);
    },
  ),
  announces("6763 §9", "its type is listed", async (lab) => {
    const answer = await lab.ask([{ name: ALL_TYPES, type: "PTR" }]);
    assert.ok(answer?.answers.some(({ data }) => data === TYPE));
  }),
  announces(
    "6763 §12.1",
    "with a pointer go SRV, TXT and addresses",
    async (lab) => {
      const answer = await lab.ask(
        [PTR],
        {},
        {},
        ({ answers }) => has(answers, "PTR"),
      );
      for (const type of ["SRV", "TXT", "A"]) {
        assert.ok(has(answer!.additionals, type), type);
      }
    },
  ),
  announces("6763 §12.2", "with SRV go the addresses", async (lab) => {
    const answer = await lab.ask([SRV]);
    assert.ok(has([...answer!.answers, ...answer!.additionals], "A"));
  }),
  announces("6762 §10.1", "it says goodbye", async (lab) => {
    const after = performance.now();
    await lab.peer.unregister();
    const goodbye = await lab.probe.hears(
      ({ answers }) =>
        answers.some(({ type, ttl }) => type === "PTR" && ttl === 0),
      { after },
    );
    assert.ok(goodbye);
  }),
  looks(
    "6762 §5.2",
    "it asks soon, again after a second, and then half as often",
    async (lab) => {
      const asked = (): Heard[] =>
        lab.probe.heard.filter((heard) =>
          heard.type === "query" && isIpv4(heard) &&
          heard.questions.some(({ name, type }) =>
            name.toLowerCase() === TYPE && type === "PTR"
          )
        );
      await lab.rest(4_000);
      const times = asked().map(({ at }) => at);
      assert.ok(
        times.length >= 2 && times.length <= 4,
        `${times.length} questions`,
      );
      assert.ok(times[1]! - times[0]! >= 950, `${times[1]! - times[0]!} ms`);
    },
  ),
  looks(
    "6762 §5.4",
    "its first question asks for a direct answer",
    (lab) => {
      const first = lab.probe.heard.find(({ type, questions }) =>
        type === "query" && questions.some(({ name }) => name === TYPE)
      );
      assert.ok(first?.questions.some(({ unicast }) => unicast));
      return Promise.resolve();
    },
  ),
  looks(
    "6762 §10.1",
    "a service is there, and gone a second after its goodbye",
    async (lab) => {
      const records = invented("one");
      await lab.probe.send({ type: "response", answers: records });
      await lab.peer.sees(
        "it",
        ({ event, name }) => event === "added" && name === `one.${TYPE}.`,
      );
      await lab.probe.send({
        type: "response",
        answers: records.map((record) => ({ ...record, ttl: 0 })),
      });
      await lab.peer.sees(
        "it go",
        ({ event, name }) => event === "removed" && name === `one.${TYPE}.`,
        5,
      );
    },
  ),
  looks(
    "6762 §5.2",
    "what is about to expire is asked for again",
    async (lab) => {
      const after = performance.now();
      const records = invented("brief", { ttl: 5, host: "brief.local" });
      await lab.probe.send({ type: "response", answers: records });
      const asked = await lab.probe.hears(
        ({ type, questions }) =>
          type === "query" &&
          questions.some(({ name }) => name === `brief.${TYPE}`),
        {
          after,
          seconds: 6,
        },
      );
      assert.ok(asked);
      await lab.peer.sees(
        "it expire",
        ({ event, name }) => event === "removed" && name === `brief.${TYPE}.`,
        10,
      );
    },
  ),
  looks(
    "6762 §7.1",
    "it lists what it knows with its questions",
    async (lab) => {
      const records = invented("known", { ttl: 4_500, host: "known.local" });
      await lab.probe.send({ type: "response", answers: records });
      const after = performance.now();
      const asked = await lab.probe.hears(
        ({ answers }) => answers.some(({ data }) => data === `known.${TYPE}`),
        {
          after,
          seconds: 20,
        },
      );
      assert.ok(asked);
    },
  ),
  looks(
    "6762 §11",
    "what is said to this host alone unasked is not believed",
    async (lab) => {
      await lab.probe.send(
        { type: "response", answers: invented("near", { host: "near.local" }) },
        { to: STACK },
      );
      await lab.probe.send(
        { type: "response", answers: invented("far", { host: "far.local" }) },
        { source: "192.0.2.7", to: STACK, ttl: 60 },
      );
      await lab.rest(1_500);
      assert.deepEqual(
        lab.peer.heard.filter(({ event, name = "" }) =>
          event === "added" && /^(near|far)/.test(name)
        ),
        [],
      );
    },
  ),
  looks(
    "1035 §3.2.4",
    "a record of another class is not believed",
    async (lab) => {
      // The class of the first record, the pointer, is behind its name and type.
      const change = (packet: Uint8Array): void => {
        packet[12 + TYPE.length + 2 + 3] = 3;
      };
      await lab.probe.send(
        {
          type: "response",
          answers: invented("chaos", { host: "chaos.local" }),
        },
        { change },
      );
      await lab.rest(1_500);
      assert.ok(
        !lab.peer.heard.some(({ name = "" }) => name.startsWith("chaos")),
      );
    },
  ),
  looks("6763 §5", "what is missing of a service is asked for", async (lab) => {
    const after = performance.now();
    const [pointer] = invented("partly");
    await lab.probe.send({ type: "response", answers: [pointer!] });
    const asked = await lab.probe.hears(
      ({ type, questions }) =>
        type === "query" &&
        questions.some(({ name, type }) =>
          name === `partly.${TYPE}` && (type === "SRV" || type === "ANY")
        ),
      { after },
    );
    assert.ok(asked);
  }),
];
