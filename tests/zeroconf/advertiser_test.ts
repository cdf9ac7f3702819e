import assert from "node:assert/strict";
import {
  Advertiser,
  browse,
  Browser,
  discover,
  discoverTypes,
  type ServiceChange,
  serviceType,
} from "../../src/zeroconf/mod.ts";
import { Sockets } from "../../src/zeroconf/sockets.ts";
import { decodeMessage } from "../../src/zeroconf/wire_format.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { until } from "../until.ts";

const interfaces = ["127.0.0.1"];
const type = "platypush-redis";

function name(label: string): string {
  return `${label} ${crypto.randomUUID().slice(0, 8)}`;
}

Deno.test("Advertiser is found, changed and missed on the loopback interface", async () => {
  const instance = name("wohn.zimmer ü😀");
  const seen: ServiceChange[] = [];
  const next = async (kind: ServiceChange["kind"]): Promise<ServiceChange> => {
    for await (const one of changes) {
      if (one.service.name !== `${instance}._${type}._tcp.local.`) continue;
      seen.push(one);
      if (one.kind === kind) return one;
    }
    throw new Error(`no ${kind}`);
  };
  const source = browse({ interfaces });
  const changes = {
    [Symbol.asyncIterator]: () => ({ next: () => source.next() }),
  };
  await using advertiser = new Advertiser({ interfaces });
  const properties = { queue: "q", device_id: "wohn.zimmer" };
  const fullName = await advertiser.register({
    name: instance,
    type,
    port: 6379,
    properties,
  });
  assert.equal(fullName, `${instance}._${type}._tcp.local.`);
  const { service } = await next("added");
  assert.equal(service.port, 6379);
  assert.equal(service.deviceId, "wohn.zimmer");
  assert.equal(service.redisUrl, "redis://127.0.0.1:6379");
  assert.deepEqual(advertiser.services, [service]);
  await advertiser.register({ name: instance, type, port: 6380, properties });
  assert.equal((await next("updated")).service.port, 6380);
  assert.ok(advertiser.unregister(fullName));
  await next("removed");
  await source.return();
  assert.deepEqual(seen.map(({ kind }) => kind), [
    "added",
    "updated",
    "removed",
  ]);
});

Deno.test("Advertiser announces a change when its first announcements are over", async () => {
  const instance = name("changing");
  const ports: number[] = [];
  const quiet = (): void => {};
  const sockets = new Sockets({
    choose: (all) => all.filter(({ loopback }) => loopback),
    warn: quiet,
    debug: quiet,
    onPacket: (packet) => {
      for (const record of decodeMessage(packet)?.answers ?? []) {
        const isOurs = record.type === "SRV" &&
          record.name.startsWith(instance);
        if (isOurs) ports.push(record.data.port);
      }
    },
    onNetworkChange: quiet,
  });
  await sockets.open(false);
  await using advertiser = new Advertiser({ interfaces });
  await advertiser.register({ name: instance, type, port: 1 });
  await until(() => ports.length === 3, "three announcements");
  await advertiser.register({ name: instance, type, port: 2 });
  await until(() => ports.includes(2), "an announcement of the change");
  await sockets.close();
});

Deno.test("Advertiser returns another name when the wanted one is taken", async () => {
  const instance = name("twin");
  await using first = new Advertiser({ interfaces });
  await using second = new Advertiser({ interfaces });
  await first.register({ name: instance, type, port: 1 });
  assert.equal(
    await second.register({ name: instance, type, port: 2 }),
    `${instance} (2)._${type}._tcp.local.`,
  );
});

Deno.test("Advertiser rejects what it cannot announce", async () => {
  await using advertiser = new Advertiser({ interfaces });
  const service = { name: "x", type, port: 1 };
  const cases = [
    [{ ...service, port: 65_536 }, /`port` is 65536, expected a whole number/],
    [{ ...service, name: "" }, /name is empty/],
    [{ ...service, name: "two\nlines" }, /"two\\nlines": .* control character/],
    [{ ...service, name: "\x7f" }, /control character/],
    [{ ...service, type: "no spaces" }, /"no spaces"/],
    [{ ...service, properties: { "a=b": 1 } }, /"a=b"/],
  ] as const;
  for (const [options, message] of cases) {
    await assert.rejects(advertiser.register(options), { message });
  }
  await advertiser.close();
  await assert.rejects(advertiser.register(service), /closed/);
});

