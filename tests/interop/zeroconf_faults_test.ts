import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";
import { Lan, type Namespace, type Output } from "../namespaces.ts";
import { PYTHON } from "../python.ts";
import { testUnless } from "../test_unless.ts";
import { until } from "../until.ts";
import { invented } from "./zeroconf_lab.ts";
import { Peer } from "./zeroconf_peer.ts";
import { type Heard, Probe } from "./zeroconf_probe.ts";
import { noNamespaces, OURS, THEIRS, TYPE } from "./zeroconf_rows.ts";

/** What goes wrong with networks, one kind at a time. */
function fault(
  title: string,
  fn: () => Promise<void>,
): void {
  testUnless(noNamespaces, `Zeroconf: ${title}`, fn);
}

/** Lets so many milliseconds pass: that nothing happens meanwhile has no event. */
function pass(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const KITCHEN = `kitchen.${TYPE}`;

fault(
  "a cut of five minutes is noticed, and its end within seconds",
  async () => {
    await using lan = await Lan.make(2);
    await using ours = new Peer(lan.hosts[0]!, "ours");
    await using theirs = new Peer(lan.hosts[1]!, "ours");
    await theirs.register("kitchen", 1000, THEIRS);
    await ours.browse();
    await ours.sees("them", ({ name }) => name === KITCHEN);
    // The addresses of IPv6 are there by then, and what they bring is over.
    await pass(3_000);
    await lan.part(true);
    await ours.hurry();
    await theirs.hurry();
    await ours.sees("them vanish", ({ event }) => event === "removed", 15);
    // Five minutes, by the clocks of both.
    await pass(15_000);
    await lan.part(false);
    // Much sooner than they would be asked for anyway, in 75 minutes by their clocks.
    await ours.sees("them again", ({ event }) => event === "added", 60);
  },
);

/** Whether a packet says that the probing for a name begins. */
function isProbe({ type, authorities }: Heard): boolean {
  return type === "query" && authorities.length > 0;
}

/** Waits until a host that looks and announces begins anew with both. */
async function beginsAnew(probe: Probe, after: number): Promise<void> {
  const seconds = 90;
  const again = { after, seconds };
  assert.ok(await probe.hears(isProbe, again), "a probe");
  const announced = await probe.hears(
    ({ type, answers }) =>
      type === "response" && answers.some((each) => each.type === "SRV"),
    again,
  );
  assert.ok(announced, "an announcement");
  const asked = await probe.hears(
    ({ type, questions }) =>
      type === "query" && questions.some((each) => each.type === "PTR"),
    again,
  );
  assert.ok(asked, "a question");
}

for (
  const [title, happens] of [
    ["a cable that was out for 0.8 s", async (lan) => {
      await lan.plug(1, "down");
      await pass(800);
      await lan.plug(1, "up");
    }],
    ["a cable that was out for 5 s", async (lan) => {
      await lan.plug(1, "down");
      await pass(5_000);
      await lan.plug(1, "up");
    }],
    [
      "an interface that was made anew under its name and address",
      (lan) => lan.replace(1),
    ],
    ["a time of day that was set", (_lan, ours) => ours.jump()],
    ["a process that stood still", async (_lan, ours) => {
      ours.freeze(true);
      await pass(8_000);
      ours.freeze(false);
    }],
  ] as [string, (lan: Lan, ours: Peer) => Promise<void>][]
) {
  fault(`${title} has us probe, announce and ask again`, async () => {
    await using lan = await Lan.make(2);
    await using probe = new Probe(lan.hosts[1]!);
    await using ours = new Peer(lan.hosts[0]!, "ours");
    await ours.register("livingroom", 6379, OURS);
    await ours.browse();
    await pass(4_500);
    await happens(lan, ours);
    await beginsAnew(probe, performance.now());
  });
}

fault("a second look within a minute answers at once", async () => {
  await using lan = await Lan.make(2);
  await using theirs = new Peer(lan.hosts[1]!, "ours");
  await theirs.register("kitchen", 1000, THEIRS);
  await using ours = new Peer(lan.hosts[0]!, "ours");
  await ours.ready();
  assert.deepEqual(await ours.discover(1), [KITCHEN]);
  assert.deepEqual(await ours.discover(0), [KITCHEN]);
  assert.deepEqual(await ours.discover(2), [KITCHEN]);
  await theirs.crash();
  // What is in the cache is looked at: whoever does not answer is not there.
  assert.deepEqual(await ours.discover(2), []);
});

fault("several processes on one host all get their answers", async () => {
  await using lan = await Lan.make(2);
  await using theirs = new Peer(lan.hosts[1]!, "ours");
  await theirs.register("kitchen", 1000, THEIRS);
  await using stack = new AsyncDisposableStack();
  const looking = [1, 2, 3].map(() =>
    stack.use(new Peer(lan.hosts[0]!, "ours"))
  );
  // All have their sockets open, and what is sent to the host reaches one.
  for (const [i, each] of looking.entries()) {
    await each.register(`room ${i}`, 1, OURS);
  }
  await pass(4_500);
  for (const each of looking) {
    // Before it would ask again, which is answered to all.
    assert.ok((await each.discover(0.9)).includes(KITCHEN));
    await pass(1_500);
  }
});

fault("a reflector that says all again takes no name away", async () => {
  await using lan = await Lan.make(3);
  const script = new URL("zeroconf_reflector.py", import.meta.url).pathname;
  await using reflector = lan.hosts[2]!.start(PYTHON, ["-u", script]);
  assert.equal(await inTime(reflector.line(), "the reflector"), "ready");
  await using ours = new Peer(lan.hosts[0]!, "ours");
  await using theirs = new Peer(lan.hosts[1]!, "ours");
  await theirs.browse();
  const name = `livingroom.${TYPE}`;
  assert.equal(await ours.register("livingroom", 1, OURS), name);
  await theirs.sees("us", (said) => said.name === name && said.port === 1);
  await ours.update("livingroom", 2, OURS, {});
  await theirs.sees("the change", ({ port }) => port === 2);
  // Old news that comes late does not come to stay.
  await pass(5_000);
  assert.deepEqual(await theirs.discover(0.5), [name]);
  assert.deepEqual(ours.heard.filter(({ renamed }) => renamed), []);
  assert.equal(theirs.heard.findLast(({ port }) => port)?.port, 2);
  await ours.unregister();
  await theirs.sees("us go", ({ event }) => event === "removed");
});

fault("a host with a hundred interfaces is seen, and sees", async () => {
  await using lan = await Lan.make(2);
  const host = lan.hosts[0]!;
  const { success, stderr } = await host.run(
    "sh",
    "-c",
    `for i in $(seq 1 100); do
      ip link add br$i type bridge && ip addr add 10.$i.0.1/24 dev br$i &&
      ip link set br$i up || exit 1
    done`,
  );
  assert.ok(success, stderr);
  await using ours = new Peer(host, "ours", ["--all"]);
  await using theirs = new Peer(lan.hosts[1]!, "ours");
  await theirs.browse();
  await theirs.register("kitchen", 1000, THEIRS);
  await ours.register("livingroom", 6379, OURS);
  const us = await theirs.sees(
    "us",
    ({ name }) => name === `livingroom.${TYPE}`,
  );
  // Of the hundred and one, each network is told of its own.
  assert.deepEqual(us.addresses?.filter((each) => !each.includes(":")), [OURS]);
  await ours.browse();
  await ours.sees("them", ({ name }) => name === KITCHEN);
});

fault("Avahi on the same host keeps the name of the host", async () => {
  await using lan = await Lan.make(1);
  const host = lan.hosts[0]!;
  await host.ip("addr", "add", "2001:db8::1/64", "nodad", "dev", "eth0");
  const name = Deno.hostname().split(".", 1)[0]!;
  await using avahi = new Peer(host, "avahi", [name]);
  await avahi.ready();
  await using ours = new Peer(host, "ours");
  await ours.register("livingroom", 6379, OURS);
  await pass(5_000);
  assert.equal(await avahi.hostName(), name);
  await avahi.browse();
  await avahi.sees("us", (said) => said.name === `livingroom.${TYPE}`);
});

fault(
  "a look asks for direct answers while others ask all the time",
  async () => {
    await using lan = await Lan.make(3);
    // The others ask by IPv4, so that it has no other way.
    const file = "/proc/sys/net/ipv6/conf/eth0/disable_ipv6";
    await lan.hosts[0]!.run("sh", "-c", `echo 1 > ${file}`);
    await using probe = new Probe(lan.hosts[1]!);
    await using theirs = new Peer(lan.hosts[2]!, "ours");
    await theirs.register("kitchen", 1000, THEIRS);
    await using ours = new Peer(lan.hosts[0]!, "ours");
    await ours.ready();
    const question = { name: TYPE.slice(0, -1), type: "PTR" };
    const asking = setInterval(
      () => probe.send({ type: "query", questions: [question] }),
      10,
    );
    try {
      // Otherwise it would wait for a second, until it may ask what others have.
      const isOurs = ({ source, type, questions: [first] }: Heard): boolean =>
        source === OURS && type === "query" && first?.unicast === true;
      for (let look = 1; look <= 3; look++) {
        const after = performance.now();
        assert.deepEqual(await ours.discover(3), [KITCHEN]);
        const asked = await probe.hears(isOurs, { after, seconds: 30 });
        assert.ok(asked, `look ${look} asks for direct answers`);
      }
    } finally {
      clearInterval(asking);
    }
  },
);

fault("a host with two ways into one network answers once", async () => {
  await using lan = await Lan.make(2);
  await lan.addSecond(1);
  const host = lan.hosts[0]!;
  await using probe = new Probe(lan.hosts[1]!);
  await using ours = new Peer(host, "ours", ["eth0", "wlan0"]);
  await ours.register("livingroom", 6379, OURS);
  await pass(4_500);
  const name = `livingroom.${TYPE.slice(0, -1)}`;
  for (let i = 0; i < 3; i++) {
    const after = performance.now();
    await probe.send({ type: "query", questions: [{ name, type: "SRV" }] });
    // A second answer would come a second later at the latest.
    await pass(2_200);
    // What it announces because its network has changed is no answer.
    const answers = probe.heard.filter(({ at, type, source, answers }) =>
      at >= after && type === "response" && !source.includes(":") &&
      answers.every(({ type }) => type === "SRV")
    );
    assert.equal(
      answers.length,
      1,
      JSON.stringify(
        answers.map((x) => [x.at - after, x.source, x.to, x.answers]),
      ),
    );
  }
});

fault("an address of IPv6 that is on trial is no reason to warn", async () => {
  await using lan = await Lan.make(1);
  const host = lan.hosts[0]!;
  await host.ip("addr", "del", `${OURS}/24`, "dev", "eth0");
  await host.ip("link", "set", "eth0", "down");
  // A minute, in which the program starts and ends however busy the machine is.
  await host.run(
    "sh",
    "-c",
    "echo 60 > /proc/sys/net/ipv6/conf/eth0/dad_transmits",
  );
  await host.ip("link", "set", "eth0", "up");
  const { stdout, stderr } = await inTime(
    host.run(
      ...[Deno.execPath(), "run", "-A", "--quiet", "cli.ts"] as const,
      ...["discover", "--timeout", "6"],
    ),
    "the look",
    30,
  );
  assert.equal(stdout, "");
  assert.match(stderr, /^error: No peer was found[^\n]*\n$/);
});

fault("a peer is not looked for at an address that is ours too", async () => {
  await using lan = await Lan.make(2);
  for (const host of lan.hosts) await addBridge(host);
  const [livingroom, kitchen] = lan.hosts;
  await using here = await startRedis(livingroom!);
  await using there = await startRedis(kitchen!);
  assert.ok(here && there);
  await using probe = new Probe(kitchen!);
  const announce = (): Promise<void> => {
    const records = invented("kitchen", { port: 6379 });
    const [, , , address] = records;
    const bridge = { ...address!, data: "172.17.0.1" } as typeof records[0];
    return probe.send({ type: "response", answers: [...records, bridge] });
  };
  const announcing = setInterval(announce, 500);
  const send = (): Promise<Output> => {
    const script = new URL("zeroconf_send_to.ts", import.meta.url).pathname;
    return livingroom!.run(
      ...[Deno.execPath(), "run", "-A", "--no-prompt", script] as const,
      "send",
    );
  };
  try {
    const sent = await send();
    assert.equal(sent.stdout, "sent\n", sent.stderr);
    assert.equal(await waiting(kitchen!), "1");
    // Nor where the peer's own address does not answer.
    await there[Symbol.asyncDispose]();
    const failed = await send();
    assert.equal(failed.stdout, "");
    assert.match(failed.stderr, /Cannot send to "kitchen"/);
  } finally {
    clearInterval(announcing);
  }
  assert.equal(await waiting(livingroom!), "0");
});

/** Gives a host a bridge for containers, as Docker makes one on each. */
async function addBridge(host: Namespace): Promise<void> {
  await host.ip("link", "add", "docker0", "type", "bridge");
  await host.ip("addr", "add", "172.17.0.1/16", "dev", "docker0");
  await host.ip("link", "set", "docker0", "up");
}

async function startRedis(host: Namespace): Promise<AsyncDisposable> {
  const redis = host.start("redis-server", [
    ..."--bind 0.0.0.0 --protected-mode no --appendonly no".split(" "),
    ...["--requirepass", "secret", "--save", ""],
  ]);
  for (let line = ""; !line.includes("Ready to accept");) {
    line = await inTime(redis.line(), "Redis") ?? assert.fail("Redis ended");
  }
  return redis;
}

/** How many messages wait in the queue on a host. */
async function waiting(host: Namespace): Promise<string> {
  let length = "";
  await until(async () => {
    const { stdout } = await host.run(
      ...["redis-cli", "--no-auth-warning", "-a", "secret"] as const,
      ...["LLEN", "platypush/backend/redis"],
    );
    length = stdout.trim();
    return length !== "";
  });
  return length;
}
