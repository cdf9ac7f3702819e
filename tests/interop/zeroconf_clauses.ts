import assert from "node:assert/strict";
import { ANSWER_CLAUSES } from "./zeroconf_answer_clauses.ts";
import { CONTEST_CLAUSES } from "./zeroconf_contest_clauses.ts";
import { HEADER_CLAUSES } from "./zeroconf_header_clauses.ts";
import { LOOK_CLAUSES } from "./zeroconf_look_clauses.ts";
import {
  ALL_TYPES,
  announces,
  type Clause,
  has,
  hasNsec,
  invented,
  isIpv4,
  looks,
  NAME,
  POINTER,
  probesOf,
  PTR,
  SRV,
  STACK,
  TYPE,
} from "./zeroconf_lab.ts";
import { GROUP, type Heard } from "./zeroconf_probe.ts";

/** What has always been asked for. */
const FIRST: readonly Clause[] = [
  announces("6762 §8.1", "it probes three times, 250 ms apart", (lab) => {
    const times = probesOf(lab).map(({ at }) => at);
    assert.equal(times.length, 3);
    const pauses = [times[1]! - times[0]!, times[2]! - times[1]!];
    assert.ok(pauses.every((ms) => ms > 100 && ms < 450), pauses.join());
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
      assert.ok(times[1]! - times[0]! >= 900, `${times[1]! - times[0]!} ms`);
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
      // What it has asked for directly is over by then.
      await lab.rest(3_000);
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

/**
 * What is asked for, in groups that are tried one beside the other, each on
 * hosts of its own: what ends a service stands at the end of a group.
 */
export const GROUPS: readonly (readonly Clause[])[] = [
  FIRST.filter(({ role }) => role === "announces"),
  HEADER_CLAUSES,
  ANSWER_CLAUSES,
  CONTEST_CLAUSES,
  FIRST.filter(({ role }) => role === "looks"),
  LOOK_CLAUSES,
];

/** All that is asked for, in the order of the sections. */
export const CLAUSES: readonly Clause[] = GROUPS.flat().toSorted((a, b) =>
  a.role.localeCompare(b.role) ||
  a.section.localeCompare(b.section, "en", { numeric: true })
);
