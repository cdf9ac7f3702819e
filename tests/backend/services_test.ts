import assert from "node:assert/strict";
import {
  Backend,
  browse,
  Event,
  RedisBackend,
  type ServiceChange,
  VERSION,
  zeroconfEvent,
} from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { Listener, privateBus, QUEUE } from "../listener.ts";
import { freePort, TestServer } from "../servers.ts";
import { newDeviceId } from "./peer_at.ts";

const interfaces = ["127.0.0.1"];
const TYPE = "_platypush-redis._tcp.local.";
const EVENTS = "platypush.message.event.zeroconf.";

/** What a browser sees of one device. */
class Changes implements AsyncDisposable {
  readonly #id: string;
  readonly #abort = new AbortController();
  readonly #all: AsyncGenerator<ServiceChange, void, void>;

  constructor(id: string, type: string) {
    this.#id = id;
    this.#all = browse({ type, interfaces, signal: this.#abort.signal });
  }

  async next(): Promise<ServiceChange> {
    for (;;) {
      const { value } = await inTime(this.#all.next(), "a change");
      if (value!.service.deviceId === this.#id) return value!;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#all.return();
  }
}

Deno.test("Backend changes one property of its service and leaves the rest", async () => {
  const id = newDeviceId();
  await using bus = privateBus();
  await using backend = new RedisBackend({ bus, deviceId: id });
  await assert.rejects(backend.updateService({}), /none is registered/);
  await using changes = new Changes(id, "platypush-redis");
  const properties = { room: "hall", floor: 1 };
  await backend.registerService({ interfaces, port: 7, properties });
  const { service: before } = await changes.next();
  await backend.updateService({ properties: { floor: 2 } });
  const { kind, service } = await changes.next();
  assert.equal(kind, "updated");
  assert.deepEqual(service, {
    ...before,
    properties: { ...before.properties, floor: "2" },
  });
});

Deno.test("Backend advertises its service under subtypes, also when something else changes", async () => {
  const id = newDeviceId();
  await using bus = privateBus();
  await using backend = new RedisBackend({ bus, deviceId: id });
  await using changes = new Changes(id, "_lamp._sub._platypush-redis._tcp");
  const subtypes = ["lamp", "switch"];
  await backend.registerService({ interfaces, port: 7, subtypes });
  assert.equal((await changes.next()).kind, "added");
  await backend.updateService({ properties: { floor: 2 } });
  const { kind, service } = await changes.next();
  assert.deepEqual([kind, service.properties["floor"]], ["updated", "2"]);
  await backend.updateService({ subtypes: ["switch"] });
  assert.equal((await changes.next()).kind, "removed");
});

Deno.test("RedisBackend does not consume for plain listeners while it registers its service", async () => {
  await using server = await TestServer.start();
  const id = newDeviceId();
  await using listener = new Listener(server, {
    deviceId: id,
    // Registering takes longer.
    subscriberGrace: 0.1,
  });
  await server.run(
    "RPUSH",
    QUEUE,
    JSON.stringify({ type: "event", target: id, args: { type: "custom.One" } }),
  );
  const { backend, bus, logger } = listener;
  await backend.start();
  await backend.registerService({ interfaces, port: 7 });
  const arrived = Promise.withResolvers<Event>();
  bus.on({ type: "custom.One" }, arrived.resolve);
  const event = await inTime(arrived.promise, "the event");
  assert.equal(event.redelivered, 0);
  assert.doesNotMatch(logger.lines.join(), /no subscriber yet/);
});

Deno.test("RedisBackend consumes for plain listeners once it has registered its service", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    deviceId: newDeviceId(),
    subscriberGrace: 0.02,
  });
  await listener.backend.start();
  await Promise.all([
    listener.backend.registerService({ interfaces, port: 7 }),
    listener.logger.line(/warn: .* no subscriber yet: consuming for plain/),
  ]);
});

Deno.test("Backend advertises its service with Platypush's defaults, and withdraws it", async () => {
  const port = freePort();
  await using server = await TestServer.start({ port });
  const id = newDeviceId();
  await using listener = new Listener(server, { deviceId: id });
  await listener.start();
  await using changes = new Changes(id, TYPE);

  const name = await listener.backend.registerService({
    interfaces,
    properties: { room: "hall", vendor: "Mine" },
  });
  assert.equal(name, `${id}.${TYPE}`);
  const added = await changes.next();
  assert.equal(added.kind, "added");
  assert.equal(added.service.type, TYPE);
  assert.equal(added.service.name, name);
  assert.equal(added.service.port, port);
  assert.deepEqual(added.service.properties, {
    name: "Platypush",
    vendor: "Mine",
    version: VERSION,
    device_id: id,
    queue: "platypush/backend/redis",
    room: "hall",
  });

  const again = await listener.backend.registerService({ interfaces, port: 7 });
  assert.equal(again, name);
  const updated = await changes.next();
  assert.equal(updated.kind, "updated");
  assert.equal(updated.service.port, 7);

  await listener.backend.unregisterService();
  assert.equal((await changes.next()).kind, "removed");

  const events = await listener.messages(3);
  assert.deepEqual(
    events.map((event) => {
      const { args } = event as Event;
      return [args.type, args.service_event, args.service_name];
    }),
    [
      [`${EVENTS}ZeroconfServiceAddedEvent`, "add", name],
      [`${EVENTS}ZeroconfServiceUpdatedEvent`, "update", name],
      [`${EVENTS}ZeroconfServiceRemovedEvent`, "remove", name],
    ],
  );
  const { args, target } = events[0] as Event;
  assert.equal(target, id);
  assert.equal(args.service_type, TYPE);
  const info = args.service_info as Record<string, unknown>;
  assert.deepEqual(Object.keys(info).sort(), [
    "addresses",
    "host_ttl",
    "other_ttl",
    "port",
    "priority",
    "properties",
    "server",
    "weight",
  ]);
  assert.ok((info.addresses as string[]).includes("127.0.0.1"));
});

