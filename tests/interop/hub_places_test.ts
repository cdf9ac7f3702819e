import assert from "node:assert/strict";
import { GapEvent, HubBus, type RedisArgs } from "../../mod.ts";
import { ClusterSetup } from "../cluster.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { whyNoRedisPy } from "../python.ts";
import { SentinelSetup } from "../sentinels.ts";
import type { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { Hub } from "./hub.ts";

const ignore = await whyNoRedisPy() !== undefined;
const CHANNEL = "platypush/bus";

function open(redisArgs: RedisArgs): Promise<HubBus> {
  return HubBus.open({
    name: `test/hub-${crypto.randomUUID()}`,
    redisArgs,
    deviceId: "deno",
    logger: new LineLogger(),
  });
}

const motion = (n: number): Record<string, unknown> => ({
  type: "event",
  target: "hub",
  args: { type: "custom.Motion", n },
});

const port = ({ args }: TestServer): string => String(args.port);

for (const kind of ["channel", "list"]) {
  Deno.test({
    name:
      `HubBus is one with a hub with a ${kind} in a cluster, whichever node either is on`,
    ignore,
    fn: async () => {
      await using setup = await ClusterSetup.start();
      for (const [at, node] of setup.nodes.slice(0, 3).entries()) {
        await using hub = await Hub.start(
          kind,
          port(node),
          "hub",
          "0",
          "cluster",
        );
        await using bus = await open(setup.args);
        assert.equal(bus.hub, kind);
        const seen: unknown[] = [];
        bus.on({ type: "custom.Motion" }, ({ args }) => seen.push(args.n));
        if (kind === "channel") {
          await hub.post({ type: "custom.Motion", n: at });
          await until(() => seen.length === 1);
        }
        await bus.post(motion(10));
        await until(() =>
          hub.taken.filter(({ kind }) => kind === "event").length ===
            (kind === "channel" ? 2 : 1)
        );
        const request = { target: "hub", action: "test.echo", args: { at } };
        const { output } = await bus.sendRequest(request, {
          responseTimeout: 20,
        });
        assert.deepEqual(output, { at });
        // Nothing came back, and nothing came twice.
        assert.deepEqual(seen, kind === "channel" ? [at, 10] : [10]);
        const requests = hub.taken.filter(({ kind }) => kind === "request");
        assert.equal(requests.length, 1);
      }
    },
  });
}

Deno.test({
  name: "HubBus in a cluster asks a hub again that has just started",
  ignore,
  fn: async () => {
    await using setup = await ClusterSetup.start();
    await using bus = await open(setup.args);
    assert.equal(bus.hub, "none");
    const master = await setup.masterOf(CHANNEL);
    const other = setup.nodes.find((node) => node !== master)!;
    await using hub = new Hub("channel", port(other), "hub", "1", "cluster");
    const { output } = await bus.sendRequest(
      { target: "hub", action: "test.echo", args: { n: 1 } },
      { responseTimeout: 20 },
    );
    assert.deepEqual(output, { n: 1 });
    assert.equal(bus.hub, "channel");
    assert.equal(hub.taken.length, 1);
  },
});

Deno.test({
  name: "HubBus follows a failover in a cluster, and tells of the gap",
  ignore,
  fn: async () => {
    await using setup = await ClusterSetup.start();
    const master = await setup.masterOf(CHANNEL);
    const other = setup.nodes.find((node) => node !== master)!;
    await using hub = await Hub.start(
      "channel",
      port(other),
      "hub",
      "0",
      "cluster",
    );
    await using bus = await open(setup.args);
    const seen: unknown[] = [];
    bus.on({ type: "custom.Motion" }, ({ args }) => seen.push(args.n));
    const gap = Promise.withResolvers<GapEvent>();
    bus.addEventListener("gap", (event) => gap.resolve(event as GapEvent));
    await master.kill();
    await inTime(gap.promise, "the gap");
    await until(async () => {
      await hub.post({ type: "custom.Motion", n: 1 });
      return seen.length > 0;
    });
    await bus.post(motion(2));
    await until(() => seen.includes(2));
    await until(() => hub.taken.some(({ kind }) => kind === "event"));
  },
});

Deno.test({
  name: "HubBus follows a failover by Sentinel, and tells of the gap",
  ignore,
  fn: async () => {
    await using setup = await SentinelSetup.start();
    const { master, replica } = setup;
    await using bus = await open(setup.args);
    const seen: unknown[] = [];
    bus.on({ type: "custom.Motion" }, ({ args }) => seen.push(args.n));
    {
      await using hub = await Hub.start("channel", port(master), "hub");
      await hub.post({ type: "custom.Motion", n: 1 });
      await until(() => seen.length === 1);
    }
    const gap = Promise.withResolvers<GapEvent>();
    bus.addEventListener("gap", (event) => gap.resolve(event as GapEvent));
    await master.kill();
    await inTime(gap.promise, "the gap");
    // The hub follows, too: it is on the new master.
    await using hub = await Hub.start("channel", port(replica), "hub");
    await hub.post({ type: "custom.Motion", n: 2 });
    await until(() => seen.length === 2);
    const { output } = await bus.sendRequest(
      { target: "hub", action: "test.echo", args: { n: 3 } },
      { responseTimeout: 20 },
    );
    assert.deepEqual(output, { n: 3 });
    assert.equal(bus.hub, "channel");
  },
});

Deno.test({
  name:
    "HubBus reaches a hub whose server became the master without closing the old one",
  ignore,
  fn: async () => {
    await using setup = await SentinelSetup.start();
    const { replica } = setup;
    await using bus = await open(setup.args);
    // It stays at the old one, and hears what is said there.
    await using _other = await open(setup.args);
    const seen: unknown[] = [];
    bus.on({ type: "custom.Motion" }, ({ args }) => seen.push(args.n));
    await setup.swap();
    await using hub = await Hub.start("channel", port(replica), "hub");
    // What is said at the new master passes at its replica, too.
    await hub.post({ type: "custom.Motion", n: 1 });
    await until(() => seen.includes(1));
    await bus.post(motion(2));
    const { output } = await bus.sendRequest(
      { target: "hub", action: "test.echo", args: { n: 3 } },
      { responseTimeout: 20 },
    );
    assert.deepEqual(output, { n: 3 });
    await hub.post({ type: "custom.Motion", n: 4 });
    await until(() => seen.includes(4));
    assert.deepEqual(seen, [1, 2, 4]);
    // Everything was told, and told once.
    await until(() => hub.taken.length >= 4);
    assert.deepEqual(hub.taken.map(({ kind }) => kind).sort(), [
      "event",
      "event",
      "event",
      "request",
    ]);
  },
});