Deno.test("Advertiser cuts a name of more than 63 bytes, with a warning", async () => {
  const warnings: string[] = [];
  const quiet = (): void => {};
  await using advertiser = new Advertiser({
    interfaces,
    logger: {
      debug: quiet,
      info: quiet,
      error: quiet,
      warn: (text) => warnings.push(text),
    },
  });
  const long = "ü".repeat(40);
  assert.equal(
    await advertiser.register({ name: long, type, port: 1 }),
    `${"ü".repeat(31)}._${type}._tcp.local.`,
  );
  assert.match(warnings.join(), /63 bytes/);
});

Deno.test("Advertiser can be closed while it registers", async () => {
  const advertiser = new Advertiser({ interfaces });
  const registering = advertiser.register({ name: name("x"), type, port: 1 });
  const failed = assert.rejects(registering, /stopped|closed/);
  await advertiser.close();
  await failed;
  const open = new Advertiser({ interfaces });
  await open.register({ name: name("x"), type, port: 1 });
  // Its sockets are open, so this one has begun to probe.
  const probing = assert.rejects(
    open.register({ name: name("y"), type, port: 1 }),
    /stopped/,
  );
  await Promise.resolve();
  await open.close();
  await inTime(probing, "the end of the registration");
});

Deno.test("Zeroconf warns once and goes on when there is no multicast", async () => {
  const warnings: string[] = [];
  const quiet = (): void => {};
  const logger = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (text: string) => void warnings.push(text),
  };
  await using advertiser = new Advertiser({ interfaces: ["none0"], logger });
  await advertiser.register({ name: "x", type, port: 1 });
  assert.equal(warnings.length, 1);
  // It looks again every three seconds. That it does not warn again has no event.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /Cannot use multicast.* no network interface "none0" /,
  );
});

Deno.test("Zeroconf names an interface that is not there, beside one that is", async () => {
  const logger = new LineLogger();
  const interfaces = ["127.0.0.1", "none0"];
  await using advertiser = new Advertiser({ interfaces, logger });
  await advertiser.register({ name: "x", type, port: 1 });
  await logger.line(
    /^warn: There is no network interface "none0" with an addr/,
  );
});

Deno.test("Browser can be closed while it starts, and not started again", async () => {
  const browser = new Browser({ interfaces });
  const starting = browser.start();
  await browser.close();
  await starting;
  await assert.rejects(browser.start(), /closed/);
});

Deno.test("discover() and discoverTypes() find what was announced before", async () => {
  await using advertiser = new Advertiser({ interfaces });
  const port = 1_000 + Math.floor(Math.random() * 1_000);
  await advertiser.register({
    name: name("x"),
    type: "pr-found",
    port,
    protocol: "udp",
  });
  const [found] = await discover({
    interfaces,
    type: "_pr-found._udp.local.",
    timeout: 1.5,
  });
  assert.equal(found?.port, port);
  const types = await discoverTypes({ interfaces, timeout: 1.5 });
  assert.ok(types.includes("_pr-found._udp.local."));
});

Deno.test("browse() ends when its signal is aborted", async () => {
  const controller = new AbortController();
  const changes = browse({
    interfaces,
    type: "pr-none",
    signal: controller.signal,
  });
  const next = changes.next();
  controller.abort();
  assert.equal((await next).done, true);
});

Deno.test("browse() ends when its signal is aborted while it waits for a change", async () => {
  await using advertiser = new Advertiser({ interfaces });
  await advertiser.register({ name: name("x"), type: "pr-abort", port: 1 });
  const controller = new AbortController();
  const changes = browse({
    interfaces,
    type: "pr-abort",
    signal: controller.signal,
  });
  assert.equal((await changes.next()).value?.kind, "added");
  const next = changes.next();
  // It waits from the next turn of the event loop on.
  await new Promise((resolve) => setTimeout(resolve));
  controller.abort();
  assert.equal((await inTime(next, "the end of browse()")).done, true);
});

Deno.test("serviceType() completes a name and refuses what is none", () => {
  assert.equal(serviceType("a-b", "udp"), "_a-b._udp.local.");
  assert.equal(serviceType("_a._tcp.local"), "_a._tcp.local.");
  assert.throws(() => serviceType("a.b"), /"a.b"/);
});
