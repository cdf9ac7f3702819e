import assert from "node:assert/strict";
import type { DnsRecord } from "../../src/zeroconf/dns_message.ts";
import { MAX_SERVICES } from "../../src/zeroconf/instances.ts";
import { MAX_RECORDS } from "../../src/zeroconf/querier.ts";
import {
  decodeMessage,
  encodeMessage,
} from "../../src/zeroconf/wire_format.ts";
import {
  BrowserUnderTest,
  OWN,
  received,
  serviceRecords,
  TYPE,
} from "./helpers.ts";

const all = (parts = {}): ReturnType<typeof serviceRecords>[
  keyof ReturnType<
    typeof serviceRecords
  >
][] => Object.values(serviceRecords(parts));

Deno.test("ServiceBrowser asks at 1 s, 2 s, 4 s and at last each hour", () => {
  const test = new BrowserUnderTest();
  test.clock.advance(3 * 3_600_000);
  const times = test.questions.map(([at]) => at);
  assert.deepEqual(times.slice(0, 5), [20, 1_020, 3_020, 7_020, 15_020]);
  assert.equal(times.at(-1)! - times.at(-2)!, 3_600_000);
  assert.ok(
    test.questions.every(([, question]) => question === `PTR ${TYPE}`),
  );
});

Deno.test("ServiceBrowser reports a complete service at once, in Platypush's shape", () => {
  const test = new BrowserUnderTest();
  test.hear(all({ txt: ["device_id=kitchen", "queue=q", "name=Platypush"] }));
  assert.deepEqual(test.changes, [{
    kind: "added",
    service: {
      type: `${TYPE}.`,
      name: `livingroom.${TYPE}.`,
      port: 6379,
      addresses: ["192.0.2.10"],
      server: "livingroom.local.",
      priority: 0,
      weight: 0,
      properties: { device_id: "kitchen", queue: "q", name: "Platypush" },
      host_ttl: 120,
      other_ttl: 4_500,
      deviceId: "kitchen",
      queue: "q",
      redisUrl: "redis://192.0.2.10:6379",
    },
  }]);
});

Deno.test("ServiceBrowser does not ask what another host has just asked", async (t) => {
  const { ptr } = serviceRecords();
  const other = serviceRecords({ instance: "unknown" }).ptr;
  const cases: [string, typeof ptr[], string, string[], number[]][] = [
    ["another host", [], "192.0.2.50", ["eth0 IPv4"], [20, 3_020]],
    ["knows what we know", [ptr], "192.0.2.50", ["eth0 IPv4"], [20, 3_020]],
    ["knows more", [other], "192.0.2.50", ["eth0 IPv4"], [20, 1_020, 3_020]],
    ["this host", [], OWN, ["eth0 IPv4"], [20, 1_020, 3_020]],
    [
      "another IP version",
      [],
      "192.0.2.50",
      ["eth0 IPv4", "eth0 IPv6"],
      [20, 1_020, 3_020],
    ],
  ];
  for (const [label, answers, address, channels, expected] of cases) {
    await t.step(label, () => {
      const test = new BrowserUnderTest(["eth0"], channels);
      test.hear(all());
      test.clock.advance(900);
      const questions = [{ name: TYPE, type: "PTR" }] as const;
      test.querier.receive(
        received({ type: "query", questions, answers }),
        { interfaceName: "eth0", address, port: 5353 },
      );
      test.clock.advance(5_000);
      assert.deepEqual(
        test.questions.filter(([, question]) => question === `PTR ${TYPE}`)
          .map(([at]) => at),
        expected,
      );
    });
  }
});

Deno.test("ServiceBrowser lists what it knows with its queries", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.clock.advance(100);
  const [query] = test.sent;
  assert.deepEqual(
    query?.message.answers?.map(({ type, ttl }) => [type, ttl]),
    [["PTR", 4_499]],
  );
});

Deno.test("ServiceBrowser does not list what is past half of its lifetime", () => {
  const test = new BrowserUnderTest();
  test.hear(all().map((record) => ({ ...record, ttl: 10 })));
  test.clock.advance(8_000);
  const atSeven = test.sent.find(({ at, message }) =>
    at === 7_020 && message.questions?.[0]?.type === "PTR"
  );
  assert.deepEqual(atSeven?.message.answers, []);
});

