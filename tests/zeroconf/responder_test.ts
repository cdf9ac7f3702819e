import assert from "node:assert/strict";
import type { DnsMessage } from "../../src/zeroconf/dns_message.ts";
import { encodeMessage } from "../../src/zeroconf/wire_format.ts";
import {
  Cable,
  EVERYWHERE,
  Host,
  received,
  serviceRecords,
  TYPE,
} from "./helpers.ts";
import { announced, isProbe, NAME } from "./responders.ts";

function goodbyes(cable: Cable): DnsMessage[] {
  return cable.packets.map(({ message }) => message).filter((message) =>
    message.answers?.some(({ ttl }) => ttl === 0)
  );
}

Deno.test("Responder probes three times before it announces", () => {
  const { cable } = announced();
  const service = cable.packets.filter(({ message }) =>
    isProbe(message)
      ? message.questions?.some(({ name }) => name === NAME)
      : message.answers?.some(({ type }) => type === "SRV")
  );
  assert.deepEqual(
    service.map(({ at, message }) => [at, isProbe(message)]),
    [[0, true], [250, true], [500, true], [750, false], [1_750, false], [
      3_750,
      false,
    ]],
  );
});

Deno.test("Responder answers with what will be asked next", () => {
  const { cable } = announced();
  const [answer] = cable.ask({ questions: [{ name: TYPE, type: "PTR" }] });
  assert.deepEqual(answer?.answers?.map(({ type }) => type), ["PTR"]);
  assert.deepEqual(answer?.additionals?.map(({ type }) => type), [
    "SRV",
    "TXT",
    "A",
    "NSEC",
  ]);
});

Deno.test("Responder spreads 200 services over packets that fit a frame", () => {
  const cable = new Cable();
  const host = new Host(cable, "192.0.2.1");
  for (let i = 0; i < 200; i++) host.register(`service ${i}`, 1_000 + i);
  cable.clock.advance(20_000);
  const packets = cable.ask({ questions: [{ name: TYPE, type: "PTR" }] });
  const pointers = packets.flatMap(({ answers = [] }) => answers);
  assert.equal(pointers.length, 200);
  for (const packet of packets) {
    assert.ok(encodeMessage(packet).length <= 1_400);
    assert.ok(packet.additionals?.some(({ type }) => type === "A"));
  }
});

Deno.test("Responder keeps quiet about what the other knows", () => {
  const { cable } = announced();
  const known = { name: TYPE, type: "PTR", flush: false, data: NAME } as const;
  const questions = [{ name: TYPE, type: "PTR" }] as const;
  assert.equal(
    cable.ask({ questions, answers: [{ ...known, ttl: 2_251 }] }).length,
    0,
  );
  assert.equal(
    cable.ask({ questions, answers: [{ ...known, ttl: 2_249 }] }).length,
    1,
  );
});

Deno.test("Responder waits for the rest of a truncated query", () => {
  const { cable, host } = announced();
  const from = cable.packets.length;
  const questions = [{ name: TYPE, type: "PTR" }] as const;
  const source = { interfaceName: "eth0", address: "192.0.2.200", port: 5353 };
  const query = (message: Omit<DnsMessage, "type">): void =>
    host.registry.receive({
      ...received({ type: "query", ...message }),
    }, source);
  query({ questions, truncated: true });
  cable.clock.advance(100);
  query({
    answers: [{
      name: TYPE,
      type: "PTR",
      flush: false,
      ttl: 4_500,
      data: NAME,
    }],
  });
  cable.clock.advance(1_000);
  assert.equal(cable.packets.length, from);
});

Deno.test("Responder answers a simple resolver directly", () => {
  const { cable } = announced();
  const [answer] = cable.ask(
    { id: 7, questions: [{ name: NAME, type: "SRV" }] },
    40_000,
  );
  assert.equal(answer?.id, 7);
  assert.equal(answer?.questions?.length, 1);
  assert.ok(answer?.answers?.every(({ ttl, flush }) => ttl <= 10 && !flush));
});

Deno.test("Responder lists its types", () => {
  const { cable } = announced();
  const [answer] = cable.ask({
    questions: [{ name: "_services._dns-sd._udp.local", type: "PTR" }],
  });
  assert.deepEqual(answer?.answers?.map(({ data }) => data), [TYPE]);
});

