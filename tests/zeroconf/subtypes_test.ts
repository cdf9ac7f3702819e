import assert from "node:assert/strict";
import { Advertiser, browse, Browser } from "../../src/zeroconf/mod.ts";
import { until } from "../until.ts";

const interfaces = ["127.0.0.1"];

Deno.test("A service is found under its subtypes, as long as it has them", async () => {
  const short = crypto.randomUUID().slice(0, 8);
  const type = `_${short}._tcp`;
  const name = `living.room.${type}.local.`;
  const seen: string[] = [];
  const follow = (label: string, type: string): Browser =>
    new Browser({
      type,
      interfaces,
      onChange: ({ kind, service }) => {
        seen.push(`${label} ${kind}`);
        assert.equal(service.name, name);
        assert.equal(service.type, `_${short}._tcp.local.`);
        assert.equal(service.deviceId, "living.room");
        assert.deepEqual(service.properties, { raw: "\ufffd", flag: null });
        assert.deepEqual(service.propertyBytes, {
          raw: new Uint8Array([255]),
          flag: null,
        });
      },
    });
  await using advertiser = new Advertiser({ interfaces });
  const service = {
    name: "living.room",
    type,
    port: 80,
    subtypes: ["printer", "_Scanner"],
    properties: { raw: new Uint8Array([255]), flag: null },
  };
  assert.equal(await advertiser.register(service), name);
  await using all = follow("all", type);
  await using printers = follow("printer", `_printer._sub.${type}.local.`);
  await using scanners = follow("scanner", `_scanner._sub.${type}`);
  await using others = follow("other", `_other._sub.${type}`);
  await Promise.all(
    [all, printers, scanners, others].map((each) => each.start()),
  );
  await until(() => seen.length === 3);
  assert.deepEqual(seen.toSorted(), [
    "all added",
    "printer added",
    "scanner added",
  ]);

  await advertiser.register({ ...service, subtypes: ["scanner"] });
  await until(() => seen.length === 4);
  assert.equal(seen[3], "printer removed");
  assert.equal(all.services.length, 1);
  assert.equal(scanners.services.length, 1);

  advertiser.unregister(name);
  await until(() => seen.length === 6);
  assert.deepEqual(seen.slice(4).toSorted(), [
    "all removed",
    "scanner removed",
  ]);
});

Deno.test("What is no subtype is refused", async () => {
  await using advertiser = new Advertiser({ interfaces });
  const service = { name: "x", type: "http", port: 80 };
  await assert.rejects(
    advertiser.register({ ...service, type: "_printer._sub._http._tcp" }),
    /`subtypes`/,
  );
  await assert.rejects(
    advertiser.register({ ...service, subtypes: ["x".repeat(63)] }),
    /subtype takes more than 63 bytes/,
  );
  await assert.rejects(
    advertiser.register({ ...service, subtypes: ["printer", ""] }),
    /a subtype is empty/,
  );
  const wrong = browse({ type: "_printer._sub.no spaces", interfaces });
  await assert.rejects(wrong.next(), /"_printer\._sub\.no spaces"/);
});