Deno.test("ServiceBrowser asks for the records that are missing", async (t) => {
  const { ptr, srv, txt, a } = serviceRecords();
  const name = `livingroom.${TYPE}`;
  const cases: [string, (typeof ptr)[], string[]][] = [
    ["only the pointer", [ptr], [`SRV ${name}`, `TXT ${name}`]],
    ["no TXT", [ptr, srv, a], [`TXT ${name}`]],
    ["no address", [ptr, srv, txt], [
      "A livingroom.local",
      "AAAA livingroom.local",
    ]],
  ];
  for (const [label, records, expected] of cases) {
    await t.step(label, () => {
      const test = new BrowserUnderTest();
      test.clock.advance(500);
      test.sent.length = 0;
      test.hear(records);
      test.clock.advance(400);
      assert.deepEqual(
        test.questions.map(([, question]) => question),
        expected,
      );
      assert.deepEqual(test.kinds, []);
      test.hear([srv, txt, a]);
      assert.deepEqual(test.kinds, ["added"]);
    });
  }
});

Deno.test("ServiceBrowser gives a service up that never answers", () => {
  const test = new BrowserUnderTest();
  test.hear([serviceRecords().ptr]);
  test.clock.advance(3_000_000);
  const asked = test.questions.filter(([, q]) => q.startsWith("SRV"));
  assert.equal(asked.length, 8);
});

Deno.test("ServiceBrowser renews at 80, 85, 90 and 95 %, then drops the service", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.clock.advance(119_999);
  const asked = test.questions.filter(([, question]) =>
    question.startsWith("SRV")
  );
  assert.deepEqual(asked.map(([at]) => at), [
    96_000,
    102_000,
    108_000,
    114_000,
  ]);
  assert.deepEqual(test.kinds, ["added"]);
  test.clock.advance(1);
  assert.deepEqual(test.kinds, ["added", "removed"]);
});

Deno.test("ServiceBrowser keeps a service that is renewed, and reports nothing", () => {
  const test = new BrowserUnderTest();
  for (let i = 0; i < 20; i++) {
    test.hear(all());
    test.clock.advance(100_000);
  }
  assert.deepEqual(test.kinds, ["added"]);
});

Deno.test("ServiceBrowser takes a goodbye after a second", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.clock.advance(5_000);
  test.hear([{ ...serviceRecords().ptr, ttl: 0 }]);
  test.clock.advance(999);
  assert.deepEqual(test.kinds, ["added"]);
  test.clock.advance(1);
  assert.deepEqual(test.kinds, ["added", "removed"]);
  assert.deepEqual(test.querier.size, { records: 0, services: 0 });
});

Deno.test("ServiceBrowser forgets a goodbye when the service comes back within a second", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.hear(all().map((record) => ({ ...record, ttl: 0 })));
  test.clock.advance(500);
  test.hear(all());
  test.clock.advance(5_000);
  assert.deepEqual(test.kinds, ["added"]);
});

Deno.test("ServiceBrowser reports each change once", async (t) => {
  const changes = {
    port: { port: 6380 },
    TXT: { txt: ["queue=other"] },
    address: { address: "192.0.2.11" },
  };
  for (const [label, parts] of Object.entries(changes)) {
    await t.step(label, () => {
      const test = new BrowserUnderTest();
      test.hear(all());
      test.clock.advance(5_000);
      for (let i = 0; i < 3; i++) {
        test.hear(all(parts));
        test.clock.advance(2_000);
      }
      assert.deepEqual(test.kinds, ["added", "updated"]);
      const { port, addresses, queue } = test.browser.services[0]!;
      assert.deepEqual(
        { port, addresses, queue },
        {
          port: 6379,
          addresses: ["192.0.2.10"],
          queue: "q",
          ...(label === "port" && { port: 6380 }),
          ...(label === "TXT" && { queue: "other" }),
          ...(label === "address" && { addresses: ["192.0.2.11"] }),
        },
      );
    });
  }
});