Deno.test("Responder sends a record at most once a second, and then it does", () => {
  const { cable } = announced();
  const query = { questions: [{ name: NAME, type: "SRV" }] } as const;
  const from = cable.packets.length;
  assert.equal(cable.ask(query).length, 1);
  cable.ask(query);
  cable.clock.advance(1_000);
  const [first, ...others] = cable.packets.slice(from).map(({ at }) => at);
  assert.deepEqual(others, [first! + 1_000]);
});

Deno.test("Responder changes port and TXT without a goodbye", () => {
  const cable = new Cable();
  const host = new Host(cable, "192.0.2.1");
  const records = { instance: "livingroom", type: TYPE, port: 1, txt: [] };
  const service = host.registry.add(records, host.host, EVERYWHERE, () => {});
  cable.clock.advance(20_000);
  records.port = 2;
  service.prober.changed();
  cable.clock.advance(0);
  const last = cable.packets.at(-1)?.message.answers?.find(({ type }) =>
    type === "SRV"
  );
  assert.equal(last?.type === "SRV" && last.data.port, 2);
  assert.deepEqual(goodbyes(cable), []);
});

Deno.test("Responder takes what it has said before a change for no conflict, for a second", () => {
  const cable = new Cable();
  const host = new Host(cable, "192.0.2.1");
  const records = { instance: "livingroom", type: TYPE, port: 1, txt: [] };
  const service = host.registry.add(records, host.host, EVERYWHERE, () => {});
  cable.clock.advance(20_000);
  const before = cable.packets.at(-1)!.message;
  records.port = 2;
  service.prober.changed();
  // A socket hears what it has sent itself, and on a busy host late.
  const source = { interfaceName: "eth0", address: "192.0.2.1", port: 5353 };
  const repeat = (): void => host.registry.receive(received(before), source);
  cable.clock.advance(900);
  repeat();
  assert.equal(service.prober.announced, true);
  cable.clock.advance(200);
  repeat();
  assert.equal(service.prober.announced, false);
});

Deno.test("Responder says goodbye, and nothing after it", () => {
  const { cable, host, service } = announced();
  // One answer waits for others, and one until a second has passed.
  cable.ask({ questions: [{ name: NAME, type: "SRV" }] });
  for (
    const question of [{ name: TYPE, type: "PTR" }, {
      name: NAME,
      type: "SRV",
    }] as const
  ) {
    host.registry.receive(received({ type: "query", questions: [question] }), {
      interfaceName: "eth0",
      address: "192.0.2.200",
      port: 5353,
    });
  }
  host.registry.remove([service]);
  cable.clock.advance(10_000);
  assert.equal(goodbyes(cable).length, 1);
  assert.deepEqual(cable.packets.at(-1)?.message, goodbyes(cable)[0]);
});

Deno.test("Responder says goodbye also while it probes again for what was announced", () => {
  const { cable, host, service } = announced();
  host.networkChanged();
  cable.clock.advance(600);
  assert.equal(isProbe(cable.packets.at(-1)!.message), true);
  host.registry.remove([service]);
  assert.equal(goodbyes(cable).length, 1);
});

Deno.test("Responder says no goodbye for a name that may be another host's", () => {
  const { cable, host, service } = announced();
  const { srv } = serviceRecords({ port: 1, host: "other.local" });
  host.registry.receive(
    received({ type: "response", answers: [srv] }),
    { interfaceName: "eth0", address: "192.0.2.77", port: 5353 },
  );
  host.registry.remove([service]);
  cable.clock.advance(5_000);
  assert.deepEqual(goodbyes(cable), []);
});

Deno.test("Responder probes and announces again when the network changed", () => {
  const { cable, host } = announced();
  const from = cable.packets.length;
  host.networks = [{
    ...host.networks[0]!,
    ipv4: [{ address: "192.0.2.77", netmask: "255.255.255.0" }],
  }];
  host.networkChanged();
  cable.clock.advance(5_000);
  const sent = cable.packets.slice(from).map(({ message }) => message);
  assert.ok(sent.some(isProbe));
  const addresses = sent.flatMap(({ answers = [] }) => answers)
    .flatMap((record) => record.type === "A" ? record.data : []);
  assert.deepEqual([...new Set(addresses)], ["192.0.2.77"]);
});

