import assert from "node:assert/strict";
import { Backend, Event } from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { privateBus } from "../listener.ts";
import { until } from "../until.ts";

const interfaces = ["127.0.0.1"];

/** A type that no other test advertises. */
function privateType(): string {
  return `_pr-${crypto.randomUUID().slice(0, 8)}._tcp.local.`;
}

/** What an event says of which service. */
function said(event: Event): [unknown, unknown] {
  return [event.args.service_event, event.args.service_name];
}

Deno.test("Backend posts what becomes of other services, and its own once", async () => {
  const type = privateType();
  await using bus = privateBus();
  await using otherBus = privateBus();
  await using backend = new Backend({
    bus,
    deviceId: "livingroom",
    postEvents: { type, interfaces },
  });
  const events: Event[] = [];
  const handled = (count: number): Promise<void> =>
    inTime(until(() => events.length >= count), `${count} events`);
  bus.registerHandler(Event, (event) => void events.push(event));
  await backend.start();
  await using other = new Backend({ bus: otherBus, deviceId: "kitchen" });
  const place = { srvType: type, interfaces };

  const own = await backend.registerService({ ...place, port: 1 });
  const theirs = await other.registerService({ ...place, port: 2 });
  await handled(2);
  await backend.registerService({ ...place, port: 3 });
  await other.registerService({ ...place, port: 4 });
  await handled(4);
  await backend.unregisterService();
  await other.unregisterService();
  await handled(6);
  assert.deepEqual(events.map(said).sort(), [
    ["add", theirs],
    ["add", own],
    ["remove", theirs],
    ["remove", own],
    ["update", theirs],
    ["update", own],
  ]);
  const { args, target } = events.findLast((event) =>
    event.args.service_name === theirs
  )!;
  assert.equal(
    args.type,
    "platypush.message.event.zeroconf.ZeroconfServiceRemovedEvent",
  );
  assert.equal((args.service_info as { port: number }).port, 4);
  assert.equal(target, "livingroom");
});

Deno.test("Backend posts events of services that were there before", async () => {
  const type = privateType();
  await using otherBus = privateBus();
  await using other = new Backend({ bus: otherBus, deviceId: "kitchen" });
  const name = await other.registerService({
    srvType: type,
    interfaces,
    port: 2,
  });
  await using bus = privateBus();
  const first = bus.get();
  await using backend = new Backend({ bus, postEvents: { type, interfaces } });
  await backend.start();
  const event = await inTime(first, "an event");
  assert.deepEqual(said(event as Event), ["add", name]);
  // The message in hand is handled.
  await bus.get(0);
});

Deno.test("Backend posts events of services that it has seen before it started", async () => {
  const type = privateType();
  await using otherBus = privateBus();
  await using other = new Backend({ bus: otherBus, deviceId: "kitchen" });
  const place = { type, interfaces };
  const name = await other.registerService({
    srvType: type,
    interfaces,
    port: 2,
  });
  await using bus = privateBus();
  const first = bus.get();
  await using backend = new Backend({ bus, postEvents: place });
  const event = { type: "event", args: { type: "custom.Motion" } };
  await assert.rejects(
    backend.sendTo("nobody", event, { ...place, timeout: 2 }),
    /only "kitchen" was seen/,
  );
  await backend.start();
  assert.deepEqual(said(await inTime(first, "an event") as Event), [
    "add",
    name,
  ]);
  await bus.get(0);
});

Deno.test("Backend without multicast warns once, posts nothing and goes on", async () => {
  const logger = new LineLogger();
  await using bus = privateBus();
  await using backend = new Backend({
    bus,
    logger,
    postEvents: { interfaces: ["none0"] },
  });
  await backend.start();
  const warnings = logger.lines.filter((line) => line.startsWith("warn"));
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /Cannot use multicast.* no network interface "none0" /,
  );
});

Deno.test("Backend refuses to look for what is no service type", () => {
  assert.throws(
    () => new Backend({ postEvents: { type: "no spaces" } }),
    /"no spaces"/,
  );
});

Deno.test("Backend with postEvents can be stopped while it starts", async () => {
  // Before it looks for services, and while it begins to.
  for (const ready of [() => undefined, (backend: Backend) => backend.join()]) {
    await using bus = privateBus();
    const backend = new Backend({ bus, postEvents: { interfaces } });
    const starting = backend.start().then(() => "", ({ name }) => name);
    await ready(backend);
    await backend.stop();
    assert.match(await starting, /^(AbortError)?$/);
  }
});

Deno.test({
  name: "Backend is stopped when it may not look for other services",
  permissions: { net: false, sys: true },
  fn: async () => {
    await using bus = privateBus();
    class Waiting extends Backend {
      override async run(): Promise<void> {
        await this.waitStop();
      }
    }
    const backend = new Waiting({
      bus,
      deviceId: "livingroom",
      postEvents: { interfaces },
    });

    await assert.rejects(backend.start(), Deno.errors.NotCapable);
    assert.equal(backend.isAlive(), false);
  },
});