Deno.test("ServiceBrowser takes a service on two interfaces for one", () => {
  const test = new BrowserUnderTest(["eth0", "wlan0"]);
  const wifi = { address: "198.51.100.10" };
  test.hear(all(), "eth0");
  test.clock.advance(5_000);
  test.hear(all(wifi), "wlan0");
  test.clock.advance(5_000);
  test.hear(all(), "eth0");
  test.clock.advance(5_000);
  assert.deepEqual(test.kinds, ["added", "updated"]);
  assert.deepEqual(test.browser.services[0]?.addresses, [
    "192.0.2.10",
    "198.51.100.10",
  ]);
  test.keepInterfaces(["wlan0"]);
  test.clock.advance(20);
  assert.deepEqual(test.browser.services[0]?.addresses, ["198.51.100.10"]);
  test.keepInterfaces([]);
  test.clock.advance(20);
  assert.deepEqual(test.kinds, ["added", "updated", "updated", "removed"]);
});

Deno.test("ServiceBrowser puts the addresses first that are on the network, and leaves out our own", () => {
  const test = new BrowserUnderTest();
  const others = ["10.0.0.1", OWN].map((address) =>
    serviceRecords({ address }).a
  );
  test.hear([...all(), ...others]);
  test.clock.advance(20);
  const [service] = test.browser.services;
  assert.deepEqual(service?.addresses, ["192.0.2.10", "10.0.0.1"]);
  assert.match(service?.redisUrl ?? "", /192\.0\.2\.10/);
});

Deno.test("ServiceBrowser passes over addresses that no host has", () => {
  const test = new BrowserUnderTest();
  const none = ["0.0.0.0", "224.0.0.251", "255.255.255.255"];
  const records = none.map((address) => serviceRecords({ address }).a);
  const aaaa = ["::", "ff02::fb"].map((data): DnsRecord => ({
    name: "livingroom.local",
    type: "AAAA",
    ttl: 120,
    flush: true,
    data,
  }));
  test.hear([...all(), ...records, ...aaaa]);
  test.clock.advance(20);
  assert.deepEqual(test.browser.services[0]?.addresses, ["192.0.2.10"]);

  const { a: _, ...rest } = serviceRecords({
    instance: "nowhere",
    host: "x.local",
  });
  test.hear([...Object.values(rest), { ...records[0]!, name: "x.local" }]);
  test.clock.advance(20);
  assert.equal(test.browser.services.length, 1);
});

Deno.test("ServiceBrowser is not fooled by a pointer that claims to be unique", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.clock.advance(5_000);
  const other = serviceRecords({ instance: "kitchen" });
  test.hear([{ ...other.ptr, flush: true }]);
  test.clock.advance(5_000);
  assert.deepEqual(test.kinds, ["added"]);
});

Deno.test("ServiceBrowser leaves nothing to do once it is stopped", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.querier.unfollow(test.browser);
  assert.equal(test.clock.pending, 0);
  test.hear(all({ port: 1 }));
  assert.deepEqual(test.kinds, ["added"]);
});

Deno.test("ServiceBrowser survives a flood of 10,000 invented services", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  for (let i = 0; i < 10_000; i++) {
    const parts = { instance: `invented ${i}`, host: `host-${i}.local` };
    const { ptr, srv, a } = serviceRecords(parts);
    test.hear([ptr, srv, a]);
    if (i % 100 === 0) test.clock.advance(10);
  }
  const { records, services } = test.querier.size;
  assert.equal(services, MAX_SERVICES);
  assert.ok(records <= MAX_RECORDS, `${records} records`);
  assert.ok(records <= 3 * MAX_SERVICES + 4, `${records} records`);
  test.sent.length = 0;
  test.clock.advance(1_000);
  const asked = test.questions.length;
  assert.ok(asked <= 1_000, `${asked} questions within a second`);
  test.hear(all({ port: 6380 }));
  assert.equal(test.browser.services.length, 1);
  assert.equal(test.browser.services[0]?.port, 6380);
});

