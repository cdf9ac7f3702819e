import assert from "node:assert/strict";
import type { DnsRecord } from "../../src/zeroconf/dns_message.ts";
import {
  type Clause,
  invented,
  isIpv4,
  Lab,
  looks,
  STACK,
  TYPE,
} from "./zeroconf_lab.ts";
import type { SendOptions } from "./zeroconf_probe.ts";

const encoder = new TextEncoder();

/** Says that there is a service, from one host. */
async function say(
  lab: Lab,
  records: readonly DnsRecord[],
  options: SendOptions = {},
): Promise<void> {
  await lab.probe.send({ type: "response", answers: records }, options);
}

function nameOf(instance: string): string {
  return `${instance}.${TYPE}.`;
}

/** Waits until a service was seen, in order not to take it for another one. */
function seen(lab: Lab, instance: string): Promise<unknown> {
  return lab.peer.sees(
    `"${instance}"`,
    ({ event, name }) =>
      event !== "removed" &&
      name?.toLowerCase() === nameOf(instance).toLowerCase(),
    6,
    { next: 0 },
  );
}

function service(instance: string, parts = {}): DnsRecord[] {
  return invented(instance, { host: `${instance}.local`, ...parts });
}

async function isNotSeen(lab: Lab, instance: string): Promise<void> {
  await lab.rest(1_500);
  assert.ok(!lab.peer.heard.some(({ name }) => name === nameOf(instance)));
}

/** What is announced of an instance, with a TXT record of these strings. */
function withTxt(instance: string, ...strings: string[]): DnsRecord[] {
  return service(instance).map((record) =>
    record.type === "TXT"
      ? { ...record, data: strings.map((text) => encoder.encode(text)) }
      : record
  );
}

/** What a packet that is passed over has about it. */
function passesOver(
  section: string,
  title: string,
  instance: string,
  options: SendOptions,
): Clause {
  return looks(section, title, async (lab) => {
    await say(lab, service(instance), options);
    await isNotSeen(lab, instance);
  });
}

/** Sends a broken packet, and looks whether a good one is still taken. */
function survives(
  title: string,
  instance: string,
  change: (packet: Uint8Array) => void,
): Clause {
  return looks("6762 §18", title, async (lab) => {
    await say(lab, service(`${instance} broken`), { change });
    await say(lab, service(instance));
    await seen(lab, instance);
  });
}

