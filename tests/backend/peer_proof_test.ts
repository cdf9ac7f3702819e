import assert from "node:assert/strict";
import {
  browse,
  discover,
  RedisBackend,
  type RedisBackendOptions,
  type ServiceInfo,
} from "../../mod.ts";
import { Identity, isSigned, KnownPeers } from "../../src/backend/identity.ts";
import { Connection } from "../../src/redis/mod.ts";
import { Advertiser } from "../../src/zeroconf/mod.ts";
import { HangingListener } from "../hanging_listener.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { Listener, QUEUE } from "../listener.ts";
import { freePort, TestServer } from "../servers.ts";
import { until } from "../until.ts";

const interfaces = ["127.0.0.1"];
const EVENT = { type: "event", args: { type: "custom.Motion" } };

/** A folder that is removed at the end. */
class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync();

  /** The lines of what is remembered of peers. */
  get knownPeers(): string[] {
    const text = Deno.readTextFileSync(`${this.path}/known_peers`);
    return text.split("\n").slice(0, -1);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** A device that others find, on a Redis of its own. */
class Device implements AsyncDisposable {
  readonly id: string;
  readonly logger = new LineLogger();
  readonly #stack = new AsyncDisposableStack();
  server!: TestServer;
  found!: ServiceInfo;

  private constructor(id: string) {
    this.id = id;
  }

  static async start(
    options: RedisBackendOptions = {},
    id = `test ${crypto.randomUUID().slice(0, 8)}`,
    server?: TestServer,
    srvName: string = crypto.randomUUID(),
  ): Promise<Device> {
    const device = new Device(id);
    const stack = device.#stack;
    device.server = stack.use(
      server ?? await TestServer.start({ port: freePort() }),
    );
    const listener = stack.use(
      new Listener(device.server, {
        ...options,
        deviceId: id,
        logger: device.logger,
      }),
    );
    const name = await listener.backend.registerService({
      interfaces,
      srvName,
    });
    const signal = AbortSignal.timeout(60_000);
    for await (const { service } of browse({ interfaces, signal })) {
      if (service.name === name) {
        device.found = service;
        break;
      }
    }
    return device;
  }

  /** How many messages have come. */
  count(): Promise<number> {
    return this.server.run<number>("LLEN", QUEUE);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function send(
  peer: ServiceInfo,
  options: RedisBackendOptions = {},
): Promise<void> {
  await using backend = new RedisBackend(options);
  await backend.sendTo(peer, EVENT);
}

Deno.test("A peer that proves its key is remembered, and known again", async () => {
  using theirs = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  const { key } = kitchen.found.properties;
  assert.match(key!, /^SHA256:[\w+/]{43}$/);
  for (let i = 1; i <= 2; i++) {
    await send(kitchen.found, { identity: ours.path });
    assert.equal(await kitchen.count(), i);
    assert.deepEqual(ours.knownPeers, [`${key} ${kitchen.id}`]);
  }
  // Nothing but messages is left on its Redis.
  assert.deepEqual(await kitchen.server.run("KEYS", "*"), [QUEUE]);
  // Whoever has compared the keys needs no folder.
  await send(kitchen.found, { peers: { [kitchen.id]: { key: key! } } });
  assert.equal(await kitchen.count(), 3);
  const { mode } = await Deno.stat(`${theirs.path}/key.pem`);
  assert.equal(mode! & 0o777, 0o600);
});

Deno.test("A forger under a known peer's name is refused, and an honest change told how to accept", async () => {
  using theirs = new Folder();
  using forged = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  await send(kitchen.found, { identity: ours.path });
  await using forger = await Device.start(
    { identity: forged.path },
    kitchen.id,
  );
  const refused = new RegExp(
    `advertises the key SHA256:.* known by the key SHA256:.* remove the line of "${kitchen.id}" from ${ours.path}/known_peers`,
  );
  const trust = { peers: { [kitchen.id]: { trust: "unproved" } } } as const;
  for (const options of [{}, trust]) {
    await assert.rejects(
      send(forger.found, { ...options, identity: ours.path }),
      { code: "auth", message: refused },
    );
  }
  await using keyless = await Device.start({}, kitchen.id);
  await assert.rejects(send(keyless.found, { identity: ours.path }), {
    message: /advertises no key, but is known by the key/,
  });
  assert.equal(await forger.count() + await keyless.count(), 0);
  await Deno.writeTextFile(`${ours.path}/known_peers`, "");
  await send(forger.found, { identity: ours.path });
  assert.equal(await forger.count(), 1);
});

Deno.test("A service under a known peer's name gets nothing, where it is another device", async () => {
  using theirs = new Folder();
  using forged = new Folder();
  using ours = new Folder();
  const kitchen = await Device.start({ identity: theirs.path });
  await send(kitchen.found, { identity: ours.path });
  await kitchen[Symbol.asyncDispose]();
  await until(async () => {
    const found = await discover({ interfaces, timeout: 0.5 });
    return found.every(({ deviceId }) => deviceId !== kitchen.id);
  });
  await using forger = await Device.start(
    { identity: forged.path },
    undefined,
    undefined,
    kitchen.id,
  );
  const key = kitchen.found.properties["key"]!;
  for (
    const options of [{ identity: ours.path }, {
      peers: { [kitchen.id]: { key } },
    }]
  ) {
    await using backend = new RedisBackend(options);
    await assert.rejects(
      backend.sendTo(kitchen.id, EVENT, { interfaces, timeout: 2 }),
      { name: "NotFoundError" },
    );
  }
  assert.equal(await forger.count(), 0);
});

Deno.test("A forger beside a known peer does not keep messages from it", async () => {
  using theirs = new Folder();
  using forged = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  await using backend = new RedisBackend({ identity: ours.path });
  const place = { interfaces, timeout: 60 };
  await backend.sendTo(kitchen.id, EVENT, place);
  await using forger = await Device.start(
    { identity: forged.path },
    kitchen.id,
    undefined,
    // It is looked at first.
    ` ${crypto.randomUUID()}`,
  );
  await backend.sendTo(kitchen.id, EVENT, place);
  assert.deepEqual([await forger.count(), await kitchen.count()], [0, 2]);
});

Deno.test("Forgers beside a known peer whose servers do not answer, or refuse, keep no message from it", async (t) => {
  using theirs = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  await send(kitchen.found, { identity: ours.path });
  await using hanging = await HangingListener.start();
  await using closed = await TestServer.start({
    port: freePort(),
    config: ["requirepass secret"],
    redisArgs: { password: "secret" },
  });
  const ports = {
    "nobody answers": hanging.port,
    "the connection is refused": freePort(),
    "a password is wanted": closed.args.port!,
  };
  let count = 1;
  for (const [title, port] of Object.entries(ports)) {
    await t.step(title, async () => {
      await using advertiser = new Advertiser({ interfaces });
      // It is looked at first.
      const name = ` ${crypto.randomUUID()}`;
      const { type, properties } = kitchen.found;
      await advertiser.register({ name, type, port, properties });
      await using backend = new RedisBackend({ identity: ours.path });
      await until(async () => {
        const found = await discover({ interfaces, timeout: 1 });
        const ids = found.map(({ deviceId }) => deviceId);
        return ids.filter((id) => id === kitchen.id).length === 2;
      });
      await backend.sendTo(kitchen.id, EVENT, { interfaces, timeout: 60 });
      assert.equal(await kitchen.count(), ++count);
    });
  }
});

Deno.test("An address of a peer at which somebody else is, is passed over", async () => {
  using theirs = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  const { port, properties } = kitchen.found;
  await using other = await TestServer.start({
    port: freePort(),
    config: [`port ${port}`, "bind 127.0.0.3"],
    redisArgs: { host: "127.0.0.3", port },
  });
  const found = {
    ...kitchen.found,
    properties,
    addresses: ["127.0.0.3", "127.0.0.1"],
    redisUrl: `redis://127.0.0.3:${port}`,
  };
  await send(found, { identity: ours.path });
  assert.equal(await kitchen.count(), 1);
  assert.equal(await other.run("LLEN", QUEUE), 0);
});

Deno.test("A known peer whose Redis has moved to another port is known by its key", async () => {
  using theirs = new Folder();
  using ours = new Folder();
  const before = await Device.start({ identity: theirs.path });
  const { id } = before;
  await using backend = new RedisBackend({ identity: ours.path });
  await backend.sendTo(before.found, EVENT);
  await before[Symbol.asyncDispose]();
  await using after = await Device.start({ identity: theirs.path }, id);
  assert.notEqual(after.found.port, before.found.port);
  await backend.sendTo(after.found, EVENT);
  assert.equal(await after.count(), 1);
  assert.equal(ours.knownPeers.length, 1);
});

Deno.test("A device is the same one in upper and in lower case, and nobody else takes its place by that", async () => {
  using theirs = new Folder();
  using forged = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  await send(kitchen.found, { identity: ours.path });
  const key = kitchen.found.properties["key"]!;
  const other = kitchen.id.toUpperCase();
  await using forger = await Device.start({ identity: forged.path }, other);
  for (
    const options of [
      { identity: ours.path },
      { peers: { [kitchen.id]: { key } } },
    ]
  ) {
    await assert.rejects(send(forger.found, options), {
      code: "auth",
      message: /advertises the key SHA256:.* known by the key SHA256:/,
    });
    await using backend = new RedisBackend(options);
    await backend.sendTo(other, EVENT, { interfaces, timeout: 60 });
  }
  assert.deepEqual([await forger.count(), await kitchen.count()], [0, 3]);
  // In a fingerprint, case counts.
  const written = key.replace(/:.*/, (text) => text.toUpperCase());
  const peers = { [kitchen.id]: { key: written } };
  await assert.rejects(send(kitchen.found, { peers }), {
    message: /differ in upper and lower case, which counts/,
  });
});

Deno.test("A device is remembered whatever its id is made of", async () => {
  using folder = new Folder();
  const known = new KnownPeers(folder.path);
  const ids = ["a b", " a", 'a"b', "a\nb", "a\u2028b", "a\u0085", "__proto__"];
  for (const id of ids) {
    assert.equal(await known.keyOf(id), undefined, JSON.stringify(id));
    await known.remember(id, `SHA256:${ids.indexOf(id)}`);
    await known.rememberCertificate(id, `SHA256:c${ids.indexOf(id)}`);
  }
  for (const [i, id] of ids.entries()) {
    assert.equal(await known.keyOf(id), `SHA256:${i}`, JSON.stringify(id));
    assert.equal(await known.certificateOf(id), `SHA256:c${i}`);
  }
});

Deno.test("A peer is remembered behind a last line that an editor has not ended", async () => {
  using folder = new Folder();
  const known = new KnownPeers(folder.path);
  await Deno.writeTextFile(known.path, "# ours\nSHA256:a kitchen");
  await known.remember("hall", "SHA256:b");
  assert.deepEqual(
    await Promise.all(["kitchen", "hall"].map((id) => known.keyOf(id))),
    ["SHA256:a", "SHA256:b"],
  );
});

Deno.test("An identity that cannot be written leaves nothing behind, and says why", async () => {
  using folder = new Folder();
  const { href } = new URL("../../src/backend/identity.ts", import.meta.url);
  const program = `import { Identity } from "${href}";
    await Identity.open("${folder.path}").catch(({ message }) => console.log(message));`;
  // No file may get any content, as on a full disk.
  const { stdout } = await new Deno.Command("sh", {
    args: [
      "-c",
      `trap "" XFSZ; ulimit -f 0; exec "$0" eval --quiet "$1"`,
      Deno.execPath(),
      program,
    ],
    stdin: "null",
    stderr: "null",
  }).output();
  assert.match(new TextDecoder().decode(stdout), /File too large|EFBIG/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.path)), []);
});

Deno.test("A signature is for one question, one device and one address alone", async () => {
  using folder = new Folder();
  const identity = await Identity.open(folder.path);
  const { fingerprint } = identity;
  const statement = {
    nonce: "ab".repeat(32),
    deviceId: "kitchen",
    host: "192.0.2.1",
    port: 6379,
  };
  const proof = await identity.sign(statement);
  assert.equal(await isSigned(statement, proof, fingerprint), true);
  for (
    const other of [
      { nonce: "cd".repeat(32) },
      // Another device may have the same key, by a copy of the folder.
      { deviceId: "garage" },
      { host: "192.0.2.2" },
      { port: 6380 },
    ]
  ) {
    const changed = { ...statement, ...other };
    const counts = await isSigned(changed, proof, fingerprint);
    assert.equal(counts, false, JSON.stringify(other));
  }
});

/** Puts the key of one device into what is advertised of another. */
function disguised({ found }: Device, as: Device): ServiceInfo {
  const { key } = as.found.properties;
  const properties = { ...found.properties, key: key! };
  return { ...found, properties, deviceId: as.id };
}

Deno.test("A forger who advertises a known peer's key gets nothing", async () => {
  using theirs = new Folder();
  using forged = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  // It answers, and signs with the key that it has.
  await using forger = await Device.start(
    { identity: forged.path },
    kitchen.id,
  );
  // Even where nothing is remembered yet: the key that is advertised has to be proved.
  await assert.rejects(
    send(disguised(forger, kitchen), { identity: ours.path }),
    { code: "auth", message: /nobody there has proved within 5 s/ },
  );
  assert.equal(await forger.count(), 0);
  await assert.rejects(() => Deno.stat(`${ours.path}/known_peers`));
});

Deno.test("An answer to one question is none to another", async () => {
  using theirs = new Folder();
  using ours = new Folder();
  const kitchen = await Device.start({ identity: theirs.path });
  const { found, id } = kitchen;
  const channel = `platypush-redis/prove/${id}`;
  const { port } = found;
  const nonce = "ab".repeat(32);
  const question = JSON.stringify({ nonce, host: "127.0.0.1", port });
  await kitchen.server.run("PUBLISH", channel, question);
  const [, answer] = await kitchen.server.run<string[]>(
    ...["BLPOP", `platypush-redis/proof/${nonce}`, "5"] as const,
  );
  assert.match(answer!, /"signature"/);
  // Somebody else takes over its address, and repeats what it has said.
  await kitchen[Symbol.asyncDispose]();
  await using forger = await TestServer.start({ port });
  await using replayer = await Connection.connect(forger.args);
  await using writer = await Connection.connect(forger.args);
  let count = 0;
  await replayer.subscribe(channel, (payload) => {
    const { nonce } = JSON.parse(new TextDecoder().decode(payload));
    const key = `platypush-redis/proof/${nonce}`;
    count++;
    for (const wrong of [answer!, "", "null", '{"key": 1}', "[".repeat(99)]) {
      writer.command(["RPUSH", key, wrong]);
    }
  });
  await assert.rejects(
    send(found, { identity: ours.path }),
    /nobody there has proved/,
  );
  assert.equal(count, 1);
  assert.equal(await forger.run("LLEN", QUEUE), 0);
});

Deno.test("An answer that a forger has fetched from the peer is none, since it names another address", async () => {
  using theirs = new Folder();
  using forged = new Folder();
  using ours = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  await using forger = await Device.start({ identity: forged.path });
  const channel = `platypush-redis/prove/${kitchen.id}`;
  await using relay = await Connection.connect(forger.server.args);
  await using writer = await Connection.connect(forger.server.args);
  const answered = Promise.withResolvers<void>();
  await relay.subscribe(channel, async (payload) => {
    const { nonce } = JSON.parse(new TextDecoder().decode(payload));
    const key = `platypush-redis/proof/${nonce}`;
    // It says what the peer wants to hear, so that this one signs.
    const { port } = kitchen.found;
    const question = JSON.stringify({ nonce, host: "127.0.0.1", port });
    await kitchen.server.run("PUBLISH", channel, question);
    const [, answer] = await kitchen.server.run<string[]>("BLPOP", key, "5");
    await writer.command(["RPUSH", key, answer!]);
    answered.resolve();
  });
  await assert.rejects(
    send(disguised(forger, kitchen), { identity: ours.path }),
    /nobody there has proved/,
  );
  await answered.promise;
  assert.equal(await forger.count(), 0);
});

Deno.test("A device does not answer a question that came by another's address", async () => {
  using theirs = new Folder();
  await using kitchen = await Device.start({ identity: theirs.path });
  const ask = (question: unknown): Promise<unknown> =>
    kitchen.server.run(
      ...["PUBLISH", `platypush-redis/prove/${kitchen.id}`] as const,
      typeof question === "string" ? question : JSON.stringify(question),
    );
  const nonce = "cd".repeat(32);
  const { port } = kitchen.found;
  for (const nonsense of ["", "[", "null", {}, { nonce, host: 1, port }]) {
    await ask(nonsense);
  }
  await until(async () => {
    await ask({ nonce, host: "192.0.2.66", port });
    return kitchen.logger.lines.some((line) => line.includes("192.0.2.66"));
  });
  await ask({ nonce, host: "127.0.0.1", port: port + 1 });
  assert.deepEqual(await kitchen.server.run("KEYS", "*"), []);
});

Deno.test("A peer without a key gets nothing until we say that we trust it", async () => {
  using ours = new Folder();
  await using kitchen = await Device.start();
  for (const options of [{}, { identity: ours.path }]) {
    await assert.rejects(send(kitchen.found, options), {
      code: "auth",
      message:
        /nothing proves that it is "[^"]*" who advertises .*`trust: "unproved"`/,
    });
  }
  const peers = { [kitchen.id]: { trust: "unproved" } } as const;
  await send(kitchen.found, { peers });
  assert.equal(await kitchen.count(), 1);
});

