import assert from "node:assert/strict";
import { nextInstance } from "../../src/zeroconf/names.ts";
import { Cable, Host, received, serviceRecords, TYPE } from "./helpers.ts";
import { announced, isProbe, NAME } from "./responders.ts";

Deno.test("Responder takes another name when its own is taken", async () => {
  const { cable, host } = announced();
  const second = new Host(cable, "192.0.2.2");
  const service = second.register("livingroom", 1, []);
  cable.clock.advance(5_000);
  assert.equal(await service.prober.won, `livingroom (2).${TYPE}`);
  assert.deepEqual(second.renames, ["livingroom (2)"]);
  assert.deepEqual(host.renames, []);
});

Deno.test("Responders that start at once end with two names", () => {
  const cable = new Cable();
  const hosts = [new Host(cable, "192.0.2.1"), new Host(cable, "192.0.2.2")];
  const services = hosts.map((host, i) => host.register("livingroom", i + 1));
  cable.clock.advance(10_000);
  assert.deepEqual(services.map(({ prober }) => prober.name).sort(), [
    `livingroom (2).${TYPE}`,
    NAME,
  ]);
});

Deno.test("Responders end with two names when their networks are joined", () => {
  const cable = new Cable();
  const hosts = [new Host(cable, "192.0.2.1"), new Host(cable, "192.0.2.2")];
  cable.carries = () => false;
  const services = hosts.map((host, i) => host.register("livingroom", i + 1));
  cable.clock.advance(20_000);
  assert.deepEqual(services.map(({ prober }) => prober.name), [NAME, NAME]);
  cable.carries = () => true;
  cable.ask({ questions: [{ name: NAME, type: "SRV" }] });
  cable.clock.advance(20_000);
  assert.deepEqual(services.map(({ prober }) => prober.name).sort(), [
    `livingroom (2).${TYPE}`,
    NAME,
  ]);
});

for (const delay of [300, 700, 1_200, 2_000, 3_000]) {
  Deno.test(`two hosts end with two names where packets are slow: ${delay} ms`, () => {
    const cable = new Cable();
    cable.delay = delay;
    const hosts = [
      new Host(cable, "192.0.2.1"),
      new Host(cable, "192.0.2.2"),
    ];
    const services = hosts.map((host, i) => host.register("livingroom", i + 1));
    cable.clock.advance(60_000);
    const names = services.map(({ prober }) => prober.name);
    assert.equal(new Set(names).size, 2, names.join());
    const renames = hosts.flatMap(({ renames }) => renames);
    assert.ok(renames.length <= 8, renames.join());
    // And they stay with these.
    cable.clock.advance(600_000);
    assert.deepEqual(services.map(({ prober }) => prober.name), names);
    assert.ok(services.every(({ prober }) => prober.announced));
  });
}

Deno.test("Responder renames the host alone when only its name is taken", () => {
  const cable = new Cable();
  const hosts = [
    new Host(cable, "192.0.2.1", "pi"),
    new Host(cable, "192.0.2.2", "pi"),
  ];
  hosts.map((host, i) => host.register(`service ${i}`, i + 1));
  cable.clock.advance(10_000);
  assert.deepEqual(
    hosts.map(({ services: [service] }) => service?.host.prober.name).sort(),
    [
      "pi-2.local",
      "pi.local",
    ],
  );
  assert.deepEqual(hosts.flatMap(({ renames }) => renames), []);
});

Deno.test("Responder takes no address of this host for a conflict, whoever announces it", () => {
  const { cable, host, service } = announced();
  host.ownAddresses.add("172.17.0.1");
  /** Whether the name is doubted when a program here announces that it has this address, too. */
  const doubts = (address: string): boolean => {
    const from = cable.packets.length;
    const { a } = serviceRecords({ host: "host-1.local", address });
    host.registry.receive(received({ type: "response", answers: [a] }), {
      interfaceName: "eth0",
      address: host.address,
      port: 5353,
    });
    cable.clock.advance(5_000);
    return cable.packets.slice(from).some(({ message }) => isProbe(message));
  };
  assert.equal(doubts("172.17.0.1"), false);
  assert.equal(doubts("192.0.2.99"), true);
  assert.equal(service.host.prober.name, "host-1.local");
});

