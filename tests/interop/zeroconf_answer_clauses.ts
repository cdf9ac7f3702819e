import assert from "node:assert/strict";
import type { DnsRecord } from "../../src/zeroconf/dns_message.ts";
import {
  ALL_TYPES,
  announces,
  type Clause,
  has,
  hasNsec,
  isIpv4,
  NAME,
  POINTER,
  PTR,
  SRV,
  STACK,
  TYPE,
} from "./zeroconf_lab.ts";
import { GROUP, type Heard } from "./zeroconf_probe.ts";

const TXT = { name: NAME, type: "TXT" } as const;

/** The types that NSEC lists in a packet: one window of bits at its end (RFC 4034, section 4.1.2). */
function listedTypes({ packet }: Heard): number[] {
  const at = packet.findIndex((byte, i) =>
    byte === 0 && packet[i + 1] === 47 &&
    (packet[i + 2]! & 0x7f) === 0 && packet[i + 3] === 1
  );
  assert.ok(at >= 0, "no NSEC");
  const length = packet[at + 8]! << 8 | packet[at + 9]!;
  let next = at + 10;
  while (packet[next]! > 0 && packet[next]! < 0xc0) next += packet[next]! + 1;
  next += packet[next]! >= 0xc0 ? 2 : 1;
  const bits = packet.subarray(next + 2, at + 10 + length);
  return [...bits].flatMap((byte, i) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (0x80 >> bit))
      .map((bit) => i * 8 + bit)
  );
}