Deno.test("A key that is none is named, and not replaced", async () => {
  using folder = new Folder();
  await Deno.writeTextFile(`${folder.path}/key.pem`, "nonsense");
  await using backend = new RedisBackend({ identity: folder.path });
  await assert.rejects(
    backend.registerService({ interfaces }),
    /Cannot read the key in .*key\.pem: it is no Ed25519 key/,
  );
});

const NO_CA = { ssl_cert_reqs: "none", socket_connect_timeout: 3 } as const;

/** Starts a server that only speaks TLS, with one of the certificates for tests. */
async function startTls(
  certificate: string,
  port: number = freePort(),
): Promise<TestServer> {
  const redisArgs = { ssl: true, ...NO_CA };
  return await TestServer.startTls({ certificate, port, redisArgs });
}

Deno.test("The certificate of a peer is remembered beside its key, and another one refused", async (t) => {
  for (
    const [title, first, second] of [
      ["its own", "self_signed", "self_signed_2"],
      ["of a CA", "server", "self_signed"],
      ["of a CA that has issued another one, too", "server", "client"],
    ] as const
  ) {
    await t.step(title, async () => {
      using theirs = new Folder();
      using ours = new Folder();
      const port = freePort();
      const peer = await startTls(first, port);
      const kitchen = await Device.start(
        { identity: theirs.path },
        undefined,
        peer,
      );
      const { found, id } = kitchen;
      await using backend = new RedisBackend({
        identity: ours.path,
        peers: { [id]: { redisArgs: NO_CA } },
      });
      for (let i = 1; i <= 2; i++) {
        await backend.sendTo(found, EVENT);
        assert.equal(await kitchen.count(), i);
      }
      const { key } = found.properties;
      const [known, certificate, ...others] = ours.knownPeers;
      assert.equal(known, `${key} ${id}`);
      assert.match(
        certificate!,
        new RegExp(`^certificate SHA256:[\\w+/]{43} ${id}$`),
      );
      assert.deepEqual(others, []);
      // The key is right, and so is its address: it takes over what is open, too.
      await kitchen[Symbol.asyncDispose]();
      await using later = await Device.start(
        { identity: theirs.path },
        id,
        await startTls(second, port),
      );
      const refused = new RegExp(
        `shows the certificate SHA256:.* known by the certificate SHA256:.* remove the line of the certificate of "${id}" from ${ours.path}/known_peers`,
      );
      await assert.rejects(backend.sendTo(later.found, EVENT), {
        code: "tls",
        message: refused,
      });
      assert.equal(await later.count(), 0);
      await Deno.writeTextFile(`${ours.path}/known_peers`, `${known}\n`);
      await backend.sendTo(later.found, EVENT);
      assert.equal(await later.count(), 1);
      assert.notEqual(ours.knownPeers[1], certificate);
    });
  }
});

for (const file of ["key.pem", "known_peers"]) {
  Deno.test({
    name: `Nobody waits for ever for a file \`${file}\` that gives nothing`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      using folder = new Folder();
      const path = `${folder.path}/${file}`;
      const mkfifo = new Deno.Command("mkfifo", { args: [path] });
      assert.ok((await mkfifo.output()).success);
      const reading: Promise<unknown> = file === "key.pem"
        ? Identity.open(folder.path)
        : new KnownPeers(folder.path).keyOf("kitchen");
      try {
        await assert.rejects(inTime(reading, "the error", 60), {
          name: "TimedOut",
          message: /(key\.pem|known_peers): it has given nothing within 5 s/,
        });
      } finally {
        // Whoever reads on would never end.
        using _pipe = await Deno.open(path, { read: true, write: true });
      }
    },
  });
}
