import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { decode } from "dns-packet";
import { Labels } from "../../src/zeroconf/labels.ts";
import {
  decodeMessage,
  encodeMessage,
  mayConcern,
} from "../../src/zeroconf/wire_format.ts";
import { received, serviceRecords, TYPE } from "./helpers.ts";

Deno.test("encodeMessage() writes what a decoder reads", () => {
  const answers = [
    ...Object.values(serviceRecords()),
    {
      name: "livingroom.local",
      type: "AAAA",
      ttl: 120,
      flush: true,
      data: "fe80::1:0:2",
    } as const,
  ];
  const message = received({ type: "response", answers });
  assert.deepEqual(
    message.answers.map(({ name, type, ttl, flush }) => ({
      name,
      type,
      ttl,
      flush,
    })),
    answers.map(({ name, type, ttl, flush }) => ({ name, type, ttl, flush })),
  );
  const last = message.answers.at(-1);
  assert.ok(last?.type === "AAAA");
  assert.equal(last.data, "fe80::1:0:2");
});

Deno.test("encodeMessage() says that a query goes on, and that an answer may come directly", () => {
  const questions = [
    { name: TYPE, type: "PTR" },
    { name: TYPE, type: "PTR", unicast: true },
  ] as const;
  for (const truncated of [true, false]) {
    const message = received({ type: "query", questions, truncated });
    assert.equal(message.truncated, truncated);
    assert.deepEqual(message.questions, [
      { name: TYPE, type: "PTR", unicast: false },
      { name: TYPE, type: "PTR", unicast: true },
    ]);
  }
});

Deno.test("encodeMessage() keeps the dots of an instance in one label", () => {
  const packet = encodeMessage({
    type: "query",
    questions: [{ name: `living.room.${TYPE}`, type: "SRV" }],
  });
  assert.equal(packet[12], "living.room".length);
  assert.equal(packet[24], "_platypush-redis".length);
});

Deno.test("encodeMessage() compresses names", () => {
  const once = encodeMessage({
    type: "query",
    questions: [{ name: TYPE, type: "PTR" }],
  });
  const twice = encodeMessage({
    type: "query",
    questions: [{ name: TYPE, type: "PTR" }, { name: TYPE, type: "SRV" }],
  });
  assert.equal(twice.length - once.length, 6);
});

Deno.test("encodeMessage() lists the types that a name has", () => {
  const name = `livingroom.${TYPE}`;
  const types = ["SRV", "TXT", "AAAA", "A"] as const;
  const packet = encodeMessage({
    type: "response",
    answers: [{ name, type: "NSEC", ttl: 120, flush: true, data: [...types] }],
  });
  // Nothing here reads what the absence of records is told with.
  assert.deepEqual(decodeMessage(packet)?.answers, []);
  const { answers } = decode(Buffer.from(packet));
  assert.deepEqual(
    answers.map(({ name, ...rest }: { name: string }) => [name, rest]),
    [[name, {
      type: "NSEC",
      class: "IN",
      ttl: 120,
      flush: true,
      data: { nextDomain: name, rrtypes: ["A", "TXT", "AAAA", "SRV"] },
    }]],
  );
});

Deno.test("decodeMessage() passes over a packet that was cut, wherever that was", () => {
  const { ptr, srv, txt, a } = serviceRecords();
  const aaaa = { ...a, type: "AAAA", data: "fd00::1" } as const;
  for (const last of [ptr, srv, txt, a, aaaa]) {
    const packet = encodeMessage({ type: "response", answers: [ptr, last] });
    assert.equal(decodeMessage(packet)?.answers.length, 2);
    for (let end = 0; end < packet.length; end++) {
      const cut = decodeMessage(packet.subarray(0, end));
      assert.equal(cut, undefined, `${last.type}: ${end} of ${packet.length}`);
    }
  }
});

Deno.test("decodeMessage() passes over an address that takes as many bytes as none does", () => {
  const { a, ptr } = serviceRecords();
  const packet = encodeMessage({ type: "response", answers: [a, ptr] });
  const size = 12 + a.name.length + 2 + 8;
  assert.deepEqual([...packet.subarray(size, size + 2)], [0, 4]);
  packet[size + 1] = 2;
  assert.equal(decodeMessage(packet), undefined);
});

Deno.test("mayConcern() tells packets about others apart without decoding them", () => {
  const types = new Labels();
  const hosts = new Labels();
  types.add("_platypush-redis._tcp.local");
  for (const name of ["kitchen.local", "bath.local"]) hosts.add(name);
  hosts.delete("bath.local");
  const concerns = (...names: string[]): boolean =>
    mayConcern(
      encodeMessage({
        type: "query",
        questions: names.map((name) => ({ name, type: "ANY" })),
      }),
      [types, hosts],
    );
  assert.ok(concerns("_platypush-redis._tcp.local"));
  assert.ok(concerns("_PLATYPUSH-redis._tcp.local"));
  assert.ok(concerns("hall._platypush-redis._tcp.local"));
  assert.ok(concerns("kitchen.local"));
  // The second name points into the first one.
  assert.ok(concerns("_ipp._tcp.local", "kitchen.local"));
  assert.ok(!concerns("bath.local"));
  assert.ok(!concerns("_ipp._tcp.local", "printer._ipp._tcp.local"));
  assert.ok(!concerns("kitchens.local", "_platypush._tcp.local"));
});
