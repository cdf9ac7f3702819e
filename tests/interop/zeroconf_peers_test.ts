import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";
import { Lan, type Namespace, type Running } from "../namespaces.ts";
import { testUnless } from "../test_unless.ts";
import { until } from "../until.ts";
import { invented } from "./zeroconf_lab.ts";
import { Probe } from "./zeroconf_probe.ts";
import { noNamespaces, TYPE } from "./zeroconf_rows.ts";

const script = new URL("zeroconf_peer_device.ts", import.meta.url).pathname;
const deno = ["run", "-A", "--no-prompt", script];

function start(host: Namespace, ...args: string[]): Running {
  return host.start(Deno.execPath(), [...deno, ...args]);
}

async function send(
  host: Namespace,
  peer: string,
  folder: string,
): Promise<string> {
  const { stdout } = await inTime(
    host.run(Deno.execPath(), ...deno, "send", peer, folder),
    "the sender",
    30,
  );
  return stdout.trim();
}

async function startRedis(host: Namespace): Promise<Running> {
  const redis = host.start("redis-server", [
    ..."--bind 0.0.0.0 --protected-mode no --appendonly no".split(" "),
    ...["--save", ""],
  ]);
  for (let line = ""; !line.includes("Ready to accept");) {
    line = await inTime(redis.line(), "Redis") ?? assert.fail("Redis ended");
  }
  return redis;
}

async function waiting(host: Namespace): Promise<string> {
  const { stdout } = await host.run(
    ...["redis-cli", "LLEN", "platypush/backend/redis"] as const,
  );
  return stdout.trim();
}

testUnless(
  noNamespaces,
  "Zeroconf: nothing goes to a forger, nor through a man in the middle",
  async () => {
    await using lan = await Lan.make(3);
    const [livingroom, kitchen, attacker] = lan.hosts as [
      Namespace,
      Namespace,
      Namespace,
    ];
    const folder = await Deno.makeTempDir();
    await using stack = new AsyncDisposableStack();
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const ours = `${folder}/livingroom`;

    stack.use(await startRedis(kitchen));
    const device = stack.use(start(kitchen, "announce", `${folder}/kitchen`));
    assert.equal(await inTime(device.line(), "the service"), "announced");
    const probe = stack.use(new Probe(attacker));

    // The attacker learns what the kitchen announces, and says it of itself.
    const isTxt = { name: `kitchen.${TYPE}`.slice(0, -1), type: "TXT" };
    const source = "192.168.77.3";
    await until(async () => {
      await probe.send({ type: "query", questions: [isTxt] }, { source });
      return probe.heard.some(({ answers }) =>
        answers.some(({ type }) => type === "TXT")
      );
    });
    const [txt] = probe.heard.flatMap(({ answers }) =>
      answers.flatMap((each) => each.type === "TXT" ? each : [])
    );
    const records = invented("twin", { address: source, port: 6379 })
      .map((each) => each.type === "TXT" ? { ...each, data: txt!.data } : each);
    const announcing = setInterval(
      () => probe.send({ type: "response", answers: records }, { source }),
      500,
    );
    stack.defer(() => clearInterval(announcing));

    const relay = start(attacker, "relay", "192.168.77.2");
    assert.equal(await inTime(relay.line(), "the relay"), "listening");
    assert.match(
      await send(livingroom, "twin", ours),
      /nobody there has proved .* to have the key SHA256:.* of "kitchen"/,
    );
    assert.match(
      (await inTime(device.line(), "a warning"))!,
      /asked by the address 192\.168\.77\.3:6379 .* not ours/,
    );
    assert.equal(await waiting(kitchen), "0");
    await relay.stop("SIGKILL");

    // The real one is believed, and the forger no more than before.
    await until(async () => await send(livingroom, "kitchen", ours) === "sent");
    assert.equal(await waiting(kitchen), "1");
    stack.use(await startRedis(attacker));
    assert.match(await send(livingroom, "twin", ours), /has proved/);
    assert.equal(await waiting(attacker), "0");
  },
);
