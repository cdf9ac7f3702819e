import assert from "node:assert/strict";
import {
  browse,
  Event,
  MessageError,
  type PeerOptions,
  type RedisArgs,
  RedisBackend,
  RedisError,
  Request,
  type ServiceInfo,
} from "../../mod.ts";
import { Browser } from "../../src/zeroconf/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { Listener, privateBus, QUEUE } from "../listener.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { newDeviceId, peerAt } from "./peer_at.ts";

const interfaces = ["127.0.0.1"];
const unproved = { trust: "unproved" } as const;

/** A peer as it is found. */
async function found(id: string): Promise<ServiceInfo> {
  const signal = AbortSignal.timeout(60_000);
  for await (const { service } of browse({ interfaces, signal })) {
    if (service.deviceId === id) return service;
  }
  throw new Error(`"${id}" was not found`);
}

Deno.test("Backend sends to a peer's own queue on the peer's own Redis", async () => {
  const port = freePort();
  await using ours = await TestServer.start();
  await using theirs = await TestServer.start({ port });
  const id = newDeviceId();
  await using peer = new Listener(theirs, { deviceId: id, queue: "my/queue" });
  await peer.start();
  await peer.backend.registerService({ interfaces, srvName: `of ${id}` });
  await using backend = new RedisBackend({
    redisArgs: ours.args,
    deviceId: "livingroom",
  });

  const event = { type: "event", args: { type: "custom.Motion" } };
  await backend.sendTo(id, event, { ...unproved, interfaces, timeout: 60 });
  const messages = await peer.messages(2);
  const [, arrived] = messages;
  assert.ok(arrived instanceof Event);
  assert.equal(arrived.target, id);
  assert.equal(arrived.origin, "livingroom");

  await backend.sendTo(await found(id), [
    new Request({ action: "light.on", target: id, origin: "attic" }),
    JSON.stringify({ ...event, args: { type: "custom.Last" } }),
  ], unproved);
  const all = await peer.messages(4);
  assert.equal(all[2]?.origin, "attic");
  assert.equal((all[3] as Event).args.type, "custom.Last");
  assert.deepEqual(await ours.run("KEYS", "*"), []);
});

Deno.test("Backend keeps the connection to a peer until it stops", async () => {
  const port = freePort();
  await using theirs = await TestServer.start({ port });
  const backend = new RedisBackend({ deviceId: "livingroom" });
  const event = { type: "event", args: { type: "custom.Motion" } };
  const clients = async (): Promise<number> =>
    (await theirs.run<string>("CLIENT", "LIST", "TYPE", "normal"))
      .trim().split("\n").length;
  const before = await clients();
  for (let i = 0; i < 3; i++) {
    await backend.sendTo(peerAt(port), event, unproved);
  }
  assert.equal(await clients(), before + 1);
  assert.equal(await theirs.run("LLEN", QUEUE), 3);
  await backend.stop();
  await until(async () => await clients() === before);
  await assert.rejects(backend.sendTo(peerAt(port), event), {
    name: "AbortError",
  });
});

Deno.test("Backend names the peers it saw where there is no such peer", async () => {
  await using bus = privateBus();
  const id = newDeviceId();
  await using other = new RedisBackend({ bus, deviceId: id });
  await other.registerService({ interfaces });
  await using backend = new RedisBackend();
  const event = { type: "event", args: { type: "custom.Motion" } };
  await assert.rejects(
    backend.sendTo(`${id} no`, event, { interfaces, timeout: 2 }),
    (error: DOMException) => {
      assert.equal(error.name, "NotFoundError");
      assert.match(error.message, new RegExp(`"${id} no".*only .*"${id}"`));
      return true;
    },
  );
  const stopped = assert.rejects(
    backend.sendTo(`${id} no`, event, { interfaces, timeout: 600 }),
    { name: "AbortError" },
  );
  await backend.stop();
  await inTime(stopped, "the search is given up");
});

