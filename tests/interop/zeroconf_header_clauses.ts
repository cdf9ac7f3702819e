import assert from "node:assert/strict";
import type { DnsRecord } from "../../src/zeroconf/dns_message.ts";
import {
  announces,
  type Clause,
  has,
  isIpv4,
  Lab,
  NAME,
  POINTER,
  probesOf,
  PTR,
  SRV,
  STACK,
  TYPE,
} from "./zeroconf_lab.ts";
import { GROUP, type Heard } from "./zeroconf_probe.ts";

/** Our SRV record, as if another host had it. */
async function conflicting(lab: Lab, port: number): Promise<DnsRecord> {
  const srv = await lab.own("SRV");
  assert.ok(srv.type === "SRV");
  return { ...srv, data: { ...srv.data, port, target: "other.local" } };
}

/** Whether the name is probed for again. */
function isProbing({ type, authorities }: Heard): boolean {
  return type === "query" && authorities.length > 0;
}

/** What the stack has sent to the group so far. */
function sentBy({ probe }: Lab, type: Heard["type"]): Heard[] {
  const sent = probe.heard.filter((heard) =>
    heard.type === type && heard.source === STACK && heard.to === GROUP
  );
  assert.ok(sent.length > 0);
  return sent;
}

/** Sends a packet that is broken, and looks whether the stack still answers. */
function survives(
  title: string,
  change: (packet: Uint8Array) => void,
): Clause {
  return announces("6762 §18", title, async (lab) => {
    await lab.ask([SRV, PTR], {}, { change }, () => true, 0.3);
    assert.ok(await lab.ask([SRV]));
  });
}

/** The announcements of the service, until it was changed or asked for. */
function announcements(lab: Lab): Heard[] {
  return sentBy(lab, "response").filter(({ answers }) =>
    has(answers, "SRV", NAME) && has(answers, "PTR", TYPE)
  );
}

function bitsAreZero(
  section: string,
  title: string,
  type: Heard["type"],
  at: 2 | 3,
  bits: number,
): Clause {
  return announces(section, title, (lab) => {
    for (const { packet } of sentBy(lab, type)) {
      assert.equal(packet[at]! & bits, 0, `${packet[at]}`);
    }
    return Promise.resolve();
  });
}