Deno.test("Responder announces where its services are when the host is renamed", () => {
  const cable = new Cable();
  const hosts = [
    new Host(cable, "192.0.2.1", "pi"),
    new Host(cable, "192.0.2.2", "pi"),
  ];
  cable.carries = () => false;
  hosts.map((host, i) => host.register(`service ${i}`, i + 1));
  cable.clock.advance(20_000);
  cable.carries = () => true;
  cable.ask({ questions: [{ name: "pi.local", type: "A" }] });
  cable.clock.advance(20_000);
  const renamed = hosts.find(({ services: [service] }) =>
    service?.host.prober.name === "pi-2.local"
  );
  const answers = cable.packets.filter(({ from }) => from === renamed)
    .flatMap(({ message }) => message.answers ?? []);
  const srv = answers.findLast(({ type }) => type === "SRV");
  assert.equal(srv?.type === "SRV" && srv.data.target, "pi-2.local");
  assert.equal(
    answers.findLast(({ type }) => type === "A")?.name,
    "pi-2.local",
  );
});

Deno.test("Responder does not announce a name that is taken meanwhile", () => {
  const { cable, host, service } = announced();
  const from = cable.packets.length;
  service.prober.changed();
  const { srv } = serviceRecords({ port: 1, host: "other.local" });
  host.registry.receive(
    received({ type: "response", answers: [srv] }),
    { interfaceName: "eth0", address: "192.0.2.77", port: 5353 },
  );
  cable.clock.advance(700);
  assert.ok(cable.packets.slice(from).every(({ message }) => isProbe(message)));
});

Deno.test("Prober is as fast as at first once nobody has doubted its name for a while", () => {
  const { cable, host, service: { prober } } = announced();
  const { srv } = serviceRecords({ port: 1, host: "other.local" });
  const pauses = Array.from({ length: 6 }, () => {
    const from = cable.clock.now();
    host.registry.receive(
      received({ type: "response", answers: [srv] }),
      { interfaceName: "eth0", address: "192.0.2.77", port: 5353 },
    );
    while (!prober.announced) cable.clock.advance(10);
    const pause = cable.clock.now() - from;
    cable.clock.advance(3_600_000);
    return pause;
  });
  assert.ok(pauses.every((ms) => ms <= 1_000), pauses.join());
  assert.equal(prober.name, NAME);
});

Deno.test("nextInstance() numbers names and keeps them within 63 bytes", () => {
  assert.equal(nextInstance("a"), "a (2)");
  assert.equal(nextInstance("a (9)"), "a (10)");
  assert.equal(nextInstance("ü".repeat(31)), `${"ü".repeat(29)} (2)`);
});

Deno.test("Prober waits 5 s before each attempt once there were 15 conflicts", () => {
  const cable = new Cable();
  const host = new Host(cable, "192.0.2.1");
  const { prober } = host.register("livingroom", 1);
  const attempts: number[] = [];
  for (let i = 0; i < 20; i++) {
    const isProbed = (): boolean =>
      cable.packets.some(({ message }) =>
        isProbe(message) &&
        message.questions?.some(({ name }) => name === prober.name)
      );
    for (let wait = 0; wait < 1_000 && !isProbed(); wait++) {
      cable.clock.advance(10);
    }
    attempts.push(cable.clock.now());
    const [name] = prober.name.split("._");
    const { srv } = serviceRecords({ instance: name!, host: "other.local" });
    host.registry.receive(received({ type: "response", answers: [srv] }), {
      interfaceName: "eth0",
      address: "192.0.2.77",
      port: 5353,
    });
  }
  const pauses = attempts.slice(1).map((at, i) => at - attempts[i]!);
  assert.ok(pauses.slice(0, 14).every((ms) => ms < 1_000), pauses.join());
  assert.ok(pauses.slice(14).every((ms) => ms >= 5_000), pauses.join());
});

Deno.test("A process gives a second service of one name another one at once", () => {
  const cable = new Cable();
  const host = new Host(cable, "192.0.2.1");
  const names = [1, 2, 3].map((port) =>
    host.register("livingroom", port).prober.name
  );
  assert.deepEqual(names, [
    NAME,
    `livingroom (2).${TYPE}`,
    `livingroom (3).${TYPE}`,
  ]);
});