Deno.test("Backend withdraws its service when it stops", async () => {
  await using bus = privateBus();
  const id = newDeviceId();
  const backend = new Backend({ bus, deviceId: id });
  await backend.registerService({
    interfaces,
    port: 1234,
    name: "clock",
    udp: true,
  });
  const type = "_platypush-clock._udp.local.";
  await using changes = new Changes(id, type);
  const { kind, service } = await changes.next();
  assert.equal(kind, "added");
  assert.equal(service.port, 1234);
  await backend.stop();
  assert.equal((await changes.next()).kind, "removed");
});

Deno.test("Backend advertises under the names it is given", async () => {
  await using bus = privateBus();
  await using backend = new Backend({ bus, deviceId: newDeviceId() });
  const instance = newDeviceId();
  const name = await backend.register_service({
    interfaces,
    port: 1234,
    srv_type: "_my-own._tcp.local.",
    srv_name: `${instance}._my-own._tcp.local.`,
  });
  assert.equal(name, `${instance}._my-own._tcp.local.`);
});

Deno.test("Backend without a port has to be told one", async () => {
  await using bus = privateBus();
  await using backend = new Backend({ bus });
  await assert.rejects(
    backend.registerService({ interfaces }),
    /Cannot register the service: .* pass `port`/,
  );
});

Deno.test("RedisBackend tells peers where its server really is", async () => {
  const logger = new LineLogger();
  const advertise = async (
    redisArgs: Record<string, unknown>,
  ): Promise<Record<string, unknown>> => {
    await using bus = privateBus();
    const id = newDeviceId();
    await using backend = new RedisBackend({
      bus,
      logger,
      redisArgs,
      deviceId: id,
    });
    const advertised = bus.get();
    await backend.registerService({ interfaces });
    const { args } = await advertised as Event;
    // The message in hand is handled.
    await bus.get(0);
    return args.service_info as Record<string, unknown>;
  };
  const host = "192.0.2.1";
  const elsewhere = await advertise({ host, port: 7000 });
  assert.equal(elsewhere.port, 7000);
  assert.equal((elsewhere.properties as Record<string, string>).host, host);
  assert.deepEqual(logger.lines.filter((line) => /^warn/.test(line)), []);
  const here = await advertise({});
  assert.equal(here.port, 6379);
  await logger.line(/warn: Redis is reached at 127.0.0.1:6379: if it listens/);
  const further = await advertise({ host, port: 7000, db: 3, ssl: true });
  const { db, ssl } = further.properties as Record<string, string>;
  assert.deepEqual({ db, ssl }, { db: "3", ssl: "true" });
  const socket = await advertise({ unix_socket_path: "/run/redis.sock" });
  assert.equal(socket.port, 0);
  await logger.line(/warn: Redis is reached through a Unix socket/);
});

Deno.test("zeroconfEvent is the event of a device", () => {
  const service = {
    type: TYPE,
    name: `kitchen.${TYPE}`,
    port: 6379,
    addresses: ["192.0.2.10"],
    server: "kitchen.local.",
    host_ttl: 120,
    other_ttl: 4500,
    priority: 0,
    weight: 0,
    properties: { name: "Platypush" },
    deviceId: "kitchen",
    queue: undefined,
    redisUrl: undefined,
  };
  const event = zeroconfEvent({ kind: "updated", service }, "livingroom");
  assert.equal(event.origin, "livingroom");
  assert.deepEqual(event.args, {
    type: `${EVENTS}ZeroconfServiceUpdatedEvent`,
    service_event: "update",
    service_type: TYPE,
    service_name: `kitchen.${TYPE}`,
    service_info: {
      addresses: ["192.0.2.10"],
      port: 6379,
      host_ttl: 120,
      other_ttl: 4500,
      priority: 0,
      properties: { name: "Platypush" },
      server: "kitchen.local.",
      weight: 0,
    },
  });
});