Deno.test("ServiceBrowser sees a new service through a flood of complete ones that live for a day", () => {
  const test = new BrowserUnderTest();
  const flood = (from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      const parts = { instance: `invented ${i}`, host: `host-${i}.local` };
      const records = all(parts).map((record) => ({ ...record, ttl: 86_400 }));
      test.hear(records, "eth0", "192.0.2.66");
    }
    // So many are looked at in several turns.
    test.clock.advance(500);
  };
  test.hear(all({ instance: "early" }), "eth0", "192.0.2.20");
  flood(0, 2_500);
  test.hear(all(), "eth0", "192.0.2.10");
  flood(2_500, 5_000);
  const names = test.browser.services.map(({ name }) => name);
  assert.equal(names.length, MAX_SERVICES);
  for (const instance of ["early", "livingroom"]) {
    assert.ok(names.includes(`${instance}.${TYPE}.`), instance);
  }
});

Deno.test("ServiceBrowser takes a new host of a service for a change", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.clock.advance(5_000);
  test.sent.length = 0;
  const { srv, a } = serviceRecords({
    host: "new.local",
    address: "192.0.2.11",
  });
  test.hear([srv]);
  test.clock.advance(150);
  assert.deepEqual(test.questions.map(([, question]) => question), [
    "A new.local",
    "AAAA new.local",
  ]);
  test.hear([a]);
  test.clock.advance(5_000);
  assert.deepEqual(test.kinds, ["added", "updated"]);
  assert.equal(test.browser.services[0]?.server, "new.local.");
});

Deno.test("ServiceBrowser asks for addresses in the turn in which it learns the host", () => {
  const { ptr, srv, txt } = serviceRecords();
  const test = new BrowserUnderTest();
  test.hear([ptr]);
  test.clock.advance(200);
  test.sent.length = 0;
  test.hear([srv, txt]);
  test.clock.advance(20);
  assert.deepEqual(
    test.sent.flatMap(({ message }) => message.questions ?? []),
    ["A", "AAAA"].map((type) => ({
      name: "livingroom.local",
      type,
      unicast: true,
    })),
  );
});

Deno.test("ServiceBrowser asks every 8 s for a service that was there, and for ever", () => {
  const test = new BrowserUnderTest();
  test.hear(all());
  test.clock.advance(1_200_000);
  const asked = test.questions.filter(([, question]) =>
    question.startsWith("SRV")
  ).map(([at]) => at);
  const [before, last] = asked.slice(-2);
  assert.equal(last! - before!, 8_000);
  assert.ok(last! > 1_190_000, `${last} ms`);
  // Who has it is to say so, so it is not listed among what is known.
  const { message } = test.sent.findLast(({ message }) =>
    message.questions?.some(({ type }) => type === "PTR")
  )!;
  assert.deepEqual(message.answers, []);
});

Deno.test("ServiceBrowser survives 100,000 mutated packets", () => {
  const test = new BrowserUnderTest();
  let seed = 42;
  const random = (below: number): number => {
    seed = Math.imul(seed, 1_664_525) + 1_013_904_223 >>> 0;
    return Math.floor(seed / 2 ** 32 * below);
  };
  const originals = [
    all(),
    all({ instance: "wohn.zimmer ü😀", txt: ["a=b", "", "=x", "flag"] }),
    [...all({ instance: "a" }), ...all({ instance: "b", host: "b.local" })],
  ].map((answers) => encodeMessage({ type: "response", answers }));
  let decoded = 0;
  for (let i = 0; i < 100_000; i++) {
    let packet = originals[i % originals.length]!.slice();
    for (let change = random(4); change >= 0; change--) {
      packet[random(packet.length)] = random(256);
    }
    if (random(8) === 0) packet = packet.subarray(0, random(packet.length));
    const message = decodeMessage(packet);
    if (message === undefined) continue;
    decoded++;
    test.querier.receive(message, {
      interfaceName: "eth0",
      address: "192.0.2.66",
      port: 5353,
    });
    if (i % 1_000 === 0) test.clock.advance(20);
  }
  assert.ok(decoded > 10_000, `${decoded} packets could be decoded`);
  const { records, services } = test.querier.size;
  assert.ok(services <= MAX_SERVICES && records <= MAX_RECORDS);
});
