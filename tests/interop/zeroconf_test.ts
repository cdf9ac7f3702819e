import assert from "node:assert/strict";
import type { Namespace } from "../namespaces.ts";
import { OURS, row, THEIRS, TYPE } from "./zeroconf_rows.ts";

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
  // Avahi may tell its address of IPv6 before the other one.
  const added = await ours.sees(
    "them appear",
    (s) => s.name === name && s.addresses?.includes(THEIRS) === true,
  );
  assert.equal(added.port, 1000);
  assert.equal(added.properties?.queue, "q");
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
    // By then no stack announces any more what nobody has heard.
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    await lan.plug(2, "up");
    await Promise.all([
      theirs.sees("us", (s) => s.name === `livingroom.${TYPE}`, 60),
      // ciao has been seen to rename itself to "kitchen (2)" here.
      ours.sees("them", ({ name = "" }) => name.startsWith("kitchen"), 60),
    ]);
  },
);

row(
  "a second address added, the first removed: they follow",
  {},
  async (ours, theirs, lan, stack) => {
    await theirs.browse();
    await ours.register("livingroom", 6379, OURS);
    await theirs.sees("us", (s) => s.name === `livingroom.${TYPE}`);
    const moved = await move(lan.hosts[0]!, OURS);
    if (stack === "node") {
      // bonjour-service tells of no change but those of TXT, so it looks anew
      // once the records had the time to follow.
      await ours.sees(
        "the change",
        ({ announces }) =>
          announces !== undefined && announces.includes(moved) &&
          !announces.includes(OURS),
      );
      await theirs.browse();
    }
    await theirs.sees(
      "the new address alone",
      ({ addresses }) =>
        addresses !== undefined && addresses.includes(moved) &&
        !addresses.includes(OURS),
      20,
    );
  },
);

row(
  "a second address added, the first removed: we follow",
  // python-zeroconf announces the addresses that it was given.
  { stacks: ["avahi", "ours", "node"] },
  async (ours, theirs, lan) => {
    await ours.browse();
    await theirs.register("kitchen", 1000, THEIRS);
    await ours.sees("them", (s) => s.name === `kitchen.${TYPE}`);
    const moved = await move(lan.hosts[1]!, THEIRS);
    await ours.sees(
      "the new address alone",
      ({ addresses }) =>
        addresses !== undefined && addresses.includes(moved) &&
        !addresses.includes(THEIRS),
      // ciao looks at the interfaces every 15 s.
      30,
    );
  },
);

row("we see them vanish without a goodbye", {}, async (ours, theirs, lan) => {
  await ours.browse();
  await theirs.register("kitchen", 1000, THEIRS, { id: "1" });
  const name = `kitchen.${TYPE}`;
  await ours.sees("them", (s) => s.event === "added" && s.name === name);
  await lan.plug(2, "down");
  // Two minutes is what the records of a host live.
  await ours.hurry();
  await ours.sees("them vanish", ({ event }) => event === "removed", 30);
});

/** Gives a host a second address and takes the first one; returns the second. */
async function move(host: Namespace, first: string): Promise<string> {
  const second = `${first}01`;
  await host.run(
    "sh",
    "-c",
    "echo 1 > /proc/sys/net/ipv4/conf/all/promote_secondaries",
  );
  await host.ip("addr", "add", `${second}/24`, "dev", "eth0");
  await host.ip("addr", "del", `${first}/24`, "dev", "eth0");
  return second;
}