Deno.test("Responder probes for, announces and withdraws names together", () => {
  const cable = new Cable();
  let turn = 0;
  const host = new Host(cable, "192.0.2.1", "host-1", () => turn++ % 3 / 3);
  host.register("livingroom");
  cable.clock.advance(20_000);
  assert.deepEqual(
    cable.packets.map(({ at, message }) => [at, isProbe(message)]),
    [[0, true], [250, true], [500, true], [750, false], [1_750, false], [
      3_750,
      false,
    ]],
  );
  const [probe, , , announcement] = cable.packets;
  assert.deepEqual(
    probe?.message.questions?.map(({ name }) => name),
    ["host-1.local", NAME],
  );
  assert.deepEqual(
    announcement?.message.answers?.map(({ type }) => type).sort(),
    ["A", "PTR", "PTR", "SRV", "TXT"],
  );
  const from = cable.packets.length;
  for (let i = 0; i < 200; i++) host.register(`service ${i}`, 1_000 + i);
  cable.clock.advance(20_000);
  host.close();
  const rest = cable.packets.slice(from).map(({ message }) => message);
  assert.ok(rest.length < 7 * 30, `${rest.length} packets`);
  assert.ok(
    rest.filter(isProbe).every(({ questions = [] }) =>
      questions.every(({ name }) => name !== "host-1.local")
    ),
  );
  assert.ok(rest.every((message) => encodeMessage(message).length <= 1_400));
  const withdrawn = goodbyes(cable).flatMap(({ answers = [] }) => answers)
    .filter(({ type }) => type === "PTR");
  assert.equal(withdrawn.length, 201);
});

Deno.test("Responder says which records its names do not have", () => {
  const { cable } = announced();
  const host = "host-1.local";
  const ask = (name: string, type: "A" | "AAAA" | "SRV"): unknown[] =>
    cable.ask({ questions: [{ name, type }] })
      .flatMap(({ answers = [] }) => answers)
      .map(({ type, data }) => [type, type === "NSEC" ? data : ""]);
  assert.deepEqual(ask(host, "A"), [["A", ""]]);
  assert.deepEqual(ask(host, "AAAA"), [["NSEC", ["A"]]]);
  assert.deepEqual(ask(NAME, "AAAA"), [["NSEC", ["SRV", "TXT"]]]);
  assert.deepEqual(ask("host-2.local", "AAAA"), []);
  assert.deepEqual(ask(`kitchen.${TYPE}`, "SRV"), []);
});

Deno.test("Responder does not repeat what another host has just said", () => {
  const name = "_services._dns-sd._udp.local";
  const pointer = { name, type: "PTR", flush: false, data: TYPE } as const;
  const answers = (ttl: number, address: string): DnsMessage[] => {
    const { cable, host } = announced();
    cable.clock.after(10, () =>
      host.registry.receive(
        received({ type: "response", answers: [{ ...pointer, ttl }] }),
        { interfaceName: "eth0", address, port: 5353 },
      ));
    return cable.ask({ questions: [{ name, type: "PTR" }] });
  };
  assert.equal(answers(4_500, "192.0.2.77").length, 0);
  assert.equal(answers(4_499, "192.0.2.77").length, 1);
  // Whoever asked by IPv4 may not hear it.
  assert.equal(answers(4_500, "fe80::1").length, 1);
});

Deno.test("Responder leaves nothing to do once it is closed", () => {
  const { cable, host } = announced();
  host.register("kitchen", 2);
  const questions = [{ name: TYPE, type: "PTR" }] as const;
  host.registry.receive(received({ type: "query", questions }), {
    interfaceName: "eth0",
    address: "192.0.2.200",
    port: 5353,
  });
  host.close();
  const unknown = new Host(cable, "192.0.2.2");
  unknown.register("hall");
  unknown.close();
  cable.clock.advance(10);
  assert.equal(cable.clock.pending, 0);
  assert.equal(goodbyes(cable).length, 1);
});