/** Headers, probes and announcements, and what has to be passed over. */
export const HEADER_CLAUSES: readonly Clause[] = [
  announces("6762 §8.1", "its probes ask for any type", (lab) => {
    for (const { questions } of probesOf(lab)) {
      assert.ok(questions.every(({ type }) => type === "ANY"));
    }
    return Promise.resolve();
  }),
  announces("6762 §8.1", "its probes go to the group", (lab) => {
    assert.ok(
      probesOf(lab).every(({ to, port }) => to === GROUP && port === 5353),
    );
    return Promise.resolve();
  }),
  announces("6762 §10.2", "what is proposed does not replace", (lab) => {
    for (const { authorities } of probesOf(lab)) {
      assert.ok(authorities.every(({ flush }) => !flush));
    }
    return Promise.resolve();
  }),
  announces("6762 §8.2", "its probes propose TXT, too", (lab) => {
    for (const { authorities } of probesOf(lab)) {
      assert.ok(has(authorities, "TXT", NAME));
    }
    return Promise.resolve();
  }),
  announces("6762 §8.1", "its probes come before all answers", (lab) => {
    const last = probesOf(lab).at(-1)!.at;
    const first = sentBy(lab, "response").find(({ answers }) =>
      has(answers, "SRV", NAME)
    );
    assert.ok(first && first.at > last);
    return Promise.resolve();
  }),
  announces("6762 §8.1", "the name of the host is probed for", async (lab) => {
    const name = await lab.server();
    assert.ok(
      lab.probe.heard.some(({ type, authorities }) =>
        type === "query" && has(authorities, "A", name)
      ),
    );
  }),
  announces("6762 §8.3", "it announces all its records", (lab) => {
    const [first] = announcements(lab);
    const records = [...first!.answers, ...first!.additionals];
    for (const type of ["PTR", "SRV", "TXT"]) {
      assert.ok(has(records, type), type);
    }
    assert.ok(
      sentBy(lab, "response").some(({ answers }) => has(answers, "A")),
    );
    return Promise.resolve();
  }),
  announces("6762 §8.3", "what it announces as its own replaces", (lab) => {
    for (const { answers } of announcements(lab)) {
      for (const { type, flush } of answers) {
        if (type !== "NSEC") assert.equal(flush, type !== "PTR", type);
      }
    }
    return Promise.resolve();
  }),
  announces("6762 §8.3", "it announces without questions", (lab) => {
    assert.ok(
      announcements(lab).every(({ questions }) => questions.length === 0),
    );
    return Promise.resolve();
  }),
  announces("6762 §18.1", "what goes to the group has no identifier", (lab) => {
    for (const type of ["query", "response"] as const) {
      assert.ok(sentBy(lab, type).every(({ id }) => id === 0));
    }
    return Promise.resolve();
  }),
  announces("6762 §18.4", "its answers are authoritative", (lab) => {
    for (const { packet } of sentBy(lab, "response")) {
      assert.equal(packet[2]! & 0x04, 0x04);
    }
    return Promise.resolve();
  }),
  bitsAreZero("6762 §18.4", "its questions are not", "query", 2, 0x04),
  bitsAreZero("6762 §18.3", "its operation is a query", "response", 2, 0x78),
  bitsAreZero("6762 §18.5", "its answers are not truncated", "response", 2, 2),
  bitsAreZero("6762 §18.6", "it desires no recursion", "query", 2, 0x01),
  bitsAreZero("6762 §18.7", "it offers no recursion", "response", 3, 0x80),
  bitsAreZero("6762 §18.8", "the bits for nothing are zero", "query", 3, 0x70),
  bitsAreZero("6762 §18.11", "its answers tell no error", "response", 3, 0x0f),
  announces("6762 §17", "its packets fit an Ethernet frame", (lab) => {
    for (const type of ["query", "response"] as const) {
      assert.ok(
        sentBy(lab, type).every(({ packet }) => packet.length <= 1_472),
      );
    }
    return Promise.resolve();
  }),
  announces(
    "6762 §18.6",
    "bits that mean nothing keep no answer",
    async (lab) => {
      const change = (packet: Uint8Array): void => {
        packet[2]! |= 0x01;
        packet[3]! |= 0x30;
      };
      assert.ok(await lab.ask([SRV], {}, { change }));
    },
  ),
  announces(
    "6762 §18.13",
    "a question of any class is answered",
    async (lab) => {
      const change = (packet: Uint8Array): void =>
        void (packet[packet.length - 1] = 255);
      assert.ok(await lab.ask([SRV], {}, { change }));
    },
  ),
  announces(
    "6762 §18.11",
    "a question with an error is passed over",
    async (lab) => {
      const change = (packet: Uint8Array): void => void (packet[3]! |= 0x03);
      assert.equal(await lab.ask([SRV], {}, { change }), undefined);
    },
  ),
  survives("a packet that ends too soon does no harm", (packet) => {
    packet[5] = 9;
  }),
  survives("a name that points at itself does no harm", (packet) => {
    packet.set([0xc0, 0x0c], 12);
  }),
  survives("a name that points behind the end does no harm", (packet) => {
    packet.set([0xff, 0xff], 12);
  }),
  survives("a label without an end does no harm", (packet) => {
    packet[12] = 63;
  }),
  announces("6762 §6", "an answer from another port is none", async (lab) => {
    const record = await conflicting(lab, 6);
    const reaction = await lab.say([record], isProbing, { port: 5_454 });
    assert.equal(reaction, undefined);
  }),
  announces("6762 §18.11", "an answer with an error is none", async (lab) => {
    const record = await conflicting(lab, 7);
    const change = (packet: Uint8Array): void => void (packet[3]! |= 0x03);
    assert.equal(await lab.say([record], isProbing, { change }), undefined);
  }),
  announces(
    "6762 §18.3",
    "an answer to another operation is none",
    async (lab) => {
      const record = await conflicting(lab, 8);
      const change = (packet: Uint8Array): void => void (packet[2]! |= 0x10);
      assert.equal(await lab.say([record], isProbing, { change }), undefined);
    },
  ),
  announces(
    "6762 §9",
    "the same record from another is no conflict",
    async (lab) => {
      const srv = await lab.own("SRV");
      assert.equal(await lab.say([srv], isProbing), undefined);
    },
  ),
  announces("6762 §9", "what many may have is no conflict", async (lab) => {
    const record: DnsRecord = {
      ...POINTER,
      data: `another.${TYPE}`,
    } as DnsRecord;
    assert.equal(await lab.say([record], isProbing), undefined);
  }),
  announces("6762 §9", "a record that is over is no conflict", async (lab) => {
    const record = await conflicting(lab, 9);
    assert.equal(await lab.say([{ ...record, ttl: 0 }], isProbing), undefined);
  }),
  announces(
    "6762 §9",
    "a conflict about the host has its name probed for",
    async (lab) => {
      const name = await lab.server();
      const other: DnsRecord = {
        ...{ name, type: "A", ttl: 120, flush: true },
        data: "192.168.77.66",
      };
      const reaction = await lab.say(
        [other],
        (heard) => heard.type === "query" && has(heard.authorities, "A", name),
      );
      assert.ok(reaction);
      await lab.rest(5_000);
      assert.equal(await lab.server(), name);
    },
  ),
  announces(
    "6762 §9",
    "a name that nobody else claims is kept",
    async (lab) => {
      const record = await conflicting(lab, 10);
      await lab.say([record], isProbing);
      await lab.rest(5_000);
      assert.ok(await lab.ask([SRV]));
    },
  ),
  announces(
    "6762 §8.4",
    "a change is announced at least twice",
    async (lab) => {
      const after = performance.now();
      await lab.peer.update("wire", 1_000, STACK, { id: "2" });
      await lab.rest(4_000);
      const said = sentBy(lab, "response").filter((heard) =>
        heard.at >= after && saysTwo(heard)
      );
      assert.ok(said.length >= 2, `${said.length} times`);
    },
  ),
  announces("6762 §8.4", "a change needs no goodbye", (lab) => {
    assert.ok(
      sentBy(lab, "response").every(({ answers }) =>
        answers.every(({ ttl, name }) => ttl > 0 || name !== NAME)
      ),
    );
    return Promise.resolve();
  }),
  announces(
    "6762 §8.4",
    "after a change, the former is not answered",
    async (lab) => {
      const answer = await lab.ask([{ name: NAME, type: "TXT" }]);
      assert.ok(answer && saysTwo(answer));
    },
  ),
  announces(
    "6762 §10.1",
    "its goodbye is for all that is its own",
    async (lab) => {
      const after = performance.now();
      await lab.peer.unregister();
      for (const type of ["PTR", "SRV", "TXT"]) {
        const goodbye = await lab.probe.hears(
          ({ answers }) =>
            answers.some((each) => each.type === type && each.ttl === 0),
          { after },
        );
        assert.ok(goodbye, type);
      }
    },
  ),
  announces(
    "6762 §10.1",
    "what it has taken leave of is not answered",
    async (lab) => {
      await lab.rest();
      assert.equal(await lab.ask([SRV]), undefined);
      const answer = await lab.ask([PTR]);
      assert.ok(
        !answer?.answers.some(({ data, ttl }) => data === NAME && ttl > 0),
      );
    },
  ),
];

function saysTwo(heard: Heard): boolean {
  const wanted = "id=2";
  return isIpv4(heard) && heard.answers.some((each) =>
    each.type === "TXT" &&
    each.data.length === 1 &&
    new TextDecoder().decode(each.data[0]) === wanted
  );
}
