import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";
import { Lan } from "../namespaces.ts";
import { testUnless } from "../test_unless.ts";
import type { Peer } from "./zeroconf_peer.ts";
import { noNamespaces, OURS, row, THEIRS, TYPE } from "./zeroconf_rows.ts";

row(
  "hosts with nothing but IPv6 see each other",
  // bonjour-service opens one IPv4 socket.
  { ipv6Only: true, stacks: ["python", "avahi", "ours"] },
  async (ours, theirs) => {
    await Promise.all([ours.browse(), theirs.browse()]);
    await ours.register("livingroom", 6379, "fd00:77::1");
    const us = await theirs.sees(
      "us",
      (s) => s.name === `livingroom.${TYPE}` && s.port === 6379,
    );
    assert.ok(us.addresses?.every((address) => address.includes(":")));
    await theirs.register("kitchen", 1000, "fd00:77::2");
    await ours.sees(
      "them",
      (s) =>
        s.name === `kitchen.${TYPE}` && s.addresses!.includes("fd00:77::2"),
    );
  },
);

row(
  "two networks are joined: one of two equal names changes",
  // python-zeroconf does not look for conflicts once it has registered.
  { stacks: ["avahi", "ours", "node"] },
  async (ours, theirs, lan) => {
    await lan.part(true);
    const names = await Promise.all([
      ours.register("twin", 2000, OURS, { id: "1" }),
      theirs.register("twin", 1000, THEIRS, { id: "2" }),
    ]);
    assert.deepEqual(names, [`twin.${TYPE}`, `twin.${TYPE}`]);
    await lan.part(false);
    await ours.browse();
    await seesBoth(ours, [1000, 2000]);
  },
);

row(
  "registered without any network: announced once there is one",
  {},
  async (ours, theirs, lan) => {
    const host = lan.hosts[0]!;
    await host.ip("addr", "del", `${OURS}/24`, "dev", "eth0");
    await host.ip("link", "set", "eth0", "down");
    await theirs.browse();
    await ours.register("livingroom", 6379, OURS);
    assert.deepEqual(theirs.heard.filter(({ event }) => event), []);
    await host.ip("addr", "add", `${OURS}/24`, "dev", "eth0");
    await host.ip("link", "set", "eth0", "up");
    await theirs.sees("us", (s) => s.name === `livingroom.${TYPE}`);
  },
);

testUnless(
  noNamespaces,
  "Zeroconf: sendTo() reaches the Redis of a peer on another host",
  async () => {
    await using lan = await Lan.make(2);
    const [kitchen, livingroom] = lan.hosts;
    await using redis = kitchen!.start("redis-server", [
      ..."--bind 0.0.0.0 --protected-mode no --appendonly no".split(" "),
      ...["--requirepass", "secret", "--save", ""],
    ]);
    for (let line = ""; !line.includes("Ready to accept");) {
      line = await inTime(redis.line(), "Redis") ?? assert.fail("Redis ended");
    }
    const script = new URL("zeroconf_send_to.ts", import.meta.url).pathname;
    const deno = ["run", "-A", "--no-prompt", script];
    await using peer = kitchen!.start(Deno.execPath(), [...deno, "kitchen"]);
    assert.equal(await inTime(peer.line(), "the service"), "announced");
    await using sender = livingroom!.start(Deno.execPath(), [...deno, "send"]);
    assert.equal(await inTime(sender.line(), "the sender"), "sent");
    const arrived = JSON.parse((await inTime(peer.line(), "the event"))!);
    assert.equal(arrived.args.room, "hall");
    assert.equal(arrived.target, "kitchen");
    assert.equal(arrived.origin, "livingroom");
  },
);

/** Waits until the services on these ports have different names. */
async function seesBoth(peer: Peer, ports: readonly number[]): Promise<void> {
  const names = new Map<number | undefined, string | undefined>();
  await peer.sees("two names", ({ event, name, port }) => {
    if (event === "removed") names.delete(port);
    else if (event !== undefined) names.set(port, name);
    return ports.every((port) => names.has(port)) &&
      new Set(names.values()).size === ports.length;
  }, 30);
}