Deno.test("Backend says why it cannot send to a peer", async (t) => {
  const port = freePort();
  const event = { type: "event", args: { type: "custom.Motion" } };
  const failure =
    (peer: ServiceInfo, message: RegExp, code: string, seconds = 10) =>
    async (): Promise<void> => {
      await using backend = new RedisBackend({
        redisArgs: { password: "secret", socket_connect_timeout: seconds },
      });
      const sending = inTime(
        backend.sendTo(peer, event, unproved),
        "the error",
      );
      await assert.rejects(sending, (error: Error) => {
        assert.ok(error instanceof RedisError);
        assert.match(error.message, message);
        assert.equal(error.code, code);
        assert.doesNotMatch(error.message, /secret/);
        assert.equal(error.mayHaveRun, false);
        return true;
      });
    };
  await t.step(
    "nobody listens",
    failure(
      peerAt(port),
      new RegExp(`^Cannot send to "kitchen" at 127\\.0\\.0\\.1:${port}: `),
      "connection",
      0.3,
    ),
  );
  await t.step(
    "a Unix socket",
    failure(
      peerAt(0, { redisUrl: undefined }),
      /^Cannot send to "kitchen": .*Unix socket/,
      "connection",
    ),
  );
  await t.step(
    "one link only",
    failure(
      peerAt(6379, { redisUrl: undefined, addresses: ["fe80::1"] }),
      /^Cannot send to "kitchen": its only address is fe80::1, .*`redisArgs`/,
      "connection",
    ),
  );
  await using server = await TestServer.start({ port });
  await server.run("CONFIG", "SET", "requirepass", "another");
  await t.step(
    "another password",
    failure(peerAt(port), /^Cannot send to "kitchen" at /, "auth"),
  );
  await t.step("no message", async () => {
    await using backend = new RedisBackend();
    await assert.rejects(backend.sendTo(peerAt(port), "?"), MessageError);
  });
});

Deno.test("Backend shows a peer's Redis no password but the one for that peer", async () => {
  const port = freePort();
  await using theirs = await TestServer.start({ port });
  await theirs.run("CONFIG", "SET", "requirepass", "secret");
  const event = { type: "event", args: { type: "custom.Motion" } };
  await using ours = new RedisBackend({
    redisArgs: { url: "redis://:secret@192.0.2.1:7/3" },
  });
  await assert.rejects(ours.sendTo(peerAt(port), event, unproved), {
    code: "auth",
    message: /no credentials go to a peer .* option `peers`/,
  });
  const redisArgs = { password: "secret" };
  await assert.rejects(ours.sendTo(peerAt(port), event, { redisArgs }), {
    code: "auth",
    message: /whoever advertises itself as "kitchen"; .*`trust: "unproved"`/,
  });
  const trust = "unproved";
  await ours.sendTo(peerAt(port), event, { redisArgs, trust });
  const url = `redis://:secret@127.0.0.1:${port}`;
  await using other = new RedisBackend({
    redisArgs: { password: "wrong" },
    peers: { kitchen: { redisArgs: { url } } },
  });
  await other.sendTo(peerAt(port), event);
  // Where it is said where the peer is, what it advertises does not count.
  await other.sendTo(peerAt(1), event);
  assert.equal(await theirs.run("LLEN", QUEUE), 3);
});

/** What somebody who claims to be a peer hears from us, until the connection ends. */
async function overheard(
  redisArgs: RedisArgs,
  redisUrl: (port: number) => string,
): Promise<Uint8Array> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  await using backend = new RedisBackend({ redisArgs });
  const sending = backend.sendTo(
    peerAt(port, { redisUrl: redisUrl(port) }),
    { type: "event", args: { type: "custom.Motion" } },
    unproved,
  );
  const failed = assert.rejects(sending);
  using connection = await listener.accept();
  const bytes = new Uint8Array(10_000);
  const length = await connection.read(bytes) ?? 0;
  connection.close();
  listener.close();
  await failed;
  return bytes.subarray(0, length);
}

Deno.test("Backend never shows its password to who claims a name, nor speaks less TLS", async (t) => {
  const clear = (port: number): string => `redis://127.0.0.1:${port}`;
  await t.step("in clear", async () => {
    const heard = await overheard({
      username: "user",
      password: "secret",
      socket_connect_timeout: 5,
    }, clear);
    const text = new TextDecoder().decode(heard);
    assert.match(text, /HELLO|CLIENT|PING|RPUSH|LPUSH|EVAL/i);
    assert.doesNotMatch(text, /secret|AUTH/);
  });
  await t.step("where our own Redis is reached by TLS", async () => {
    const heard = await overheard({
      url: "rediss://user:secret@192.0.2.1",
      socket_connect_timeout: 5,
    }, clear);
    assert.equal(heard[0], 0x16, "a TLS handshake");
  });
});

