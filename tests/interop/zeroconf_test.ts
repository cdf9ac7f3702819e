import assert from "node:assert/strict";
import { Lan, run, whyNoNamespaces } from "../namespaces.ts";
import { Peer, type Stack } from "./zeroconf_peer.ts";

const TYPE = "_platypush-redis._tcp.local.";
const STACKS: readonly Stack[] = ["python", "avahi", "ours", "node"];
const [OURS, THEIRS] = ["192.168.77.1", "192.168.77.2"] as const;

const noNamespaces = await whyNoNamespaces();

/** Why a stack cannot be tried here, or undefined when it can. */
async function whyNot(stack: Stack): Promise<string | undefined> {
  if (noNamespaces) return noNamespaces;
  const missing = async (
    command: string,
    ...args: string[]
  ): Promise<boolean> => {
    try {
      return !(await run(command, ...args)).success;
    } catch {
      return true;
    }
  };
  if (
    stack === "python" &&
    await missing("/usr/bin/python3", "-c", "import zeroconf")
  ) {
    return "python3-zeroconf is not installed";
  }
  if (stack === "avahi") {
    for (const command of ["avahi-daemon", "avahi-browse", "dbus-daemon"]) {
      if (await missing(command, "--version")) {
        return `${command} is not installed`;
      }
    }
  }
  return undefined;
}

/** One cell of the table for each stack: our host is .1, the peer is .2. */
function row(
  title: string,
  { loss = 0, stacks = STACKS }: { loss?: number; stacks?: readonly Stack[] },
  test: (ours: Peer, theirs: Peer, lan: Lan, stack: Stack) => Promise<void>,
): void {
  Deno.test(`Zeroconf: ${title}`, async (t) => {
    for (const stack of stacks) {
      const reason = await whyNot(stack);
      if (reason) {
        // deno-lint-ignore no-console -- why a test is skipped has to be seen
        console.log(`skipped with ${stack}: ${reason}`);
      }
      await t.step({
        name: stack,
        ignore: reason !== undefined,
        fn: async () => {
          // Chance may take all that a stack sends within its time once, but
          // hardly three times in a row.
          for (let tries = loss > 0 ? 3 : 1;; tries--) {
            await using lan = await Lan.make(2, loss);
            await using ours = new Peer(lan.hosts[0]!, "ours");
            await using theirs = new Peer(lan.hosts[1]!, stack);
            try {
              return await test(ours, theirs, lan, stack);
            } catch (error) {
              if (tries === 1) throw error;
            }
          }
        },
      });
    }
  });
}

row("they see us appear, change and go", {}, async (ours, theirs) => {
  await theirs.browse();
  const name = `wohn zimmer ü.${TYPE}`;
  await ours.register("wohn zimmer ü", 6379, OURS, { queue: "q" });
  const added = await theirs.sees(
    "us appear",
    (s) => s.name === name && s.port === 6379,
  );
  assert.equal(added.properties?.queue, "q");
  assert.ok(added.addresses?.some((a) => a === OURS || a.startsWith("fe80:")));
  await ours.update("wohn zimmer ü", 6380, OURS, { queue: "other" });
  await theirs.sees(
    "our change",
    (s) => s.name === name && s.properties?.queue === "other",
  );
  await ours.unregister();
  await theirs.sees("us go", (s) => s.event === "removed" && s.name === name);
});

row("we see them appear, change and go", {}, async (ours, theirs) => {
  await ours.browse();
  const name = `kitchen.${TYPE}`;
  await theirs.register("kitchen", 1000, THEIRS, { queue: "q" });
  const added = await ours.sees(
    "them appear",
    (s) => s.event === "added" && s.name === name,
  );
  assert.equal(added.port, 1000);
  assert.equal(added.properties?.queue, "q");
  assert.ok(added.addresses?.includes(THEIRS));
  await theirs.update("kitchen", 1000, THEIRS, { queue: "other" });
  await ours.sees(
    "their change",
    (s) => s.name === name && s.properties?.queue === "other",
  );
  await theirs.unregister();
  await ours.sees("them go", (s) => s.event === "removed" && s.name === name);
});

row("same name on both: renamed, both visible", {}, async (ours, theirs) => {
  await ours.browse();
  await theirs.browse();
  const first = await theirs.register("twin", 1000, THEIRS, { id: "1" });
  await ours.sees("theirs", (s) => s.name === first && s.port === 1000);
  const second = await ours.register("twin", 2000, OURS, { id: "2" });
  assert.equal(second, `twin (2).${TYPE}`);
  await theirs.sees("ours", (s) => s.name === second && s.port === 2000);
});

row("30 % loss: found within 10 s", { loss: 0.3 }, async (ours, theirs) => {
  await ours.browse();
  await theirs.browse();
  await ours.register("livingroom", 6379, OURS);
  await theirs.sees("us", (s) => s.name === `livingroom.${TYPE}`, 10);
  await theirs.register("kitchen", 1000, THEIRS);
  await ours.sees("them", (s) => s.name === `kitchen.${TYPE}`, 10);
});

row(
  "link down 10 s and up: both see each other again",
  {},
  async (ours, theirs, lan) => {
    await ours.browse();
    await theirs.browse();
    await lan.plug(2, "down");
    await ours.register("livingroom", 6379, OURS);
    await theirs.register("kitchen", 1000, THEIRS);
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    await lan.plug(2, "up");
    await Promise.all([
      theirs.sees("us", (s) => s.name === `livingroom.${TYPE}`, 60),
      ours.sees("them", (s) => s.name === `kitchen.${TYPE}`, 60),
    ]);
  },
);

row(
  "a second address added, the first removed: peers follow",
  // bonjour-service reports nothing but changes of the TXT record.
  { stacks: ["python", "avahi", "ours"] },
  async (ours, theirs, lan) => {
    await theirs.browse();
    await ours.register("livingroom", 6379, OURS);
    await theirs.sees("us", (s) => s.name === `livingroom.${TYPE}`);
    const host = lan.hosts[0]!;
    const moved = "192.168.77.101";
    await host.run(
      "sh",
      "-c",
      "echo 1 > /proc/sys/net/ipv4/conf/all/promote_secondaries",
    );
    await host.ip("addr", "add", `${moved}/24`, "dev", "eth0");
    await host.ip("addr", "del", `${OURS}/24`, "dev", "eth0");
    await theirs.sees(
      "the new address alone",
      ({ addresses }) =>
        addresses !== undefined && addresses.includes(moved) &&
        !addresses.includes(OURS),
      20,
    );
  },
);

Deno.test({
  name: "Zeroconf: we see them vanish without a goodbye",
  ignore: noNamespaces !== undefined,
  // Two minutes is what the records of a host live, so all stacks go at once,
  // which Deno allows only to steps without sanitizers; the test keeps its own.
  fn: async (t) => {
    await Promise.all(STACKS.map((stack) =>
      t.step({
        name: stack,
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
        fn: async () => {
          if (await whyNot(stack)) return;
          await using lan = await Lan.make(2);
          await using ours = new Peer(lan.hosts[0]!, "ours");
          await using theirs = new Peer(lan.hosts[1]!, stack);
          await ours.browse();
          await theirs.register("kitchen", 1000, THEIRS, { id: "1" });
          const name = `kitchen.${TYPE}`;
          await ours.sees(
            "them",
            (s) => s.event === "added" && s.name === name,
          );
          await lan.plug(2, "down");
          await ours.sees(
            "them vanish",
            ({ event }) => event === "removed",
            140,
          );
        },
      })
    ));
  },
});