/** Answers to questions, in all the ways in which one may ask. */
export const ANSWER_CLAUSES: readonly Clause[] = [
  announces(
    "6762 §6",
    "questions for different names are answered",
    async (lab) => {
      const name = await lab.server();
      const answer = await lab.ask([SRV, { name, type: "A" }]);
      assert.ok(has(answer!.answers, "SRV") && has(answer!.answers, "A"));
    },
  ),
  announces(
    "6762 §6.4",
    "what goes together goes in one packet",
    async (lab) => {
      await lab.rest();
      const after = performance.now();
      await lab.ask([SRV, TXT]);
      await lab.rest(300);
      const answers = lab.probe.heard.filter((heard) =>
        heard.at >= after && heard.type === "response" && isIpv4(heard) &&
        heard.source === STACK
      );
      assert.equal(answers.length, 1);
    },
  ),
  announces(
    "6762 §6",
    "after a second a record goes to the group again",
    async (lab) => {
      assert.ok(await lab.ask([SRV]));
      assert.ok(await lab.ask([SRV]));
    },
  ),
  announces(
    "6762 §6.1",
    "absence lists just the types that there are",
    async (lab) => {
      const answer = await lab.ask(
        [{ name: NAME, type: "A" }],
        {},
        {},
        hasNsec,
      );
      assert.deepEqual(listedTypes(answer!), [16, 33]);
    },
  ),
  announces(
    "6762 §6.1",
    "absence is told of the host's other types",
    async (lab) => {
      const name = await lab.server();
      const answer = await lab.ask([{ name, type: "SRV" }], {}, {}, hasNsec);
      assert.ok(
        listedTypes(answer!).every((type) => type === 1 || type === 28),
      );
    },
  ),
  announces(
    "6762 §6.1",
    "absence is not told of others' names",
    async (lab) => {
      const name = "nobody-here.local";
      const heard = await lab.ask([{ name, type: "AAAA" }], {}, {}, () => true);
      assert.equal(heard, undefined);
    },
  ),
  announces(
    "6762 §6.2",
    "with A goes AAAA, or that there is none",
    async (lab) => {
      const name = await lab.server();
      const answer = await lab.ask([{ name, type: "A" }]);
      const all = [...answer!.answers, ...answer!.additionals];
      assert.ok(has(all, "AAAA", name) || hasNsec(answer!));
    },
  ),
  announces("6762 §6.2", "with AAAA goes A", async (lab) => {
    const name = await lab.server();
    const answer = await lab.ask([{ name, type: "AAAA" }]);
    const all = [...answer!.answers, ...answer!.additionals];
    assert.ok(has(all, "A", name));
  }),
  announces(
    "6762 §11",
    "addresses are those of the network they go to",
    async (lab) => {
      const name = await lab.server();
      const answer = await lab.ask([{ name, type: "A" }]);
      assert.deepEqual(
        answer!.answers.flatMap(({ type, data }) => type === "A" ? data : []),
        [STACK],
      );
    },
  ),
  announces("6762 §11", "no address of loopback is told", async (lab) => {
    const name = await lab.server();
    const answer = await lab.ask([{ name, type: "ANY" }]);
    const data = [...answer!.answers, ...answer!.additionals].map((each) =>
      each.data
    );
    assert.ok(!data.includes("127.0.0.1") && !data.includes("::1"));
  }),
  announces(
    "6762 §6.7",
    "a simple resolver gets what belongs to a pointer",
    async (lab) => {
      const answer = await lab.ask([PTR], { id: 4713 }, { port: 40_002 });
      assert.ok(has(answer!.answers, "PTR", TYPE));
      assert.ok(has(answer!.additionals, "SRV", NAME));
    },
  ),
  announces(
    "6762 §6.7",
    "a simple resolver's question comes back as it was",
    async (lab) => {
      const question = { name: NAME.toUpperCase(), type: "TXT" };
      const answer = await lab.ask([question], { id: 4714 }, { port: 40_003 });
      assert.equal(
        answer!.questions[0]?.name.toLowerCase(),
        question.name.toLowerCase(),
      );
      assert.equal(answer!.questions[0]?.type, "TXT");
    },
  ),
  announces(
    "6762 §6.7",
    "a simple resolver hears nothing of others' names",
    async (lab) => {
      const question = { name: `nobody.${TYPE}`, type: "SRV" };
      const options = { port: 40_004 };
      assert.equal(await lab.ask([question], { id: 4715 }, options), undefined);
    },
  ),
  announces(
    "6762 §5.5",
    "a simple resolver may ask the host alone",
    async (lab) => {
      const options = { port: 40_005, to: STACK };
      const answer = await lab.ask([SRV], { id: 4716 }, options);
      assert.equal(answer?.id, 4716);
    },
  ),
  announces(
    "6762 §5.4",
    "of two questions, one direct, both are answered",
    async (lab) => {
      await lab.own("SRV");
      await lab.own("TXT");
      await lab.rest();
      const after = performance.now();
      const questions = [{ ...SRV, unicast: true }, TXT];
      await lab.probe.send({ type: "query", questions });
      for (const type of ["SRV", "TXT"]) {
        const answer = await lab.probe.hears(
          (heard) => isIpv4(heard) && has(heard.answers, type, NAME),
          { after, seconds: 1.2 },
        );
        assert.ok(answer, type);
      }
    },
  ),
  announces(
    "6762 §7.1",
    "a known record of its own is not given",
    async (lab) => {
      const srv = await lab.own("SRV");
      assert.equal(await lab.ask([SRV], { answers: [srv] }), undefined);
    },
  ),
  announces(
    "6762 §7.1",
    "another's record keeps no answer back",
    async (lab) => {
      const data = `another.${TYPE}`;
      const answers = [{ ...POINTER, data } as DnsRecord];
      const answer = await lab.ask([PTR], { answers });
      assert.ok(answer?.answers.some((each) => each.data === NAME));
    },
  ),
  announces(
    "6762 §7.1",
    "what is known of one question keeps no other back",
    async (lab) => {
      const srv = await lab.own("SRV");
      const answer = await lab.ask([SRV, TXT], { answers: [srv] });
      assert.ok(has(answer!.answers, "TXT") && !has(answer!.answers, "SRV"));
    },
  ),
  announces(
    "6762 §7.2",
    "where nothing follows, the answer comes in the end",
    async (lab) => {
      const answer = await lab.ask([PTR], { truncated: true });
      assert.ok(answer && has(answer.answers, "PTR"));
    },
  ),
  announces(
    "6762 §7.4",
    "what another host has just said is not said again",
    async (lab) => {
      await lab.rest();
      const after = performance.now();
      await lab.probe.send({ type: "query", questions: [PTR] });
      await lab.probe.send({ type: "response", answers: [POINTER] });
      const answer = await lab.probe.hears(
        (heard) => isIpv4(heard) && has(heard.answers, "PTR", TYPE),
        { after, seconds: 0.7 },
      );
      assert.equal(answer, undefined);
    },
  ),
  announces(
    "6762 §7.4",
    "what another host says of less life is said again",
    async (lab) => {
      await lab.rest();
      const after = performance.now();
      await lab.probe.send({ type: "query", questions: [PTR] });
      await lab.probe.send({
        type: "response",
        answers: [{ ...POINTER, ttl: 3_000 }],
      });
      const answer = await lab.probe.hears(
        (heard) => isIpv4(heard) && has(heard.answers, "PTR", TYPE),
        { after, seconds: 1.5 },
      );
      assert.ok(answer);
    },
  ),
  announces(
    "6762 §8.1",
    "a name that is held is defended against probes",
    async (lab) => {
      const srv = await lab.own("SRV");
      assert.ok(srv.type === "SRV");
      const other = { ...srv, flush: false, data: { ...srv.data, port: 12 } };
      const answer = await lab.ask(
        [{ name: NAME, type: "ANY" }],
        { authorities: [other] },
        {},
        ({ answers }) => has(answers, "SRV", NAME),
      );
      assert.ok(answer);
    },
  ),
  announces(
    "6762 §6",
    "it is defended at once, also right after an answer",
    async (lab) => {
      const srv = await lab.own("SRV");
      assert.ok(srv.type === "SRV");
      await lab.rest(350 - 0);
      const after = performance.now();
      const other = { ...srv, flush: false, data: { ...srv.data, port: 13 } };
      await lab.probe.send({
        type: "query",
        questions: [{ name: NAME, type: "ANY" }],
        authorities: [other],
      });
      const answer = await lab.probe.hears(
        (heard) => isIpv4(heard) && has(heard.answers, "SRV", NAME),
        { after, seconds: 0.5 },
      );
      assert.ok(answer);
    },
  ),
  announces(
    "6762 §10",
    "pointers live 75 minutes, addresses 120 s",
    async (lab) => {
      assert.equal((await lab.own("PTR", TYPE)).ttl, 4_500);
      assert.equal((await lab.own("A", await lab.server())).ttl, 120);
    },
  ),
  announces("6762 §10.2", "addresses replace others", async (lab) => {
    assert.equal((await lab.own("A", await lab.server())).flush, true);
  }),
  announces(
    "6762 §11",
    "an answer to the group goes to the group",
    async (lab) => {
      const answer = await lab.ask([TXT]);
      assert.equal(answer?.to, GROUP);
    },
  ),
  announces("6763 §6.1", "TXT has at least one string", async (lab) => {
    const txt = await lab.own("TXT");
    assert.ok(txt.type === "TXT" && txt.data.length >= 1);
  }),
  announces(
    "6763 §9",
    "the list of types is one that many may have",
    async (lab) => {
      const answer = await lab.ask([{ name: ALL_TYPES, type: "PTR" }]);
      const record = answer?.answers.find(({ data }) => data === TYPE);
      assert.equal(record?.flush, false);
    },
  ),
  announces(
    "6763 §4.1",
    "a pointer's name is the type as it was asked",
    async (lab) => {
      const pointer = await lab.own("PTR", TYPE);
      assert.equal(pointer.name.toLowerCase(), TYPE);
      assert.equal(pointer.data, NAME);
    },
  ),
  announces("2782", "SRV names a host that has an address", async (lab) => {
    const name = await lab.server();
    assert.ok(name.endsWith(".local"));
    assert.equal((await lab.own("A", name)).data, STACK);
  }),
];