Deno.test("Backend does not send where a peer only says that its Redis is", async () => {
  await using backend = new RedisBackend();
  const peer = peerAt(6379, {
    properties: { host: "192.0.2.66" },
    redisUrl: "redis://192.0.2.66:6379",
  });
  const event = { type: "event", args: { type: "custom.Motion" } };
  await assert.rejects(backend.sendTo(peer, event), {
    code: "connection",
    message: /at 192\.0\.2\.66, which is not its own address; .*`redisArgs`/,
  });
});

Deno.test("Backend takes the address of a peer that answers", async () => {
  const port = freePort();
  await using theirs = await TestServer.start({ port });
  await using backend = new RedisBackend();
  const event = { type: "event", args: { type: "custom.Motion" } };
  const addresses = ["127.0.0.3", "127.0.0.1"];
  const redisUrl = `redis://127.0.0.3:${port}`;
  for (let i = 0; i < 2; i++) {
    const peer = peerAt(port, { addresses, redisUrl });
    await backend.sendTo(peer, event, unproved);
  }
  assert.equal(await theirs.run("LLEN", QUEUE), 2);
});

Deno.test("Backend goes to the place that it was told, and to no other address of a peer", async () => {
  const port = freePort();
  // Somebody advertises the peer's address, and its own before it.
  await using forger = await TestServer.start({ port });
  await using theirs = await TestServer.start({
    port: freePort(),
    config: [`port ${port}`, "bind 127.0.0.3", "requirepass secret"],
    redisArgs: { host: "127.0.0.3", port, password: "secret" },
  });
  const url = `redis://:secret@127.0.0.3:${port}`;
  await using backend = new RedisBackend({
    peers: { kitchen: { redisArgs: { url } } },
  });
  const addresses = ["127.0.0.1", "127.0.0.3"];
  const event = { type: "event", args: { type: "custom.Motion" } };
  await backend.sendTo(peerAt(port, { addresses }), event);
  assert.equal(await theirs.run("LLEN", QUEUE), 1);
  assert.equal(await forger.run("LLEN", QUEUE), 0);
});

Deno.test("Backend refuses what makes no sense about peers", () => {
  const peers = (peer: unknown): RedisBackend =>
    new RedisBackend({ peers: { kitchen: peer as PeerOptions } });
  assert.throws(() => peers(1), /"kitchen" is no object/);
  assert.throws(() => peers({ trust: "all" }), /"kitchen": .*"unproved"/);
  assert.throws(() => peers({ redisArg: {} }), /redisArgs/);
  assert.throws(() => peers({ key: "SHA256:" }), /"kitchen": .*fingerprint/);
});

Deno.test("Backend warns of a message for someone else than its peer", async () => {
  const port = freePort();
  await using theirs = await TestServer.start({ port });
  const logger = new LineLogger();
  await using backend = new RedisBackend({ logger });
  const event = new Event({ args: { type: "a.B" }, target: "hall" });
  await backend.sendTo(peerAt(port), event, unproved);
  await logger.line(/warn: Sending a message for "hall" to "kitchen"/);
  assert.equal(await theirs.run("LLEN", QUEUE), 1);
});

/** Advertises a service on this host from another process, which is killed at the end. */
function advertiseElsewhere(id: string, port: number): AsyncDisposable {
  const zeroconf = new URL("../../src/zeroconf/mod.ts", import.meta.url).href;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--no-check",
      "--quiet",
      `
      import { Advertiser } from ${JSON.stringify(zeroconf)};
      const advertiser = new Advertiser({ interfaces: ["127.0.0.1"] });
      const service = { name: ${JSON.stringify(id)}, port: ${port} };
      await advertiser.register({ ...service, type: "platypush-redis" });
    `,
    ],
    stdin: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

Deno.test("Backend asks for a peer again whose Redis cannot be reached, and finds that it is gone", async () => {
  const id = newDeviceId();
  const port = freePort();
  const advertised = advertiseElsewhere(id, port);
  const appeared = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  await using browser = new Browser({
    interfaces,
    onChange: ({ kind, service }) => {
      if (service.deviceId !== id) return;
      (kind === "removed" ? gone : appeared).resolve();
    },
  });
  await browser.start();
  await inTime(appeared.promise, "the service", 60);
  // It says no goodbye, and its records are valid for two minutes.
  await advertised[Symbol.asyncDispose]();
  await using backend = new RedisBackend({
    redisArgs: { socket_connect_timeout: 1 },
  });
  const event = { type: "event", args: { type: "custom.Motion" } };
  await assert.rejects(
    backend.sendTo(id, event, { ...unproved, interfaces, timeout: 10 }),
    { code: "connection" },
  );
  await inTime(gone.promise, "that it goes", 60);
});