/** Looking for services, and what is believed of what is heard. */
export const LOOK_CLAUSES: readonly Clause[] = [
  looks(
    "6762 §5.4",
    "its later questions ask for answers to all",
    async (lab) => {
      await lab.rest(3_500);
      const questions = lab.probe.heard.filter((heard) =>
        heard.type === "query" && isIpv4(heard)
      ).flatMap(({ questions }) =>
        questions.filter(({ name }) => name.toLowerCase() === TYPE)
      );
      assert.ok(questions.length >= 2);
      assert.ok(questions.slice(1).every(({ unicast }) => !unicast));
    },
  ),
  looks("6762 §18.1", "its questions have no identifier", (lab) => {
    const queries = lab.probe.heard.filter(({ type, source }) =>
      type === "query" && source === STACK
    );
    assert.ok(queries.length > 0 && queries.every(({ id }) => id === 0));
    return Promise.resolve();
  }),
  looks("6762 §11", "its questions leave with 255 hops, by IPv4", (lab) => {
    const queries = lab.probe.heard.filter(({ type, source }) =>
      type === "query" && source === STACK
    );
    assert.ok(queries.length > 0 && queries.every(({ hops }) => hops === 255));
    return Promise.resolve();
  }),
  looks("6762 §18", "bits that mean nothing keep nothing back", async (lab) => {
    const change = (packet: Uint8Array): void => {
      packet[1] = 7;
      packet[3]! |= 0x30;
    };
    await say(lab, service("bits"), { change });
    await seen(lab, "bits");
  }),
  looks(
    "6762 §6",
    "an answer with a question in it is believed",
    async (lab) => {
      const questions = [{ name: TYPE, type: "PTR" }];
      await lab.probe.send({
        type: "response",
        questions,
        answers: service("asked"),
      });
      await seen(lab, "asked");
    },
  ),
  looks(
    "6762 §11",
    "the group is heard from another subnet too",
    async (lab) => {
      await say(lab, service("foreign"), { source: "192.0.2.7" });
      await seen(lab, "foreign");
    },
  ),
  looks("6762 §16", "case does not count in what is said", async (lab) => {
    const records = service("case").map((record) =>
      record.type === "PTR"
        ? { ...record, name: TYPE.toUpperCase() }
        : { ...record, name: record.name.toUpperCase() }
    );
    await say(lab, records);
    await seen(lab, "case");
  }),
  looks(
    "6763 §5",
    "a service that is told in four packets is seen",
    async (lab) => {
      for (const record of service("parts")) await say(lab, [record]);
      await seen(lab, "parts");
    },
  ),
  looks("6762 §6", "additional records are believed", async (lab) => {
    const [pointer, ...additionals] = service("additional");
    await lab.probe.send({
      type: "response",
      answers: [pointer!],
      additionals,
    });
    await seen(lab, "additional");
  }),
  looks(
    "6763 §4.1.1",
    "a name may have dots, blanks and any letters",
    async (lab) => {
      await say(lab, service("Küche 2.OG"));
      await seen(lab, "Küche 2.OG");
    },
  ),
  looks("6763 §4.1.1", "a name of 63 bytes is taken", async (lab) => {
    const instance = "x".repeat(63);
    await say(lab, invented(instance, { host: "long.local" }));
    await seen(lab, instance);
  }),
  looks("6763 §6.4", "a key without a value is there", async (lab) => {
    await say(lab, withTxt("flag", "paper", "colour="));
    await seen(lab, "flag");
    const { properties } = lab.peer.heard.findLast(({ name }) =>
      name === nameOf("flag")
    )!;
    assert.ok("paper" in properties! && "colour" in properties!);
  }),
  looks("6763 §6.4", "of equal keys the first one counts", async (lab) => {
    await say(lab, withTxt("equal", "a=1", "a=2"));
    await seen(lab, "equal");
    const { properties } = lab.peer.heard.findLast(({ name }) =>
      name === nameOf("equal")
    )!;
    assert.equal(properties?.["a"], "1");
  }),
  looks("6763 §6.4", "a text without a key is passed over", async (lab) => {
    await say(lab, withTxt("keyless", "=x", "b=1"));
    await seen(lab, "keyless");
    const { properties } = lab.peer.heard.findLast(({ name }) =>
      name === nameOf("keyless")
    )!;
    assert.deepEqual(Object.keys(properties!), ["b"]);
  }),
  looks("6762 §10.2", "a record that replaces is taken", async (lab) => {
    await say(lab, service("moving", { port: 1 }));
    await seen(lab, "moving");
    await lab.rest(1_300);
    await say(lab, service("moving", { port: 2 }));
    await lab.peer.sees(
      "the new port",
      ({ name, port, event }) =>
        name === nameOf("moving") && port === 2 && event === "updated",
      6,
      { next: 0 },
    );
  }),
  looks(
    "6762 §10.2",
    "an address that is replaced is forgotten",
    async (lab) => {
      await say(lab, service("house", { address: "192.168.77.2" }));
      await seen(lab, "house");
      await lab.rest(1_300);
      await say(lab, service("house", { address: "192.168.77.9" }));
      await lab.peer.sees(
        "the new address alone",
        ({ name, addresses }) =>
          name === nameOf("house") && addresses?.join() === "192.168.77.9",
        8,
        { next: 0 },
      );
    },
  ),
  looks("6763 §6", "a change of TXT is told as one", async (lab) => {
    await say(lab, withTxt("text", "a=1"));
    await seen(lab, "text");
    await lab.rest(1_300);
    await say(lab, withTxt("text", "a=2"));
    await lab.peer.sees(
      "the change",
      ({ name, event, properties }) =>
        name === nameOf("text") && event === "updated" &&
        properties?.["a"] === "2",
      6,
      { next: 0 },
    );
  }),
  looks("2782", "a change of the host is no removal", async (lab) => {
    await say(lab, service("target"));
    await seen(lab, "target");
    await lab.rest(1_300);
    const [pointer, srv, txt, address] = service("target", {
      host: "target-2.local",
      port: 2,
    });
    await say(lab, [pointer!, srv!, txt!]);
    // The address of the new host comes later; until then the former one counts.
    await lab.rest(500);
    await say(lab, [address!]);
    await lab.peer.sees(
      "the change",
      ({ name, port }) => name === nameOf("target") && port === 2,
      6,
      { next: 0 },
    );
    assert.ok(
      !lab.peer.heard.some(({ name, event }) =>
        name === nameOf("target") && event === "removed"
      ),
    );
  }),
  looks(
    "6762 §10.1",
    "a goodbye of what was never there is nothing",
    async (lab) => {
      const records = service("ghost").map((each) => ({ ...each, ttl: 0 }));
      await say(lab, records);
      await isNotSeen(lab, "ghost");
    },
  ),
  looks(
    "6762 §10.1",
    "who comes back within a second of its goodbye stays",
    async (lab) => {
      const records = service("back");
      await say(lab, records);
      await seen(lab, "back");
      await say(lab, records.map((each) => ({ ...each, ttl: 0 })));
      await lab.rest(300);
      await say(lab, records);
      await lab.rest(2_500);
      const last = lab.peer.heard.findLast(({ name }) =>
        name === nameOf("back")
      );
      assert.notEqual(last?.event, "removed");
    },
  ),
  looks("6763 §5", "fifty services at once are all seen", async (lab) => {
    const names = Array.from({ length: 50 }, (_, i) => `of fifty ${i}`);
    for (const instance of names) {
      await say(lab, invented(instance, { host: "fifty.local" }));
    }
    for (const instance of names) await seen(lab, instance);
  }),
  passesOver("6762 §6", "an answer from another port is none", "port", {
    port: 5_454,
  }),
  passesOver("6762 §18.3", "an answer to another operation is none", "opcode", {
    change: (packet) => void (packet[2]! |= 0x10),
  }),
  passesOver("6762 §18.11", "an answer with an error is none", "rcode", {
    change: (packet) => void (packet[3]! |= 0x03),
  }),
  survives(
    "a packet that ends too soon does no harm",
    "after end",
    (packet) => {
      packet[7] = 99;
    },
  ),
  survives(
    "a name that points at itself does no harm",
    "after loop",
    (packet) => {
      packet.set([0xc0, 0x0c], 12);
    },
  ),
  survives("a label without an end does no harm", "after label", (packet) => {
    packet[12] = 63;
  }),
  looks(
    "6763 §5",
    "what is not answered is not asked for all the time",
    async (lab) => {
      const [pointer] = service("silent");
      const after = performance.now();
      await say(lab, [pointer!]);
      await lab.rest(5_000);
      const asked = lab.probe.heard.filter(({ at, type, questions, source }) =>
        at >= after && type === "query" && source === STACK &&
        questions.some(({ name }) => name === `silent.${TYPE}`)
      );
      assert.ok(
        asked.length >= 1 && asked.length <= 6,
        `${asked.length} times`,
      );
    },
  ),
  looks("6762 §10.5", "what others ask for in vain goes", async (lab) => {
    await say(lab, service("vain", { ttl: 4_500 }));
    await seen(lab, "vain");
    const questions = [{ name: `vain.${TYPE}`, type: "SRV" }];
    for (let i = 0; i < 3; i++) {
      await lab.rest(1_500);
      await lab.probe.send({ type: "query", questions });
    }
    await lab.peer.sees(
      "it go",
      ({ name, event }) => name === nameOf("vain") && event === "removed",
      12,
      { next: 0 },
    );
  }),
];
