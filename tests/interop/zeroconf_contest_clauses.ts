import assert from "node:assert/strict";
import {
  type DnsRecord,
  fold,
  recordKey,
} from "../../src/zeroconf/dns_message.ts";
import {
  announces,
  type Clause,
  type Lab,
  NAME,
  STACK,
  TYPE,
} from "./zeroconf_lab.ts";
import type { Heard } from "./zeroconf_probe.ts";

/** Tells whether a packet probes for a service. */
function probesFor(heard: Heard, name: string): boolean {
  return heard.type === "query" && heard.source === STACK &&
    heard.authorities.some((each) =>
      each.type === "SRV" && fold(each.name) === fold(name)
    );
}

/** Has the stack register one more service, and waits for its first probe. */
async function contest(
  lab: Lab,
  instance: string,
): Promise<{ name: string; after: number; registered: Promise<string> }> {
  const name = `${instance}.${TYPE}`;
  const after = performance.now();
  const registered = lab.peer.register(instance, 1_100, STACK, { id: "1" });
  // Whoever does not probe is done before.
  registered.catch(() => {});
  const first = await lab.probe.hears((heard) => probesFor(heard, name), {
    after,
    seconds: 5,
  });
  assert.ok(first, "no probe");
  return { name, after, registered };
}

/** What somebody else proposes, or has, under the name of a service. */
function rival(name: string, priority: number): DnsRecord[] {
  const data = { priority, weight: 0, port: 1, target: "rival.local" };
  // TXT comes first in the comparison, and its length first in that.
  const txt = priority === 0 ? [] : [new Uint8Array(99)];
  const common = { name, ttl: 120, flush: false } as const;
  return [
    { ...common, type: "SRV", data },
    { ...common, type: "TXT", data: txt },
  ];
}

/** The probes for a service until it is announced. */
async function probesUntilAnnounced(
  lab: Lab,
  { name, after, registered }: Awaited<ReturnType<typeof contest>>,
): Promise<number> {
  await registered;
  const announced = await lab.probe.hears(
    ({ type, answers }) =>
      type === "response" &&
      answers.some((each) =>
        each.type === "SRV" && fold(each.name) === fold(name)
      ),
    { after, seconds: 10 },
  );
  assert.ok(announced, "not announced");
  return lab.probe.heard.filter((heard) =>
    heard.at >= after && heard.at <= announced.at && probesFor(heard, name)
  ).length;
}

/** Who wins a name, and what is said besides. */
export const CONTEST_CLAUSES: readonly Clause[] = [
  announces("6762 §6", "unasked, nothing is said", async (lab) => {
    const after = performance.now();
    await lab.rest(4_000);
    const said = lab.probe.heard.filter(({ at, source }) =>
      at >= after && source === STACK
    );
    assert.deepEqual(said, []);
  }),
  announces(
    "6762 §8.2",
    "who proposes more of two goes on",
    async (lab) => {
      const contested = await contest(lab, "more");
      const authorities = rival(contested.name, 0);
      const questions = [{ name: contested.name, type: "ANY" }];
      await lab.probe.send({ type: "query", questions, authorities });
      assert.equal(await probesUntilAnnounced(lab, contested), 3);
    },
  ),
  announces(
    "6762 §8.2",
    "who proposes less of two waits, and begins again",
    async (lab) => {
      const contested = await contest(lab, "less");
      const authorities = rival(contested.name, 0xffff);
      const questions = [{ name: contested.name, type: "ANY" }];
      await lab.probe.send({ type: "query", questions, authorities });
      const probes = await probesUntilAnnounced(lab, contested);
      assert.ok(probes > 3, `${probes} probes`);
    },
  ),
  announces(
    "6762 §8.1",
    "a name that somebody has is given up for another",
    async (lab) => {
      const { name, after, registered } = await contest(lab, "taken");
      const answers = rival(name, 1).map((each) => ({ ...each, flush: true }));
      await lab.probe.send({ type: "response", answers });
      const renamed = await lab.probe.hears(
        ({ type, answers }) =>
          type === "response" &&
          answers.some((each) =>
            each.type === "SRV" && /^taken./i.test(each.name) &&
            fold(each.name) !== fold(name)
          ),
        { after, seconds: 10 },
      );
      assert.ok(renamed, "no other name");
      await registered;
    },
  ),
  announces("6762 §7.1", "no packet says a record twice", async (lab) => {
    await lab.own("SRV");
    for (const heard of lab.probe.heard) {
      if (heard.source !== STACK || heard.type !== "response") continue;
      const keys = [...heard.answers, ...heard.additionals].map(recordKey);
      assert.equal(new Set(keys).size, keys.length, keys.join("; "));
    }
  }),
  announces(
    "1034 §3.5",
    "the name of the host has letters, digits and hyphens",
    async (lab) => {
      const srv = await lab.own("SRV", NAME);
      assert.ok(srv.type === "SRV");
      assert.match(
        srv.data.target,
        /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.local$/i,
      );
    },
  ),
];
